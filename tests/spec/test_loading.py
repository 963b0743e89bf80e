"""What loading promises: the published counts, sums that always add up, no order that matters.

Real sets first, then small sites where one thing is shown at a time.
"""

from __future__ import annotations

import gzip
import random
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from tests.spec import planted, scanner, written
from tests.spec import site_kit as kit
from tests.spec.conftest import Everything, load_all

from estran import app
from estran.app import Site
from estran.projects import opposition
from estran.projects.actors import KEY_HOLDER
from estran.projects.desk import Desk, ReadingRoom
from estran.sources.pipeline.run import Progress, ingest
from estran.state import Wish

UNKNOWN = "no-patient: The patient is not known yet: no record has introduced this patient number."

# Every record read ends in one of three ways, and every reason for the third is known.
STAFF = "is not read yet: the warehouse holds no record of its care staff."
BULK = {"unknown-type: A Bulk Data log line, not a resource.": 4}
REASONS: dict[str, dict[str, int]] = {
    # 5,343 observation periods come for 2,694 persons; empty tables hold their header as a row.
    "gibleed": {UNKNOWN: 2649, "header: The row repeats the table's header.": 20},
    "synthea27nj": {
        "unknown-type: This relationship between concepts has no place in the warehouse.": 119_740,
        "unknown-type: Table PROVIDER is not read: a provider is a named professional.": 67,
    },
    "bulk10": BULK | {f"unknown-type: Resource type {t} {STAFF}": 43 for t in ("Practitioner", "PractitionerRole")},
    "bulk100": BULK | {f"unknown-type: Resource type {t} {STAFF}": 271 for t in ("Practitioner", "PractitionerRole")},
    "linuxforhealth": {
        "truncated: The message stops after its MSH segment.": 57,
        "no-patient: The message holds no number of the patient (PID-3).": 12,
        "missing: The message has no result: neither OBR nor OBX.": 6,
        "missing: The message has no PID segment.": 5,
        "malformed: MSH-7 is not a timestamp.": 3,
        UNKNOWN: 2,
        "malformed: PRB-7 is not a timestamp.": 2,
        "malformed: PRB-2 is not a timestamp.": 1,
        "malformed: EVN-2 is not a timestamp.": 1,
        "missing: The message has no TXA segment.": 1,
        "unknown-type: Message type CUSTOM^PAT is not read yet.": 1,
    },
    "ans": {"unknown-type: An acknowledgement carries no data.": 9},
    "frcore": {UNKNOWN: 3},  # the stay and its movements are of a patient who is not in the set
    "cases": {},
    "planted-report": {},
    "planted-fhir": {},
    "planted-hl7v2": {},
}  # fmt: skip
READ = {
    "gibleed": 411_154, "synthea27nj": 294_203, "bulk10": 7164, "bulk100": 3310, "linuxforhealth": 297, "ans": 19,
    "frcore": 6, "cases": 1436, "planted-report": 20, "planted-fhir": 34, "planted-hl7v2": 20,
}  # fmt: skip


SUPERSEDED = {
    "gibleed": 13,  # two rows of one person under one drug_exposure_id or measurement_id: the later one holds
    "synthea27nj": 1,  # a vocabulary that says nothing new
    "linuxforhealth": 69,  # identities, stays and orders (under one number and one second) stated before
    "ans": 2,  # a document replaced by a later message, and one taken back
}


def test_gibleed_gives_the_published_counts(everything: Everything) -> None:
    """Counted when nothing else had been loaded yet."""
    assert everything.gibleed == kit.PUBLISHED


@pytest.mark.parametrize("name", REASONS)
def test_every_record_is_accounted_for(name: str, everything: Everything) -> None:
    report = everything.reports[name]
    assert not report.refused_files
    for part in report.files:
        assert part.read == part.loaded + part.superseded + part.quarantined, (part.file, part.part)
    assert report.total("read") == READ[name]
    assert report.reasons == REASONS[name]
    assert report.total("quarantined") == sum(REASONS[name].values())
    assert report.total("superseded") == SUPERSEDED.get(name, 0)


def test_every_invariant_holds(everything: Everything) -> None:
    assert kit.findings(everything.site) == []


