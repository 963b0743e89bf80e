"""Recordings: the real files, through the whole pipeline; windows; live numerics."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pytest
from edfio import Edf, EdfAnnotation, EdfSignal, Patient
from tests.spec.site_kit import digest, findings, found, load, make, rows, value

from estran.app import Site
from estran.model.errors import InputRefused, UsageError
from estran.sources.pipeline.places import place_of
from estran.sources.records import Code
from estran.sources.signal import heart
from estran.sources.signal.numerics import Reading, by_minute
from estran.sources.signal.window import window

NAMES = ("03700181", "100", "100_3chan", "binformats", "drive02-no-len", "drive02", "flacformats", "s0010_re",
         "test_generator_2", "v102s", "041s", "p000878-2137-10-26-16-57")  # fmt: skip


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return make(tmp_path / "site", author_system="CHU")


def known(tmp_path: Path, site: Site, *names: str) -> None:
    """A patient for each recording: introduced by a report, tied by `patients.csv`."""
    people = tmp_path / "people.jsonl"
    people.write_text("".join(f'{{"ipp":"P-{n}","id":"{n}","birth_name":"N{k}","text":"vu"}}\n' for k, n in enumerate(names)))
    ties = tmp_path / "ties" / "patients.csv"
    ties.parent.mkdir(exist_ok=True)
    ties.write_text("number,ipp\n" + "".join(f"{n},P-{n}\n" for n in names))
    load(site, "report", people)
    assert load(site, "signal", ties.parent).total("quarantined") == 0


def amounts(site: Site, code: str) -> list[float]:
    return [v for (v,) in rows(site, "select value from fact join concept using (concept_id) where code = ? order by 1", code)]


def test_the_42_real_files_have_their_account(site: Site, shared: Path, tmp_path: Path) -> None:
    """12 recordings are made of 40 files; a wave file without header and the note on the source are none."""
    folder = shared / "signals_wfdb"
    first = load(site, "signal", folder)
    assert {f.file: (f.read, f.quarantined) for f in first.files} == {
        "signals_wfdb": (10, 10), "041s": (1, 1), "p000878": (1, 1)
    }  # fmt: skip
    assert first.reasons == {"no-patient: The patient is not known yet: no record has introduced this patient number.": 12}
    known(tmp_path, site, *NAMES)
    assert value(site, "select count(*) from document where kind = 'signal'") == 12
    assert value(site, "select count(*) from raw_quarantine") == 0
    assert findings(site) == []
    assert (again := load(site, "signal", folder)).total("superseded") == again.total("read") == 12
    assert found(site, "LOCAL/SIGNAL:PLETH") >= {"P-041s", "P-v102s", "P-p000878-2137-10-26-16-57"}


def test_beats_rhythm_and_rate_of_mit_bih_100(site: Site, shared: Path, tmp_path: Path) -> None:
    known(tmp_path, site, "100")
    load(site, "signal", shared / "signals_wfdb" / "100.hea")
    assert [amounts(site, f"beats-{kind}") for kind in "NAV"] == [[2239.0], [33.0], [1.0]]  # as PhysioNet publishes
    assert amounts(site, "8867-4") == [pytest.approx(74.7, abs=0.2)]
    assert found(site, "LOCAL/SIGNAL:heart-rate-low<80") == {"P-100", "100"}
    assert found(site, "LOCAL/SIGNAL-WFDB-rhythm:N") == {"P-100", "100"}


def test_found_beats_are_those_that_were_annotated(shared: Path) -> None:
    import wfdb

    path = shared / "signals_wfdb" / "100"
    notes, record = wfdb.rdann(str(path), "atr"), wfdb.rdrecord(str(path), channels=[0])
    truth = notes.sample[[s in "NLRaVFJASEj/QBenf?r" for s in notes.symbol]] / record.fs
    samples, step = record.p_signal[:, 0], 60 * 360
    ours = heart.find_beats([(n / 360, samples[n : n + step + 360]) for n in range(0, len(samples), step)], 360.0)
    near = np.abs(ours[np.clip(np.searchsorted(ours, truth), 1, len(ours) - 1)] - truth)
    before = np.abs(ours[np.clip(np.searchsorted(ours, truth), 1, len(ours) - 1) - 1] - truth)
    assert (np.minimum(near, before) < 0.1).mean() > 0.998 and abs(len(ours) - len(truth)) < 15


def test_our_annotations_are_those_of_wfdb(shared: Path) -> None:
    import wfdb

    from estran.sources.signal.wfdb_marks import BEATS, read_annotations

    path = shared / "signals_wfdb" / "100"
    theirs, ours = wfdb.rdann(str(path), "atr"), read_annotations(path.with_suffix(".atr").read_bytes())
    assert ours.beats == [int(s) for s, k in zip(theirs.sample, theirs.symbol, strict=True) if k in BEATS.values()]
    assert [code for _, code in ours.rhythms] == [a.strip("(\0") for a in theirs.aux_note if a.startswith("(")]


def test_gaps_are_read_and_stay_out_of_presence(site: Site, shared: Path, tmp_path: Path) -> None:
    known(tmp_path, site, "p000878-2137-10-26-16-57")
    load(site, "signal", shared / "signals_wfdb" / "multi-segment" / "p000878")
    assert amounts(site, "gaps") == [2551.0]
    assert amounts(site, "gap") == [30.0, 323.0, 2198.0]
    assert value(site, "select count(*) from fact join concept using (concept_id) where code = 'gap' and origin = 2") == 3
    assert found(site, "LOCAL/SIGNAL:gaps") and not found(site, "LOCAL/SIGNAL:gap")


def edf(path: Path, *, cut: bool = False) -> Path:
    """A night of one hour and a half: an electrocardiogram at 72 a minute, stages, an apnea, words."""
    rate, seconds = 100, 5400
    samples = np.zeros(rate * seconds)
    beats = np.arange(0, seconds, 60 / 72)
    for width, height in ((0, 1.0), (1, 0.6), (2, -0.2)):
        samples[np.clip((beats * rate).astype(int) + width, 0, len(samples) - 1)] = height
    notes = [
        EdfAnnotation(0, 30, "Sleep stage W"), EdfAnnotation(30, 30, "Sleep stage N2"),
        EdfAnnotation(75, 20, "Obstructive apnea"), EdfAnnotation(80, None, "M. DURAND se retourne"),
    ]  # fmt: skip
    made = Edf(
        [EdfSignal(samples, rate, label="ECG", physical_dimension="mV", physical_range=(-2, 2))],
        patient=Patient(code="8001", sex="F", birthdate=dt.date(1970, 2, 15), name="Lea_Durand"),
        recording=None, starttime=dt.time(22, 30), annotations=notes,
    )  # fmt: skip
    made.update_data_record_duration(10)
    made.write(path)
    raw = bytearray(path.read_bytes())
    raw[168:176] = b"10.03.24"
    raw[88:168] = b"Startdate 10-MAR-2024 X X X".ljust(80)
    if cut:  # an interruption of 600 s after half an hour
        raw[192:197] = b"EDF+D"
        head, width = int(raw[184:192]), (len(raw) - int(raw[184:192])) // 540
        for record in range(180, 540):
            at = raw.index(b"+", head + record * width + 2000, head + (record + 1) * width)
            old = f"+{record * 10}".encode()
            assert raw[at : at + len(old)] == old
            new = f"+{record * 10 + 600}".encode()
            if len(new) > len(old):  # the padding that follows makes room
                end = head + (record + 1) * width
                raw[at:end] = new + raw[at + len(old) : end - (len(new) - len(old))]
            else:
                raw[at : at + len(old)] = new
    path.write_bytes(bytes(raw))
    return path


def test_an_edf_introduces_its_patient_and_its_words_are_masked(site: Site, tmp_path: Path) -> None:
    report = load(site, "signal", edf(tmp_path / "night.edf"))
    assert (report.total("read"), report.total("loaded")) == (1, 1)
    assert found(site, "LOCAL/SIGNAL-EDF-text:obstructive-apnea") == {"8001"}
    assert amounts(site, "8867-4") == [pytest.approx(72, abs=0.5)]
    assert amounts(site, "heart-rate-hour") == [pytest.approx(72, abs=0.5)] * 2
    [(text,)] = rows(site, "select value_text from fact join concept using (concept_id) where code = 'annotation'")
    assert "DURAND" not in text and "retourne" in text
    when = "select start_date, start_minute, end_minute from fact join concept using (concept_id) where code = 'heart-rate-hour' order by 1, 2"
    assert rows(site, when) == [(dt.date(2024, 3, 10), 1350, 1410), (dt.date(2024, 3, 10), 1410, 30)]


def test_a_cut_edf_tells_its_gaps_and_windows_follow_the_clock(site: Site, tmp_path: Path) -> None:
    path = edf(tmp_path / "cut.edf", cut=True)
    load(site, "signal", path)
    assert amounts(site, "gap") == [600.0]
    assert np.isnan(window(path, "ECG", 1800, 600).samples).all()
    whole = window(edf(tmp_path / "whole.edf"), "ECG", 1795, 10).samples
    assert np.allclose(window(path, "ECG", 1795, 5).samples, whole[:500])
    assert np.allclose(window(path, "ECG", 2400, 5).samples, whole[500:])


def test_windows_are_what_wfdb_reads(shared: Path) -> None:
    import wfdb

    folder = shared / "signals_wfdb"
    for name, channel, start, seconds in (("100", "V5", 12.5, 3.0), ("binformats", "sig 5, fmt 212", 0.5, 1.0),
                                          ("flacformats", "sig 1, fmt 516", 0.1, 2.0)):  # fmt: skip
        record = wfdb.rdrecord(str(folder / name))
        place, first = record.sig_name.index(channel), round(start * record.fs)
        wanted = record.p_signal[first : first + round(seconds * record.fs), place]
        assert np.allclose(window(folder / f"{name}.hea", channel, start, seconds).samples, wanted, equal_nan=True)
    across = window(folder / "multi-segment" / "041s" / "041s.hea", "ABP", 7.0, 2.0).samples
    assert len(across) == 250 and np.isfinite(across).all()
    with pytest.raises(UsageError):
        window(folder / "100.hea", "V5", 0, 1e9)
    with pytest.raises(UsageError):
        window(folder / "100.hea", "V9", 0, 1)
    with pytest.raises(InputRefused):
        window(folder / "drive02.hea", "ECG", 0, 1)


def test_a_document_leads_back_to_its_file(site: Site, tmp_path: Path) -> None:
    path = edf(tmp_path / "night.edf")
    load(site, "signal", path)
    document = value(site, "select document_id from document")
    with site.loading() as parts:
        place = place_of(site.snapshot(), parts.vault, parts.landing, document)
    assert place.file == path
    assert len(window(place.file, "ECG", 60, 10).samples) == 1000
    assert str(tmp_path) not in str(rows(site, "select uri from media"))


AECG = """<AnnotatedECG xmlns="urn:hl7-org:v3" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" type="Observation">
<id root="61d1a24f-b47e-41aa-ae95-f8ac302f4eeb"/><effectiveTime><low value="20240310091000"/></effectiveTime>
<componentOf><timepointEvent><componentOf><subjectAssignment><subject><trialSubject><id root="1.2.250.9" extension="8001"/>
<subjectDemographicPerson><name><family>DURAND</family><given>Lea</given></name><administrativeGenderCode code="F"/>
<birthTime value="19700215"/></subjectDemographicPerson></trialSubject></subject></subjectAssignment></componentOf></timepointEvent></componentOf>
<component><series><effectiveTime><low value="20240310091000.000"/></effectiveTime><component><sequenceSet>
<component><sequence><code code="TIME_ABSOLUTE"/><value xsi:type="GLIST_TS"><head value="20240310091000"/><increment value="0.002" unit="s"/></value></sequence></component>
<component><sequence><code code="MDC_ECG_LEAD_II"/><value xsi:type="SLIST_PQ"><origin value="0" unit="uV"/><scale value="5" unit="uV"/><digits>%s</digits></value></sequence></component>
</sequenceSet></component><subjectOf><annotationSet><component><annotation><code code="MDC_ECG_HEART_RATE" codeSystem="2.16.840.1.113883.6.24"/><value xsi:type="PQ" value="75" unit="bpm"/></annotation></component>
<component><annotation><code code="MDC_ECG_INTERPRETATION"/><value xsi:type="ST">Rythme sinusal</value></annotation></component></annotationSet></subjectOf>
</series></component></AnnotatedECG>"""


def test_an_annotated_ecg_gives_measures_words_and_samples(site: Site, tmp_path: Path) -> None:
    samples = np.zeros(5000, dtype=int)
    for beat in np.arange(100, 5000, 400):
        samples[beat : beat + 12] = (0, 60, 150, 200, 150, 40, -60, -80, -40, -10, 0, 0)
    path = tmp_path / "ecg.xml"
    path.write_text(AECG % " ".join(map(str, samples)))
    load(site, "signal", path)
    with site.vault() as vault:
        assert vault.resolve([("1.2.250.9", "8001")])[0] >= 0
    assert amounts(site, "MDC_ECG_HEART_RATE") == [75.0]
    assert amounts(site, "8867-4") == [pytest.approx(75, abs=0.5)]
    assert np.allclose(window(path, "II", 0.2, 1.0).samples, samples[100:600] * 5.0)


def test_hostile_recordings_are_refused_with_a_sentence(site: Site, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    entities = "".join(f'<!ENTITY y{n} "{f"&y{n - 1};" * 10}">' for n in range(1, 10))
    doctype = f'<!DOCTYPE a [<!ENTITY y0 "AnnotatedECG">{entities}]>'
    laugh = f'{doctype}<AnnotatedECG xmlns="urn:hl7-org:v3">&y9;</AnnotatedECG>'
    files = {
        "up.hea": b"up 1 250 100\n../../etc/passwd 16 200 16 0 0 0 0 ECG\n", "net.hea": b"net 1 250 100\ns3://x/y 16 200\n",
        "root.hea": b"root 1 250 100\n/etc/passwd 16 200\n", "zero.hea": b"zero 1 0 100\nx.dat 16\n",
        "many.hea": b"many 99999999 250 100\n", "cut.hea": b"cut 4 250 100\nx.dat 16 200\n",
        "long.hea": b"long 1 250 99999999999999999999\nx.dat 16 200 16 0 0 0 0 ECG\n",
        "short.edf": b"0       " + b" " * 100, "bomb.xml": laugh.encode(), "empty.edf": b"",
        "ratio.edf": b"0".ljust(184) + b"99999999" + b" " * 44 + b"99999999" + b"0       " + b"9999",
    }  # fmt: skip
    for name, content in files.items():
        (folder / name).write_bytes(content)
    report = load(site, "signal", folder)
    assert (report.total("read"), report.total("loaded"), report.total("quarantined")) == (11, 0, 11)
    assert "A number of the recording is out of range." in str(report.reasons)
    assert not any("patient is not known" in reason for reason in report.reasons)


def test_order_of_arrival_has_no_say(tmp_path: Path) -> None:
    files = [edf(tmp_path / name) for name in ("a.edf", "b.edf")]
    digests = []
    for order in (files, files[::-1]):
        one = make(tmp_path / f"site{len(digests)}", author_system="CHU")
        for file in order:
            load(one, "signal", file)
        digests.append(digest(one))
    assert digests[0] == digests[1]


def test_numerics_are_brought_down_to_minutes() -> None:
    rate, pressure = Code("MDC", "147842", "MDC_ECG_HEART_RATE"), Code("MDC", "150033", "MDC_PRESS_BLD_ART_SYS")
    minute = 60_000_000
    readings = [Reading(rate, minute * 10 + n * 1_000_000, 60.0 + n % 5) for n in range(90)]
    readings += [Reading(pressure, minute * 10, float("nan")), Reading(pressure, minute * 11, 120.0)]
    first, second, third = by_minute(readings)
    assert (first.at, first.median, first.low, first.high, first.count) == (minute * 10, 62.0, 60.0, 64.0, 60)
    assert (second.at, second.count) == (minute * 11, 30)
    assert (third.series, third.median, third.count) == (pressure, 120.0, 1)
    assert by_minute(readings[::-1])[1:] == [first, second]


_PCD = (
    "MSH|^~\\&|Passerelle^080019FFFF4F6AC0^EUI-64|CHU|EDS|CHU|20240311101501+0100||ORU^R01^ORU_R01|{control}|P|2.6|||NE|AL"
    "|FRA|UNICODE UTF-8|||IHE_PCD_001^IHE PCD^1.3.6.1.4.1.19376.1.6.1.1.1^ISO",
    "PID|||4711^^^CHU^PI||DUPRATELLE^Yseult^^^^^L||19610704|F", "PV1||I|REA^REA^12^CHU||||||||||||||||V4711^^^CHU^VN",
    "OBR|1|AB12345^Passerelle|CD12345^Passerelle|182777000^monitoring of patient^SCT|||20240311101400+0100",
    "OBX|1||69965^MDC_DEV_MON_PHYSIO_MULTI_PARAM_MDS^MDC|1.0.0.0|||||||X|||||||0123456789ABCDEF^EUI-64",
    "OBX|2||69798^MDC_DEV_ECG_VMD^MDC|1.1.0.0|||||||X",
    *(f"OBX|{n + 3}|NM|147842^MDC_ECG_HEART_RATE^MDC|1.1.1.1|{70 + n % 7}|264864^MDC_DIM_BEAT_PER_MIN^MDC|||||R|||202403111014{n:02d}+0100"
      for n in range(60)),
    "OBX|63|NM|150021^MDC_PRESS_BLD_NONINV_SYS^MDC|1.2.1.1|120|266016^MDC_DIM_MMHG^MDC|||||R|||20240311101410+0100",
    "OBX|64|NM|150021^MDC_PRESS_BLD_NONINV_SYS^MDC|1.2.1.1|124|266016^MDC_DIM_MMHG^MDC|||||R|||20240311101510+0100",
)  # fmt: skip


def _monitor(folder: Path, name: str, *, control: str = "1", minute: str = "1014") -> Path:
    folder.mkdir(exist_ok=True)
    said = "\r".join(_PCD).format(control=control).replace("202403111014", f"20240311{minute}")
    (folder / name).write_text(said + "\r", "utf-8")
    return folder / name


def test_a_monitor_says_a_minute_in_one_fact(tmp_path: Path) -> None:
    """IHE PCD-01 through the pipeline: sent twice it is there once, the next minute is a document of its own."""
    site = make(tmp_path / "site")
    first = _monitor(tmp_path / "in", "a.hl7")
    assert load(site, "hl7v2", first).total("quarantined") == 0
    load(site, "hl7v2", _monitor(tmp_path / "in", "again.hl7", control="2"))
    query = (
        "select c.code, f.value, f.unit, f.start_minute, f.origin from fact f join raw_concept c on c.concept_id = coalesce(f.local_concept_id, f.concept_id)"
        " where document_id in (select document_id from document) order by document_id, fact_no"
    )
    assert rows(site, query) == [
        ("147842", 73.0, "/min", 614, 0), ("low", 70.0, None, 614, 2), ("high", 76.0, None, 614, 2),
        ("count", 60.0, None, 614, 2), ("150021", 120.0, "mm[Hg]", 614, 0), ("150021", 124.0, "mm[Hg]", 615, 0),
    ]  # fmt: skip
    load(site, "hl7v2", _monitor(tmp_path / "in", "next.hl7", control="3", minute="1016"))
    assert rows(site, "select kind, count(*) from document group by 1") == [("observation", 2)]
    assert rows(site, "select sum(read)::int, sum(loaded)::int, sum(superseded)::int from raw_load") == [(3, 3, 0)]
