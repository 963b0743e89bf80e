"""Splink as the peer, run by a Python of its own (`pip install splink`): `linkage_splink.py FOLDER tokens|clear ins|traits GIGABYTES`.

On tokens it has one HMAC per trait, which agree or do not. In the clear it has all that it is made for: names as they were
written, their frequencies, how alike two spellings are, dates that differ a little. Training is splink's own; so are the
clusters: single best links, with one record of each site at most, and connected components.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import duckdb
import splink.comparison_level_library as cll
import splink.comparison_library as cl
from splink import DuckDBAPI, Linker, SettingsCreator, block_on

THRESHOLDS = (0.9, 0.98)
_SEED = 1


def main(folder: Path, kind: str, keys: str, gigabytes: int) -> None:
    """Pairs of two sites from 0.5 on with their chances, and the clusters of each threshold; `cpu.json` tells what is complete."""
    with_ins, held = keys == "ins", _connected(folder, gigabytes)
    linker, sites = _linker(held, folder / "records.parquet", _settings(kind, with_ins=with_ins))
    _train(linker, with_ins=with_ins)
    found = linker.inference.predict(threshold_match_probability=0.5)
    found.to_parquet(str(folder / "pairs.parquet"), overwrite=True)
    spent = {"pairs": time.process_time()}
    _note(folder, spent)
    for sure in THRESHOLDS:
        for how, clustered in (("joined", _joined), ("best", _best)):
            clock = time.process_time()
            clustered(linker, held, found, sites, sure).to_parquet(
                str(folder / f"{how}-{sure}.parquet"), overwrite=True
            )
            spent[f"{how}-{sure}"] = time.process_time() - clock
            _note(folder, spent)


def _connected(folder: Path, gigabytes: int) -> duckdb.DuckDBPyConnection:
    """A database that keeps to its memory, and to as much disk in the folder."""
    held = duckdb.connect()
    held.execute(f"SET memory_limit = '{gigabytes}GB'")
    held.execute(f"SET temp_directory = '{folder / 'spill'}'")
    held.execute(f"SET max_temp_directory_size = '{gigabytes}GB'")
    return held


def _linker(held: duckdb.DuckDBPyConnection, source: Path, settings: SettingsCreator) -> tuple[Linker, list[str]]:
    """One table for each site."""
    sites = [row[0] for row in held.execute(f"SELECT DISTINCT site FROM '{source}' ORDER BY site").fetchall()]
    api = DuckDBAPI(held)
    rows = {site: held.sql(f"SELECT * FROM '{source}' WHERE site = '{site}'").to_arrow_table() for site in sites}
    return Linker([api.register(one, dataset_display_name=site) for site, one in rows.items()], settings), sites


def _note(folder: Path, spent: dict[str, float]) -> None:
    """CPU seconds of what is complete, whole at every moment."""
    part = folder / "cpu.part"
    part.write_text(json.dumps(spent))
    part.replace(folder / "cpu.json")


def _joined(linker: Linker, held: duckdb.DuckDBPyConnection, found: Any, sites: list[str], sure: float) -> Any:
    return linker.clustering.cluster_pairwise_predictions_at_threshold(found, threshold_match_probability=sure)


def _best(linker: Linker, held: duckdb.DuckDBPyConnection, found: Any, sites: list[str], sure: float) -> Any:
    """In the order in which splink writes its joins: DuckDB would first join all records whose clusters differ, each with each."""
    held.execute("SET disabled_optimizers = 'join_order'")
    clusters = linker.clustering.cluster_using_single_best_links(
        found, duplicate_free_datasets=sites, threshold_match_probability=sure
    )
    held.execute("SET disabled_optimizers = ''")
    return clusters


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
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]))