def test_what_is_quarantined_says_where_and_why(everything: Everything) -> None:
    """Each line names its source, its place in the file and its reason; reasons are sentences."""
    vague = "source = '' or code = '' or reason not like '%.' or field is null or field = '' or record_no < 0"
    assert kit.value(everything.site, f"select count(*) from raw_quarantine where {vague}") == 0
    assert kit.value(everything.site, "select count(*) from raw_quarantine where waits_for is null and code = 'no-patient'") == 12


COUNTED = ("patient", "stay", "movement", "document", "text", "fact", "fact_attribute", "media", "concept", "quarantine")


def test_loading_everything_twice_changes_nothing(everything: Everything, shared: Path, tmp_path: Path) -> None:
    site = everything.copy(tmp_path / "again")
    digest, counts = kit.digest(site), site.snapshot().counts
    for name, again in load_all(site, shared, everything.inputs).items():
        first = everything.reports[name]
        assert again.total("read") == again.total("superseded") == first.total("read"), name
        assert (again.replayed, again.reasons) == (0, {}), name
    after = site.snapshot().counts
    assert {n: after[n] for n in COUNTED} == {n: counts[n] for n in COUNTED}
    assert kit.digest(site) == digest
    assert kit.findings(site) == []


# No order of arrival matters

SMALL = ("linuxforhealth", "ans", "frcore")


def _in_order(shared: Path, folder: Path) -> str:
    """The digest of the smaller sets and the planted reports, loaded feed after feed."""
    site = kit.make(folder / "site")
    for name in SMALL:
        feed = kit.feeds(shared)[name]
        kit.load_feed(site, feed, [] if feed.path.is_file() else _files(feed))
    for format_name, paths in planted.write(folder / "planted").items():
        kit.load(site, format_name, *paths, name="planted")
    assert kit.findings(site) == []
    return kit.digest(site)


def test_reversed_files_in_many_loads_and_small_buckets(shared: Path, tmp_path: Path) -> None:
    """Many loads, the last files first; three patients per bucket."""
    site = kit.make(tmp_path / "site", bucket_patients=3)
    for format_name, paths in planted.write(tmp_path / "planted").items():
        for first in range(len(paths), 0, -5):
            kit.load(site, format_name, *paths[max(first - 5, 0) : first], name="planted")
    for name in reversed(SMALL):
        feed = kit.feeds(shared)[name]
        paths = (_messages(feed, tmp_path / "cut") if name == "linuxforhealth" else _files(feed))[::-1]
        for first in range(0, len(paths), 4):
            kit.load_feed(site, feed, paths[first : first + 4])
    assert kit.findings(site) == []
    assert kit.digest(site) == _in_order(shared, tmp_path / "in_order")


def _files(feed: kit.Feed) -> list[Path]:
    return [p for p in sorted(feed.path.iterdir()) if not p.name.startswith(("SOURCE", "README"))]


def _messages(feed: kit.Feed, folder: Path) -> list[Path]:
    """The messages of an NDJSON file, turned around and cut into five files."""
    folder.mkdir()
    lines = gzip.decompress(feed.path.read_bytes()).splitlines(keepends=True)[::-1]
    for n in range(5):
        (folder / f"{n}.ndjson").write_bytes(b"".join(lines[n::5]))
    return sorted(folder.iterdir())


def test_any_order_of_messages(shared: Path, tmp_path: Path) -> None:
    """Merges, cancellations and corrections among them."""
    lines = [*_STORY, *(m.replace("8001", "8002").replace("SEJ", "SEK") for m in _STORY)]
    digests = set()
    for turn in range(3):
        random.Random(turn).shuffle(lines)
        site = kit.make(tmp_path / f"site{turn}", bucket_patients=1 + turn % 2)
        for part in range(turn + 1):
            kit.load(site, "hl7v2", kit.write_messages(tmp_path / f"{turn}.{part}.hl7", *lines[part :: turn + 1]))
        assert kit.findings(site) == []
        digests.add(kit.digest(site))
    assert len(digests) == 1


