"""OMOP there and back: export a site, judge the export, load it into a new site, ask both the same invented cohorts.

    python benchmarks/omop_round_trip.py SITE --folder NEW --cohorts 100 --seed 1 [--rules DIR] [--ddl FILE]

Exit code 1 when a count differs or fewer than 98 % of the rules that apply are met. Run it from the root of the checkout.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import duckdb

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.spec import dashboard, site_kit
from tests.spec.inventing import invent

from estran.app import Site, open_site
from estran.cohort.engines import ENGINES
from estran.cohort.language.parser import parse
from estran.exchange import omop
from estran.exchange.holding import of_site

_SHAPE = ("cdmTable", "cdmField", "cdmDatatype")


def main() -> int:
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("site", type=Path)
    given.add_argument("--folder", type=Path, required=True)
    given.add_argument("--cohorts", type=int, default=100)
    given.add_argument("--seed", type=int, default=1)
    given.add_argument("--rules", type=Path, help="folder of OHDSI's tables of rules")
    given.add_argument("--ddl", type=Path, help="OHDSI's DDL for DuckDB")
    asked = given.parse_args()
    site = open_site(asked.site)
    began = time.process_time()
    with of_site(site.snapshot()) as holding:
        asked.folder.mkdir(parents=True)
        account = omop.write(holding, asked.folder / "omop")
    print(f"exported {sum(account.read.values())} rows in {time.process_time() - began:.1f} CPU s")
    judged = judge(asked.folder / "omop", asked.rules, asked.ddl) if asked.rules and asked.ddl else True
    same = compare(site, asked.folder, asked.cohorts, asked.seed)
    return 0 if judged and same else 1


def judge(folder: Path, rules: Path, ddl: Path) -> bool:
    """Whether at least 98 % of the rules that apply are met, those about the shape of the tables left out."""
    con = duckdb.connect()
    con.execute(ddl.read_text("utf-8").replace("@cdmDatabaseSchema.", ""))
    for path in sorted(folder.glob("*.parquet")):
        con.execute(f"INSERT INTO {path.stem} SELECT * FROM read_parquet('{path}')")
    every = dashboard.run(con, rules)
    results = [one for one in every if one.name not in _SHAPE]
    failed = [one for one in results if not one.passed]
    for one in failed:
        print(
            f"  not met: {one.name} {one.table}.{one.field}: {one.violated} of {one.concerned}, threshold {one.threshold} %"
        )
    share = 100 * (1 - len(failed) / len(results))
    print(
        f"rules met: {share:.2f} % of {len(results)}; with those of shape {100 * (1 - len(failed) / len(every)):.2f} % of {len(every)}"
    )
    return share >= 98


def compare(site: Site, folder: Path, number: int, seed: int) -> bool:
    """Whether a site made of the export counts the same patients for every question."""
    began = time.process_time()
    again = site_kit.make(folder / "again")
    site_kit.load(again, "omop", folder / "omop")
    print(f"loaded in {time.process_time() - began:.1f} CPU s")
    engines = [ENGINES["duckdb"](one.snapshot()) for one in (site, again)]
    differ = empty = 0
    for question in invent(site.snapshot(), number, seed):
        first, second = (len(engine.run(parse(question)).patients) for engine in engines)
        empty += first == 0
        if first != second:
            differ += 1
            print(f"  {first} and {second}: {question}")
    print(f"{number} cohorts: {differ} differ, {empty} are empty")
    return not differ


if __name__ == "__main__":
    sys.exit(main())
