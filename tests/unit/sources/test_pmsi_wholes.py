"""PMSI: a RSS is always sent as a whole; the latest sending of it is current, in every order of arrival."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from tests.spec.site_kit import adt, findings, load, make, pid, pv1, rows, value, write_messages
from tests.unit.sources.pmsi_lines import rum, vidhosp, write_file

from estran.sources.pipeline.run import ingest
from estran.sources.pmsi import PmsiReader


def sendings(tmp_path: Path, parts: dict[str, tuple[bytes, ...]]) -> list[Path]:
    """A VID-HOSP file, and one RSS file a day, each with the lines given and the RSS of another stay."""
    other = rum(nda="9009", rss="9", das=[{"code": "I10"}])
    hosp = write_file(tmp_path / "vidhosp.txt", vidhosp("9001", "8001"), vidhosp("9009", "8009"))
    return [hosp, *(write_file(tmp_path / f"rss.{day}.txt", *lines, other) for day, lines in parts.items())]


FIRST, SECOND = rum(dp="I500"), rum(rum="2", um="6025", entree="05012023", dp="J189")
CURRENT = "select code from fact join concept using (concept_id) join document using (document_id) where role = 'DP' and title = 'RUM' order by 1"


@pytest.mark.parametrize(
    ("parts", "diagnoses", "moves"),
    [
        ({"20230210": (FIRST, SECOND), "20230310": (FIRST,)}, ["I50.0"], 1),
        ({"20230210": (FIRST, SECOND), "20230310": (rum(dp="I10"),)}, ["I10"], 1),
        ({"20230210": (FIRST, SECOND), "20230310": (rum(rum="7", dp="I10"), rum(rum="8", dp="I48"))}, ["I10", "I48"], 2),
        ({"20230210": (FIRST,), "20230310": (FIRST, SECOND)}, ["I50.0", "J18.9"], 2),
        ({"20230210": (FIRST, SECOND), "20230310": (FIRST,), "20230410": (FIRST, rum(rum="3", dp="I48"))}, ["I48", "I50.0"], 2),
        ({"20230210": (FIRST, SECOND), "20230310": (rum("022"),), "20230410": (FIRST, SECOND)}, ["I50.0", "J18.9"], 2),
    ],
    ids=["dropped", "dropped and changed", "numbered anew", "added", "three sendings", "other format, then back"],
)  # fmt: skip
def test_the_latest_sending_of_a_rss_is_all_of_it(
    parts: dict[str, tuple[bytes, ...]], diagnoses: list[str], moves: int, tmp_path: Path
) -> None:
    """A RUM that a later sending leaves out is gone, with its movement; in every order of arrival, one by one or at once."""
    files = sendings(tmp_path, parts)
    told = set()
    sent = files[1:]
    orders = [sent[n:] + sent[:n] for n in range(len(sent))]  # each is first once, and last once
    for place, order in enumerate([*orders, None]):
        site = make(tmp_path / f"site{place}", author_system="CHU")
        load(site, "pmsi", files[0])
        if order is None:
            load(site, "pmsi", *files[1:])
        for path in order or ():
            load(site, "pmsi", path)
        assert rows(site, CURRENT) == sorted((code,) for code in [*diagnoses, "I50.0"])
        assert value(site, "select count(*) from movement") == moves + 1
        assert findings(site) == []
        told.add(tuple(rows(site, "select title, d.start_date, u.code, c.code, role, value from fact f join document d using (document_id) "
                                  "join concept c using (concept_id) left join unit u using (unit_id) order by all")))  # fmt: skip
        told.add(tuple(rows(site, "select m.start_date, u.code, stay_id from movement m join unit u using (unit_id) order by all")))
    assert len(told) == 2  # the same documents and facts, and the same movements, in every order


def test_a_rss_sent_again_unchanged_says_nothing_new(tmp_path: Path) -> None:
    """Two RSS of one stay are two wholes; the same lines, in another order, are the same documents."""
    site = make(tmp_path / "site", author_system="CHU")
    again = rum(rss="2", entree="05022023", sortie="06022023", dp="Z511")
    files = sendings(tmp_path, {"20230210": (FIRST, SECOND), "20230310": (again, SECOND, FIRST)})
    load(site, "pmsi", *files[:2])
    report = load(site, "pmsi", files[2])
    assert (report.total("read"), report.total("loaded"), report.total("superseded")) == (4, 1, 3)
    assert rows(site, CURRENT) == [("I50.0",), ("I50.0",), ("J18.9",), ("Z51.1",)]
    assert findings(site) == []


def test_two_sendings_in_one_archive_are_two(tmp_path: Path) -> None:
    hosp, *files = sendings(tmp_path, {"20230210": (FIRST, SECOND), "20230310": (FIRST,)})
    both = tmp_path / "both.zip"
    with zipfile.ZipFile(both, "w") as archive:
        for file in files:
            archive.write(file, file.name)
    for number, order in enumerate(([both], [both, files[1]], [files[1], both], [files[0], both])):
        site = make(tmp_path / str(number), author_system="CHU")
        load(site, "pmsi", hosp)
        for path in order:
            load(site, "pmsi", path)
        assert rows(site, CURRENT) == [("I50.0",), ("I50.0",)]
        assert findings(site) == []


def test_rum_after_the_first_stretch_of_a_file_are_parts_of_their_rss(tmp_path: Path) -> None:
    site = make(tmp_path / "site", author_system="CHU")
    hosp = [vidhosp(f"90{n}", f"80{n}") for n in range(10, 14)]
    lines = {"20230210": (FIRST, SECOND), "20230310": (FIRST,)}
    files = [write_file(tmp_path / f"rss.{day}.txt", vidhosp("9001", "8001"), *hosp, *what) for day, what in lines.items()]
    with site.loading() as parts:
        small = {**parts.readers, "pmsi": lambda source: PmsiReader(author_system="CHU", batch_records=2)}
        for file in files:
            ingest(replace(parts, readers=small), "pmsi", [file])
    assert rows(site, CURRENT) == [("I50.0",)]


def test_a_rss_across_two_stretches_of_lines_stays_one(tmp_path: Path) -> None:
    """Batches of two lines and a commit after each: a RSS of three RUM that lost its first one is whole again."""
    site = make(tmp_path / "site", author_system="CHU", commit_records=1)
    third = rum(rum="3", entree="07012023", dp="I48")
    files = sendings(tmp_path, {"20230210": (FIRST, SECOND), "20230310": (third, FIRST, SECOND)})
    load(site, "pmsi", *files[:2])
    with site.loading() as parts:
        small = {**parts.readers, "pmsi": lambda source: PmsiReader(author_system="CHU", batch_records=2)}
        ingest(replace(parts, readers=small), "pmsi", [files[2]])
    assert rows(site, CURRENT) == [("I48",), ("I50.0",), ("I50.0",), ("J18.9",)]
    assert findings(site) == []


def test_the_same_stay_of_two_patients_waits_until_they_are_one(tmp_path: Path) -> None:
    site = make(tmp_path / "site", author_system="CHU")
    people = [adt("A01", "202301020900", pid(ipp, name, "JANE", "19500304", "F"), pv1("9001"), number=ipp) for ipp, name in (("1", "DOE"), ("2", "ROE"))]
    load(site, "hl7v2", write_messages(tmp_path / "adt.hl7", *people))
    assert load(site, "pmsi", write_file(tmp_path / "rss.txt", rum())).total("quarantined") == 1
    merge = adt("A40", "202301030900", pid("1", "DOE", "JANE", "19500304", "F"), "MRG|2^^^CHU^PI", number="m")
    assert load(site, "hl7v2", write_messages(tmp_path / "merge.hl7", merge)).replayed == 1
    assert value(site, "select count(*) from document where title = 'RUM'") == 1
    assert findings(site) == []