DUPRAT = kit.pid("8001", "DUPRATELLE", "Yseult", "19610704", "F")
OTHER = kit.pid("8801", "DUPRATELLE", "Yseult", "19610704", "F")
_STORY = [
    kit.adt("A01", "20240301080000", DUPRAT, kit.pv1("SEJ1", "CARDIO")),
    kit.adt("A02", "20240302090000", DUPRAT, kit.pv1("SEJ1", "REA")),
    kit.adt("A12", "20240302090000", DUPRAT, kit.pv1("SEJ1", "CARDIO"), number="A12"),
    kit.adt("A03", "20240305100000", DUPRAT, kit.pv1("SEJ1", "CARDIO")),
    kit.adt("A13", "20240305110000", DUPRAT, kit.pv1("SEJ1", "CARDIO")),
    kit.adt("A03", "20240306100000", DUPRAT, kit.pv1("SEJ1", "CARDIO"), number="A03bis"),
    kit.adt("A31", "20240307100000", kit.pid("8001", "DUPRATELLE-KERMOR", "Yseult", "19610705", "F")),
    kit.oru("202403020700", DUPRAT, "L1", "OBX|1|NM|2160-0^Créatinine^LN||71|umol/L|||||P", visit=kit.pv1("SEJ1")),
    kit.oru("202403020900", DUPRAT, "L1", "OBX|1|NM|2160-0^Créatinine^LN||74|umol/L|||||F", visit=kit.pv1("SEJ1")),
    kit.oru("202403030900", OTHER, "L2", "OBX|1|TX|CR^Note^L||Mme Dupratelle-Kermor va bien.||||||F"),
    kit.message(kit.msh("ADT^A40", "20240310", "M1"), "EVN|A40|20240310", DUPRAT, "MRG|8801^^^CHU^PI"),
]


def test_the_story_ends_as_it_must(tmp_path: Path) -> None:
    site = _loaded(tmp_path, *_STORY)
    ((kind, start, end, unit),) = kit.rows(site, "select s.kind, start_date, end_date, u.code from stay s left join unit u using (unit_id)")
    assert (kind, str(start), str(end), unit) == ("venue", "2024-03-01", "2024-03-06", "CARDIO")
    assert kit.rows(site, "select value, status from fact") == [(74.0, 0)]
    assert kit.rows(site, "select text from text") == [("Note : Mme [NOM] va bien.",)]
    assert kit.count(site, "tous()") == 1


def test_omop_tables_in_any_order(shared: Path, tmp_path: Path) -> None:
    """The facts, then the persons, then the vocabulary; or all at once."""
    feed = kit.feeds(shared)["synthea27nj"]
    (folder := tmp_path / "csv").mkdir()
    with zipfile.ZipFile(feed.path) as archive:
        for entry in archive.infolist():
            name = Path(entry.filename).name
            if name.endswith(".csv") and "CONCEPT_RELATIONSHIP" not in name.upper() and not name.startswith("._"):
                (folder / name).write_bytes(archive.read(entry))
    at_once, turned = kit.make(tmp_path / "a"), kit.make(tmp_path / "b", bucket_patients=10)
    kit.load_feed(at_once, feed, [folder])
    paths = sorted(folder.iterdir(), reverse=True)
    for first in range(0, len(paths), 3):
        kit.load_feed(turned, feed, paths[first : first + 3])
    assert kit.findings(turned) == []
    assert kit.digest(turned) == kit.digest(at_once)


# One thing at a time


def _loaded(folder: Path, *messages: str, **settings: int) -> Site:
    site = kit.make(folder / "site", **settings)
    kit.load(site, "hl7v2", kit.write_messages(folder / "first.hl7", *messages))
    return site


def _add(site: Site, folder: Path, *messages: str) -> None:
    number = len(list(folder.glob("*.hl7")))
    kit.load(site, "hl7v2", kit.write_messages(folder / f"then{number}.hl7", *messages))


YSEULT = kit.pid("7001", "DUPRATELLE", "Yseult", "19610704", "F")
BARE = kit.pid("7001")
CREATININE = "OBX|1|NM|2160-0^Créatinine^LN||71|umol/L|||||F"


