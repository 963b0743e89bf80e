"""Hostile input: whatever the bytes, each record is loaded or refused and nothing is raised."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import orjson
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import estran.samples
from estran.model.codes import FactStatus
from estran.settings import Settings
from estran.sources.hl7v2 import Hl7v2Reader
from estran.sources.hl7v2.framing import Frame
from estran.sources.hl7v2.gathering import Gathering, Held
from estran.sources.records import Batch

SAMPLES = Path(estran.samples.__path__[0]) / "hl7v2"
DELIMITERS = b"|^~\\&\r\n\x0b\x1c\x00\"MSHOBX-+.<>0123456789ZEDT\xe9\xc3\xff"
EDGES = ["", '""', "99999999999999", "00000000", "20240230", "1e999", "-", "^^^^", "~~~", "&&&", "\\X\\", "\\F", "٣",
         "²", "\u2028", "9" * 400, "20231029023000+9999", "18000101", "22500101120000", "\ufffd", "ED", "NM", "D"]  # fmt: skip


def corpus(shared: Path | None) -> list[bytes]:
    found = [p.read_bytes() for p in sorted(SAMPLES.glob("*.hl7"))]
    if shared is not None:
        import gzip

        found += [p.read_bytes() for p in sorted((shared / "hl7v2_ans").glob("*.*7")) if b"|ACK" not in p.read_bytes()]
        lines = gzip.decompress((shared / "hl7v2_linuxforhealth" / "messages.ndjson.gz").read_bytes()).splitlines()
        texts = [orjson.loads(line)["hl7"].encode() for line in lines]
        found += [t for t in texts if any(k in t for k in (b"|ADT^", b"|ORU^", b"|MDM^"))]
    return found


def swap_bytes(data: bytes, dice: random.Random) -> bytes:
    made = bytearray(data)
    for _ in range(dice.randint(1, 8)):
        made[dice.randrange(len(made))] = dice.choice(DELIMITERS)
    return bytes(made)


def cut(data: bytes, dice: random.Random) -> bytes:
    return data[: dice.randrange(len(data))]


def drop(data: bytes, dice: random.Random) -> bytes:
    begin = dice.randrange(len(data))
    return data[:begin] + data[begin + dice.randint(1, 80) :]


def edge_field(data: bytes, dice: random.Random) -> bytes:
    lines = data.split(b"\r")
    place = dice.randrange(len(lines))
    fields = lines[place].split(b"|")
    fields[dice.randrange(len(fields))] = dice.choice(EDGES).encode()
    lines[place] = b"|".join(fields)
    return b"\r".join(lines)


def edge_component(data: bytes, dice: random.Random) -> bytes:
    fields = data.split(b"^")
    fields[dice.randrange(len(fields))] = dice.choice(EDGES).encode()
    return b"^".join(fields)


def shuffle_lines(data: bytes, dice: random.Random) -> bytes:
    first, *rest = data.split(b"\r")
    dice.shuffle(rest)
    return b"\r".join((first, *rest))


MUTATIONS: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    swap_bytes, cut, drop, edge_field, edge_component, shuffle_lines,
)  # fmt: skip


def assert_sound(batch: Batch) -> None:
    """The promises of a batch: every index points somewhere, refused records left nothing."""
    refused = {r.record for r in batch.refusals}
    assert len(refused) == len(batch.refusals)
    documents, facts = batch.documents.to_pydict(), batch.facts.to_pydict()
    for record in (*documents["record"], *batch.stay_events["record"].to_pylist(), *batch.movements["record"].to_pylist()):
        assert record not in refused
    assert all(i.record not in refused for i in (*batch.identities, *batch.merges))
    assert all(0 <= p < len(batch.patients) for p in documents["patient"])
    assert all(c < len(batch.codes) for c in facts["code"])
    assert all(s in set(map(int, FactStatus)) for s in facts["status"])
    assert all(v is None or abs(v) < float("inf") for v in facts["value"])
    seen: dict[int, int] = {}
    for document, number, parent in zip(facts["document"], facts["fact_no"], facts["parent_fact_no"], strict=True):
        assert document < len(documents["record"]) and number == seen.get(document, 0)
        assert parent is None or parent < number
        seen[document] = number + 1
    assert len({(d, k) for d, k in zip(documents["record"], documents["key"], strict=True)}) <= len(documents["key"])
    for reason in batch.refusals:
        assert reason.reason.endswith(".") and reason.field and reason.code


def test_thousands_of_mutated_messages(shared: Path) -> None:
    dice, reader = random.Random(20240311), Hl7v2Reader(Settings())
    gathering, taken, unexpected = Gathering(Held("Europe/Paris", "")), 0, []
    for message in corpus(shared):
        for _ in range(25):
            mutated = message
            for _ in range(dice.randint(1, 3)):
                mutated = dice.choice(MUTATIONS)(mutated, dice) or b"M"
            reader._take(gathering, taken, Frame(1, mutated))
            taken += 1
    batch = gathering.build()
    unexpected = [r.reason for r in batch.refusals if "not built as HL7 says" in r.reason]
    assert taken == batch.records.num_rows > 3000
    assert unexpected == []  # the net under the reader caught nothing
    assert_sound(batch)


def test_mutated_files(shared: Path, tmp_path: Path) -> None:
    dice, reader = random.Random(7), Hl7v2Reader(Settings())
    path = tmp_path / "mutated.hl7"
    for _ in range(150):
        data = b"".join(dice.choices(corpus(None), k=3))
        for _ in range(dice.randint(1, 4)):
            data = dice.choice(MUTATIONS)(data, dice) or b"M"
        path.write_bytes(dice.choice((b"", b"\x0b", b"{", b"\x1f\x8b")) + data)
        for batch in reader.read(path, "mutated.hl7"):
            assert_sound(batch)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=300))
def test_any_bytes(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "any.hl7"
    for prefix in (b"", b"MSH|^~\\&|||||2024||ORU^R01|1|P|2.5\rPID|||1\rOBR|1\rOBX|1|"):
        path.write_bytes(prefix + data)
        batches = list(Hl7v2Reader(Settings()).read(path, "any.hl7"))
        assert sum(b.records.num_rows for b in batches) > 0
        for batch in batches:
            assert_sound(batch)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(fields=st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=20), min_size=1, max_size=16),
       name=st.sampled_from(["PID", "PV1", "OBR", "OBX", "TXA", "ZBE", "DG1", "NK1", "EVN", "MRG"]),
       kind=st.sampled_from(["ADT^A01", "ADT^A40", "ORU^R01", "MDM^T02", "MDM^T10"]))  # fmt: skip
def test_any_segment(tmp_path: Path, fields: list[str], name: str, kind: str) -> None:
    lines = [f"MSH|^~\\&|||||2024||{kind}|1|P|2.5", "PID|1||42||X", "PV1|1|I|U||||||||||||||||V", "TXA|1|DS"]
    path = tmp_path / "any.hl7"
    path.write_bytes("\r".join((*lines, "|".join((name, *fields)), "OBX|1|NM|A||1||||||F")).encode())
    for batch in Hl7v2Reader(Settings()).read(path, "any.hl7"):
        assert_sound(batch)
