"""Splink as the judge: the same records by one HMAC per trait. Run by a Python of its own: FILE.parquet OUT.parquet."""

from __future__ import annotations

import sys


def main(source: str, target: str) -> None:
    """Pairs of two sites above 0.5 with their chances, by splink's own training."""
    import duckdb
    import splink.comparison_library as cl
    from splink import DuckDBAPI, Linker, SettingsCreator, block_on

    whole = duckdb.sql(f"SELECT * FROM '{source}'").arrow()
    every = whole.read_all() if hasattr(whole, "read_all") else whole
    exact = {name: cl.ExactMatch(name) for name in ("ins", "sex", "place", "date", "used")}
    names = [cl.ExactMatch(name).configure(term_frequency_adjustments=True) for name in ("family", "given")]
    heard = [cl.ExactMatch(name) for name in ("family_sound", "given_sound")]
    rules = [
        block_on("ins"), block_on("date", "family"), block_on("date", "given"), block_on("family", "given", "place"),
        block_on("date", "family_sound"), block_on("used", "given", "date"),
    ]  # fmt: skip
    settings = SettingsCreator(
        link_type="dedupe_only", unique_id_column_name="record", comparisons=[*exact.values(), *names, *heard],
        blocking_rules_to_generate_predictions=rules,
    )  # fmt: skip
    api = DuckDBAPI()
    linker = Linker(
        api.register(every, "records") if hasattr(api, "register") else every,
        settings,
        *(() if hasattr(api, "register") else (api,)),
    )
    linker.training.estimate_probability_two_random_records_match(
        [block_on("ins"), block_on("date", "family", "given")], recall=0.7
    )
    linker.training.estimate_u_using_random_sampling(max_pairs=2e6)
    for rule in (block_on("date", "sex"), block_on("family", "given")):
        linker.training.estimate_parameters_using_expectation_maximisation(rule)
    found = linker.inference.predict(threshold_match_probability=0.5)
    duckdb_found = found.as_duckdbpyrelation()
    duckdb_found.write_parquet(target)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