def test_a_record_of_an_unknown_patient_waits_and_comes_back_by_itself(tmp_path: Path) -> None:
    site = kit.make(tmp_path / "site")
    early = kit.load(site, "hl7v2", kit.write_messages(tmp_path / "results.hl7", kit.oru("202403020700", BARE, "L1", CREATININE)))
    assert (early.total("quarantined"), early.reasons) == (1, {UNKNOWN: 1})
    assert kit.count(site, "LOINC:2160-0") == 0
    late = kit.load(site, "hl7v2", kit.write_messages(tmp_path / "people.hl7", kit.adt("A28", "20240301", YSEULT)))
    assert late.replayed == 1
    assert kit.count(site, "LOINC:2160-0") == 1
    assert kit.rows(site, "select * from raw_quarantine") == []
    assert kit.rows(site, "select read, loaded, superseded, quarantined from raw_load order by load_id") == [(1, 1, 0, 0)] * 2
    assert kit.findings(site) == []


def test_fr_core_movements_load_when_their_patient_arrives(shared: Path, tmp_path: Path) -> None:
    site = kit.make(tmp_path / "site")
    kit.load_feed(site, kit.feeds(shared)["frcore"])
    patient = {"resourceType": "Patient", "id": "exemple-patient-11122019", "name": [{"family": "ROUAULTIN"}]}
    report = kit.load(site, "fhir", kit.write_lines(tmp_path / "p.ndjson", [patient]), name="frcore")
    assert report.replayed == 3
    assert kit.rows(site, "select kind, cast(start_date as varchar) from stay") == [("venue", "2019-08-10")]
    found = kit.rows(site, "select cast(start_date as varchar), cast(end_date as varchar) from movement order by 1")
    assert found == [("2019-10-08", "2019-10-15"), ("2019-10-16", "2019-10-18")]


class _Stopped(Exception):
    """The power went off."""


def test_an_interrupted_load_goes_on_where_it_stopped(shared: Path, tmp_path: Path) -> None:
    feed = kit.feeds(shared)["bulk10"]
    whole = kit.make(tmp_path / "whole")
    kit.load_feed(whole, feed)
    site = kit.make(tmp_path / "site", commit_records=1000)

    def stop(step: Progress) -> None:
        if step.number == 9:
            raise _Stopped

    with site.loading() as parts, pytest.raises(_Stopped):
        ingest(parts, "fhir", [feed.path], name=feed.name, progress=stop)
    site = app.open_site(site.directory)
    assert site.snapshot().counts["document"] > 0
    assert kit.findings(site) == []
    kit.load_feed(site, feed)
    assert kit.digest(site) == kit.digest(whole)
    sums = "select sum(loaded)::int, sum(quarantined)::int from raw_load"  # what was read twice is superseded
    assert kit.rows(site, sums) == kit.rows(whole, sums)
    assert kit.rows(site, "select * from raw_load where not complete or read <> loaded + superseded + quarantined") == []


NOTE = "OBX|1|TX|CR^Note^L||Vue ce jour, Delphinine Crozemarie va mieux.||||||F"


def test_a_name_learnt_later_masks_earlier_texts(tmp_path: Path) -> None:
    known = kit.pid("7001", "DUPRATELLE", "Yseult", "19610704", "F")
    site = _loaded(tmp_path, kit.adt("A28", "20240301", known), kit.oru("202403020700", known, "L1", NOTE))
    assert kit.texts(site, "crozemarie")
    _add(site, tmp_path, kit.adt("A31", "20240401", kit.pid("7001", "CROZEMARIE", "Delphinine", "19610704", "F")))
    assert kit.rows(site, "select text from text") == [("Note : Vue ce jour, [PRENOM] [NOM] va mieux.",)]
    assert not kit.texts(site, "crozemarie") and kit.texts(site, "mieux")
    assert kit.findings(site) == []


def _moments(site: Site) -> list[tuple[object, ...]]:
    """Start and precision of the stay, the movement, the document and the fact."""
    found = []
    for table in ("stay", "movement", "document", "fact"):
        found += kit.rows(site, f"select '{table}', cast(start_date as varchar), start_minute, precision from {table}")
    return found


