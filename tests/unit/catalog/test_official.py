"""Official monthly figures: the file line by line, and differences with the stays behind them."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.engines.tables import dataset

from estran.catalog import official
from estran.model.errors import InputRefused
from estran.warehouse import Snapshot

FILE = """month;figure;code;value
2024-01;stays;;3
2024-01;deaths;;1
2024-01;ghm;05M093;1
2024-01;ghm;01M111;2
2024-01;sessions;;4

2024-02;séjours;;1 000
"""


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    return dataset(
        patients="patient | died\n1 | 2024-01-20\n2 |\n3 |",
        stays="""
            stay | patient | kind    | start      | end        | exit
            1    | 1       | venue   | 2024-01-10 | 2024-01-20 | 8
            2    | 2       | venue   | 2023-12-30 | 2024-01-02 | 9
            3    | 2       | venue   | 2024-01-30 | 2024-02-02 | 8
            4    | 3       | session | 2024-01-05 | 2024-01-05 | 8
            5    | 3       | session | 2024-02-05 | 2024-02-05 | 8
            6    | 3       | venue   | 2024-01-05 |            |
            """,
        facts="""
            patient | stay | code               | start      | doc | value
            1       | 1    | GHM:05M093         | 2024-01-10 | 10  |
            2       | 3    | GHM:05M093         | 2024-01-30 | 11  |
            2       | 2    | GHM:04M05T         | 2023-12-30 | 12  |
            3       | 4    | LOCAL/PMSI:seances | 2024-01-05 | 13  | 3
            """,
        documents="\n".join(["doc | patient | kind", *(f"{n} | 1 | pmsi" for n in (10, 11, 12, 13))]),
    ).write(tmp_path_factory.mktemp("site") / "w")  # fmt: skip


def test_differences_are_told_month_by_month(snapshot: Snapshot) -> None:
    found = official.differences(snapshot, official.parse_figures(FILE))
    assert [(d.month, d.figure, d.code, d.official, d.ours) for d in found] == [
        ("2024-01", "deaths", "", 1, 2),
        ("2024-01", "ghm", "01M111", 2, 0),
        ("2024-01", "ghm", "04M05T", 0, 1),
        ("2024-01", "ghm", "05M093", 1, 1),
        ("2024-01", "sessions", "", 4, 3),
        ("2024-01", "stays", "", 3, 2),
        ("2024-02", "stays", "", 1000, 1),
    ]
    assert [d.beyond(30) for d in found] == [True, True, True, False, False, True, True]


def test_a_month_without_summaries_counts_the_session_stays(snapshot: Snapshot) -> None:
    assert official.counted(snapshot, ["2024-02"])["2024-02", "sessions", ""] == (1, 1)


def test_the_stays_behind_a_figure_are_listed(snapshot: Snapshot) -> None:
    assert [r["stay_id"] for r in official.rows_of(snapshot, "2024-01", "deaths")] == [2, 1]
    assert [r["stay_id"] for r in official.rows_of(snapshot, "2024-01", "ghm", "05M093")] == [1]
    for asked in (("2024-13", "stays", ""), ("2024-01", "nothing", ""), ("2024-01", "ghm", "' OR true --")):
        assert official.rows_of(snapshot, *asked) == []


def test_each_line_that_cannot_be_read_is_named() -> None:
    text = "mois,chiffre,code,valeur\n2024-1,stays,,3\n2024-01,beds,,3\n2024-01,ghm,,3\n2024-01,stays,,-1\n2024-01,stays,,2\n2024-01,stays,,2\n"
    with pytest.raises(InputRefused) as refused:
        official.parse_figures(text, "f.csv")
    assert refused.value.where.count("line ") == 5
    for line in (2, 3, 4, 5, 7):
        assert f"line {line}: " in refused.value.where
    with pytest.raises(InputRefused, match="heading"):
        official.parse_figures("a;b\n1;2\n")


def test_files_of_a_french_spreadsheet_are_read(tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    path.write_bytes("mois;chiffre;code;valeur\r\n2024-01;décès;;12\r\n".encode("cp1252"))
    assert official.read_figures(path) == {("2024-01", "deaths", ""): 12}
