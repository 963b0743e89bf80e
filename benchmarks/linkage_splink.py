"""Splink as the peer, run by a Python of its own (`pip install splink`): `linkage_splink.py IN.parquet OUT.parquet tokens|clear ins|traits`.

On tokens it has one HMAC per trait, which agree or do not. In the clear it has all that it is made for: names as they were
written, their frequencies, how alike two spellings are, dates that differ a little. Training is splink's own; so are the
clusters, one record of each site at most.
"""

from __future__ import annotations

import sys
from typing import Any

import duckdb
import splink.comparison_level_library as cll
import splink.comparison_library as cl
from splink import DuckDBAPI, Linker, SettingsCreator, block_on

THRESHOLDS = (0.9, 0.98)
_SEED = 1


def main(source: str, target: str, kind: str, keys: str) -> None:
    """Pairs of two sites from 0.5 on with their chances, and the clusters of each threshold beside them."""
    with_ins, api = keys == "ins", DuckDBAPI()
    sites = [row[0] for row in duckdb.sql(f"SELECT DISTINCT site FROM '{source}' ORDER BY site").fetchall()]
    frames = [
        api.register(
            duckdb.sql(f"SELECT * FROM '{source}' WHERE site = '{site}'").to_arrow_table(), dataset_display_name=site
        )
        for site in sites
    ]
    linker = Linker(frames, _settings(kind, with_ins=with_ins))
    _train(linker, with_ins=with_ins)
    found = linker.inference.predict(threshold_match_probability=0.5)
    found.to_parquet(target, overwrite=True)
    for sure in THRESHOLDS:
        clusters = linker.clustering.cluster_using_single_best_links(
            found, duplicate_free_datasets=sites, threshold_match_probability=sure
        )
        clusters.to_parquet(f"{target}-{sure}.parquet", overwrite=True)


def _settings(kind: str, *, with_ins: bool) -> SettingsCreator:
    traits, rules = (_on_tokens, _by_tokens) if kind == "tokens" else (_in_clear, _by_clear)
    comparisons = [
        *([cl.ExactMatch("ins")] if with_ins else []),
        cl.ExactMatch("sex"),
        cl.ExactMatch("place"),
        *traits(),
    ]
    blocks = [*([block_on("ins")] if with_ins else []), *rules()]
    return SettingsCreator(
        link_type="link_only", unique_id_column_name="record", comparisons=comparisons,
        blocking_rules_to_generate_predictions=blocks,
    )  # fmt: skip


def _train(linker: Linker, *, with_ins: bool) -> None:
    certain = [block_on("date", "family", "given"), *([block_on("ins")] if with_ins else [])]
    linker.training.estimate_probability_two_random_records_match(certain, recall=0.8)
    linker.training.estimate_u_using_random_sampling(max_pairs=5e6, seed=_SEED)
    for rule in (block_on("date", "sex"), block_on("family", "given"), block_on("date", "family")):
        linker.training.estimate_parameters_using_expectation_maximisation(rule, record_sample_proportion=1.0)


def _on_tokens() -> list[Any]:
    names = [cl.ExactMatch(name).configure(term_frequency_adjustments=True) for name in ("family", "given")]
    return [*names, *(cl.ExactMatch(name) for name in ("date", "used", "family_sound", "given_sound"))]


def _by_tokens() -> list[Any]:
    return [
        block_on("date", "family"), block_on("date", "given"), block_on("family", "given", "place"), block_on("date", "family_sound"),
        block_on("used", "given", "date"),
    ]  # fmt: skip


def _in_clear() -> list[Any]:
    other = "(used_l = family_r OR family_l = used_r OR used_l = used_r)"
    further = "(given_l = second_r OR second_l = given_r)"
    return [
        _name("family", cll.CustomLevel(other, label_for_charts="the name in use")),
        _name("given", cll.CustomLevel(further, label_for_charts="the second name")),
        cl.DateOfBirthComparison("date", input_is_string=True),
    ]


def _name(column: str, other: Any) -> Any:
    """Splink's levels of a name, and one for another name of the same person."""
    return cl.CustomComparison(
        output_column_name=column,
        comparison_levels=[
            cll.NullLevel(column), cll.ExactMatchLevel(column).configure(tf_adjustment_column=column),
            cll.JaroWinklerLevel(column, 0.92), other, cll.JaroWinklerLevel(column, 0.88), cll.JaroWinklerLevel(column, 0.7),
            cll.ElseLevel(),
        ],
    )  # fmt: skip


def _by_clear() -> list[Any]:
    return [
        block_on("date", "family"), block_on("date", "given"), block_on("date", "place"), block_on("family", "given", "place"),
        block_on("family", "given", "substr(date, 1, 4)"), block_on("family", "given", "substr(date, 6, 5)"),
        block_on("date", "substr(family, 1, 3)"), block_on("date", "used"),
    ]  # fmt: skip


if __name__ == "__main__":
    main(*sys.argv[1:5])