def test_a_birth_date_is_never_a_moment(tmp_path: Path) -> None:
    """Learnt later it hides earlier moments; corrected, it gives them back and hides others."""

    def born(birth: str, at: str) -> str:
        return kit.adt("A31", at, kit.pid("7001", "DUPRATELLE", "Yseult", birth, "F"), number=f"{at}{birth}")

    exact = [(t, "2024-03-02", 480 if t in ("stay", "movement") else 420, 4) for t in ("stay", "movement", "document", "fact")]
    hidden = [(t, "2024-03-01", None, 1) for t in ("stay", "movement", "document", "fact")]
    unborn = kit.pid("7001", "DUPRATELLE", "Yseult", "", "F")
    site = _loaded(
        tmp_path, kit.adt("A01", "20240302080000", unborn, kit.pv1("SEJ1", "MATER")),
        kit.oru("202403020700", unborn, "L1", CREATININE, visit=kit.pv1("SEJ1")),
    )  # fmt: skip
    assert _moments(site) == exact
    _add(site, tmp_path, born("20240302", "20240303"))
    assert _moments(site) == hidden
    assert kit.rows(site, "select cast(birth_month as varchar) from patient") == [("2024-03-01",)]
    _add(site, tmp_path, born("20240228", "20240304"))
    assert _moments(site) == exact
    _add(site, tmp_path, born("20240302", "20240305"))
    assert _moments(site) == hidden
    assert kit.findings(site) == []


def test_a_merge_across_buckets_and_its_undoing(tmp_path: Path) -> None:
    """Two numbers, two buckets: one patient while the merge holds, two again when it is undone."""
    first, second = (kit.pid(n, "DUPRATELLE", "Yseult", "19610704", "F") for n in ("7001", "7002"))
    site = _loaded(
        tmp_path, kit.adt("A01", "20240301080000", first, kit.pv1("SEJ1")),
        kit.adt("A01", "20240401080000", second, kit.pv1("SEJ2")),
        kit.oru("202403020700", first, "L1", CREATININE, visit=kit.pv1("SEJ1")),
        kit.oru("202404020700", second, "L2", "OBX|1|NM|718-7^Hémoglobine^LN||12|g/dL|||||F", visit=kit.pv1("SEJ2")),
        bucket_patients=1,
    )  # fmt: skip
    before = kit.digest(site)
    both = "LOINC:2160-0 ET LOINC:718-7"
    assert (kit.count(site, both), kit.count(site, "tous()"), len(site.snapshot().buckets)) == (0, 2, 2)
    said = "[merge]\nkept | gone | at | undo\n7001 | 7002 | {} | {}\n"
    written.load(site, tmp_path / "merge.txt", said.format("2024-05-01", "no"))
    assert (kit.count(site, both), kit.count(site, "tous()")) == (1, 1)
    assert kit.findings(site) == []
    written.load(site, tmp_path / "undo.txt", said.format("2024-05-02", "yes"))
    assert (kit.count(site, both), kit.count(site, "tous()")) == (0, 2)
    assert kit.findings(site) == []
    assert kit.digest(site) == before


def test_a_late_stay_links_by_itself(tmp_path: Path) -> None:
    """A result names a stay that nobody has introduced: it counts as having none, until it arrives."""
    together = "MÊME SÉJOUR(LOINC:2160-0 ET séjour(type=venue))"
    site = _loaded(tmp_path, kit.adt("A28", "20240301", YSEULT), kit.oru("202403020700", BARE, "L1", CREATININE, visit=kit.pv1("SEJ1")))
    assert kit.value(site, "select sum(unknown_stays)::int from raw_load") == 1
    assert (kit.count(site, "LOINC:2160-0"), kit.count(site, together)) == (1, 0)
    _add(site, tmp_path, kit.adt("A01", "20240302060000", YSEULT, kit.pv1("SEJ1", "CARDIO")))
    assert kit.count(site, together) == 1
    assert kit.findings(site) == []


# What a patient may ask


def _two_people(folder: Path) -> Site:
    other = kit.pid("7002", "MAUREPASSANT", "Gildas", "19550505", "M")
    letters = [
        kit.oru("202403020700", YSEULT, "L1", "OBX|1|TX|CR^Note^L||Patiente suivie pour zébulonite sévère.||||||F", CREATININE),
        kit.oru("202403020800", other, "L2", "OBX|1|TX|CR^Note^L||Patient suivi pour goutte.||||||F", CREATININE),
    ]
    people = [kit.adt("A01", "20240301080000", p, kit.pv1(f"SEJ{n}")) for n, p in enumerate((YSEULT, other))]
    return _loaded(folder, *people, *letters)


