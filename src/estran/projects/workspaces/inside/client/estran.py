"""Estran inside a workspace: load the datamart, and hand results in to the airlock.

    import estran
    patients = estran.load("patients")
    estran.hand_in(table, "table_1.csv")     # then ask for its release on the project's page

Nothing here can change the datamart, and nothing leaves but through the airlock.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

DATAMART = Path("/work/datamart")
OUT = Path("/work/out")
FLOOR, STEP = 10, 5  # of the airlock: counts below FLOOR do not leave, others are multiples of STEP
_READ = {".parquet": "read_parquet", ".csv": "read_csv"}


def tables() -> list[str]:
    """Names of the tables of the datamart."""
    return sorted({path.stem for path in DATAMART.rglob("*") if path.suffix in _READ})


def load(name: str) -> Any:
    """A table of the datamart as a pandas DataFrame; KeyError when there is none of this name."""
    import pandas

    found = sorted(path for path in DATAMART.rglob(f"{name}.*") if path.suffix in _READ)
    if not found:
        raise KeyError(f"No table {name!r}; there are: {', '.join(tables())}")
    best = next((path for path in found if path.suffix == ".parquet"), found[0])
    return getattr(pandas, _READ[best.suffix])(_whole(best))


def _whole(file: Path) -> Path:
    """The file; the folder of all its parts where a table is kept by site (`patients/site=…/patients.parquet`)."""
    return file.parent.parent if "=" in file.parent.name else file


def sql(query: str) -> Any:
    """The answer of DuckDB as a pandas DataFrame; each table of the datamart is a view of its name."""
    import duckdb

    connection = duckdb.connect()
    for name in tables():
        file = next(path for path in sorted(DATAMART.rglob(f"{name}.*")) if path.suffix in _READ)
        files = file if _whole(file) == file else _whole(file) / "*" / "*.parquet"
        connection.sql(
            f"create view \"{name}\" as select * from {_READ[file.suffix].replace('read_csv', 'read_csv_auto')}('{files}')"
        )
    return connection.sql(query).df()


def protect(table: Any, floor: int = FLOOR, step: int = STEP) -> Any:
    """A copy of a table of counts: those below `floor` redacted, the others rounded to the nearest `step`.

    Work totals out afterwards, from what is left.
    """

    def one(count: Any) -> Any:
        if not isinstance(count, (int, float)) or isinstance(count, bool) or count % 1 != 0:
            return count
        return "[REDACTED]" if count < floor else int(count + step / 2) // step * step

    return table.astype(object).map(one)


def evidence(values: Any, by: Any) -> Any:
    """What proves that no cell of a table of sums or means is one patient's: n, total, the two largest, negatives.

    Hand it in as NAME.evidence.csv beside NAME.csv; the airlock reads it, and it does not leave.
    """
    import pandas

    def one(group: Any) -> Any:
        top = [*group.nlargest(2).tolist(), 0, 0]
        return pandas.Series(
            {
                "n": len(group),
                "total": group.sum(),
                "largest": top[0],
                "second": top[1],
                "negative": int((group < 0).sum()),
            }
        )

    return values.dropna().groupby(by).apply(one).unstack().round(0)


def hand_in(what: Any, name: str = "") -> Path:
    """Put a DataFrame (as CSV), a matplotlib figure (as PNG) or a file in `out/`; its release is asked on the project's page."""
    if isinstance(what, (str, Path)):
        target = OUT / (name or Path(what).name)
        shutil.copyfile(what, target)
    elif hasattr(what, "to_csv"):
        target = OUT / (name or "table.csv")
        what.to_csv(target, index=not _numbered(what))
    elif hasattr(what, "savefig"):
        target = OUT / (name or "figure.png")
        what.savefig(target)
    else:
        raise TypeError("Hand in a DataFrame, a figure or the path of a file.")
    return target


def _numbered(table: Any) -> bool:
    """Whether the index only numbers the rows, and is better left out."""
    index = getattr(table, "index", None)
    return index is not None and index.name is None and list(index) == list(range(len(table)))