def test_opposition_hides_at_once_and_its_end_shows_again(tmp_path: Path) -> None:
    site = _two_people(tmp_path)
    who = kit.patient_of(site, "7001")
    (document,) = kit.texts(site, "zébulonite")

    def seen() -> tuple[int, int, bool, bool, bool]:
        desk = Desk(ReadingRoom(site), KEY_HOLDER)
        pages = desk.timeline(who) is not None, desk.document(document) is not None
        return kit.count(site, "LOINC:2160-0"), kit.count(site, "tous()"), bool(kit.texts(site, "zébulonite")), *pages

    assert seen() == (2, 2, True, True, True)
    wish = Wish(who, "research", "opposition", site.today())
    opposition.declare(site.state, site.warehouse, KEY_HOLDER, wish)
    assert seen() == (1, 1, False, False, False)
    assert kit.findings(site) == []
    assert len(kit.ask(site, "tous()", "duckdb", site.snapshot().version - 1)) == 1, "older snapshots hide too"
    opposition.declare(site.state, site.warehouse, KEY_HOLDER, replace(wish, ends=True))
    assert seen() == (2, 2, True, True, True)


def test_erasure_of_a_merged_patient_takes_all_of_it(tmp_path: Path) -> None:
    """What a merge retired under the other number, in the other bucket, goes as well."""
    said = "OBX|1|TX|CR^Note^L||Suivi d'une {} ancienne.||||||F"
    first, second = (kit.pid(n, "DUPRATELLE", "Yseult", "19610704", "F") for n in ("7001", "7002"))
    site = _loaded(
        tmp_path, kit.oru("202403020700", first, "L1", said.format("zébulonite")),
        kit.oru("202403020800", second, "L2", said.format("trombolinose")),
        kit.oru("202403020900", kit.pid("7003", "MAUREPASSANT", "Gildas", "19550505", "M"), "L3", said.format("goutte")),
        bucket_patients=1,
    )  # fmt: skip
    _add(site, tmp_path, kit.message(kit.msh("ADT^A40", "20240310", "M1"), "EVN|A40|20240310", first, "MRG|7002^^^CHU^PI"))
    words = scanner.Wanted(words=["zebulonite", "trombolinose"])
    assert {f.what for f in scanner.scan(site.directory, words)} == words.words
    with site.loading() as parts:
        wish = Wish(kit.patient_of(site, "7002"), "warehouse", "erasure", site.today())
        opposition.erase(site.state, KEY_HOLDER, parts.warehouse, parts.vault, parts.landing.forget, wish)
    assert scanner.scan(site.directory, words) == set()
    assert (kit.count(site, "tous()"), bool(kit.texts(site, "goutte"))) == (1, True)
    assert kit.findings(site) == []


def test_erasure_leaves_nothing_in_any_file(tmp_path: Path) -> None:
    site = _two_people(tmp_path)
    who = kit.patient_of(site, "7001")
    (document,) = kit.texts(site, "zébulonite")
    content = scanner.Wanted(words=["zebulonite", "dupratelle", "yseult"], digits=["19610704"])
    assert scanner.scan(site.directory, content), "the scan does find what is there"
    before = {path: path.read_bytes() for path in (site.directory / "landing").rglob("*.land")}
    with site.loading() as parts:
        wish = Wish(who, "warehouse", "erasure", site.today())
        opposition.erase(site.state, KEY_HOLDER, parts.warehouse, parts.vault, parts.landing.forget, wish)
    assert scanner.scan(site.directory, content) == set()
    assert not any(path.exists() for path in before)
    with site.vault() as vault:
        assert vault.resolve([("CHU", "7001")])[0] == -1
        assert vault.check() == []
    for table in ("patient", "stay", "stay_event", "movement", "document", "text", "fact", "fact_by_concept"):
        key = {"stay_event": "identity_id"}.get(table, "patient_id")
        assert kit.value(site, f"select count(*) from raw_{table} where {key} = ?", who) == 0, table
    assert kit.value(site, "select count(*) from raw_text where document_id = ?", document) == 0
    assert (kit.count(site, "LOINC:2160-0"), kit.texts(site, "goutte") != set()) == (1, True)
    assert [info.version for info in site.warehouse.versions()] == [site.snapshot().version]
    assert kit.findings(site) == []
