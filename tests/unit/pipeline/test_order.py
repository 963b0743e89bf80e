"""Order of arrival has no say: any few statements, in any order, pieces and buckets, make one warehouse.

Hypothesis invents the messages of a small hospital: three numbers, two stays, two orders, two letters, a
birth that falls on the days of care, merges, corrections, withdrawals, records that come before their
patient. Every kind of message repeats its business ids, so that versions meet.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests import fresh

from estran.settings import Settings
from estran.sources.pipeline.run import ingest

EXAMPLES = int(os.environ.get("ESTRAN_ORDER_EXAMPLES", "5"))  # a few in CI, thousands when hunting

_NUMBERS, _NAMES = ("71", "72", "73"), ("KERGUELEN^Armelle", "VASSELOTTE^Rosine", "")
_BIRTHS = ("", "20250115", "20250116")  # days of care as well
_TIMES = tuple(f"202501{day}{hour}" for day in (14, 15, 16) for hour in ("0800", "1130", "1900"))
_WORDS = ("Armelle va bien", "Rosine VASSELOTTE est revue", "RAS")


def _message(kind: str, time: str, *segments: str) -> str:
    return "\r".join((f"MSH|^~\\&|APP|CHU|||{time}||{kind}|{time}|P|2.5", f"EVN||{time}", *filter(None, segments)))


def _pid(number: str, name: str, birth: str) -> str:
    return f"PID|||{number}^^^CHU^PI||{name}||{birth}|{'F' if name else ''}"


_person = st.builds(_pid, st.sampled_from(_NUMBERS), st.sampled_from(_NAMES), st.sampled_from(_BIRTHS))
_time = st.sampled_from(_TIMES)
_visit = st.sampled_from(("", "PV1||I|W1||||||||||||||||V1^^^CHU", "PV1||I|W2||||||||||||||||V2^^^CHU"))


def _adt(event: str, time: str, person: str, visit: str) -> str:
    return _message(f"ADT^{event}", time, person, visit)


def _oru(time: str, person: str, visit: str, order: str, said: tuple[int, str, str]) -> str:
    value, status, words = said
    return _message(
        "ORU^R01", time, person, visit, f"OBR|1||{order}|GLU^Glucose^L|||{time}",
        f"OBX|1|NM|GLU^Glucose^L||{value}|mmol/L|||||{status}|||{time}", f"OBX|2|ST|COM^Commentaire^L||{words}||||||F",
    )  # fmt: skip


def _mdm(event: str, time: str, person: str, visit: str, key: str, parent: str, words: str) -> str:
    txa = f"TXA|1|CR^Compte rendu|TX|{time}||||||||{key}|{parent}||||AU"
    return _message(f"MDM^{event}", time, person, visit, txa, f"OBX|1|TX|CR^Compte rendu^L||{words}||||||F")


def _merge(time: str, kept: str, gone: str) -> str:
    return _message("ADT^A40", time, _pid(kept, "KERGUELEN^Armelle", ""), f"MRG|{gone}^^^CHU^PI")


_messages = st.one_of(
    st.builds(_adt, st.sampled_from(("A01", "A02", "A03", "A08", "A11", "A13", "A31")), _time, _person, _visit),
    st.builds(
        _oru, _time, _person, _visit, st.sampled_from(("F1", "F2")),
        st.tuples(st.integers(4, 6), st.sampled_from("FCX"), st.sampled_from(_WORDS)),
    ),
    st.builds(
        _mdm, st.sampled_from(("T02", "T10", "T04")), _time, _person, _visit, st.sampled_from(("D1", "D2")),
        st.sampled_from(("", "D1", "D2")), st.sampled_from(_WORDS),
    ),
    st.builds(_merge, _time, st.sampled_from(_NUMBERS), st.sampled_from(_NUMBERS)),
)  # fmt: skip


def _load(folder: Path, pieces: list[list[str]], bucket_patients: int, commit_records: int) -> str:
    """The digest of a new site after loading `pieces` one by one; its invariants hold."""
    site = fresh.site(folder / "site", Settings(bucket_patients=bucket_patients, commit_records=commit_records))
    for place, piece in enumerate(pieces):
        path = folder / f"{place}.hl7"
        path.write_text("\r".join(piece) + "\r", newline="")
        with site.loading() as parts:
            report = ingest(parts, "hl7v2", [path])
        told = {name: report.total(name) for name in ("read", "loaded", "superseded", "quarantined")}
        assert told.pop("read") == sum(told.values())
    assert site.warehouse.check() == []
    with site.vault() as vault:
        keys = vault.natural_keys()
        assert vault.check() == []
    return site.warehouse.digest(keys.patients, keys.stays)


def _pieces(messages: list[str], size: int) -> list[list[str]]:
    return [messages[at : at + size] for at in range(0, len(messages), size)]


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(st.lists(_messages, min_size=2, max_size=8), st.randoms(use_true_random=False), st.integers(1, 4))
def test_any_order_any_pieces_any_buckets_make_the_same_warehouse(messages, random, size) -> None:  # type: ignore[no-untyped-def]
    shuffled = random.sample(messages, len(messages))
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        assert _load(Path(one), [messages], 400_000, 20_000) == _load(Path(other), _pieces(shuffled, size), 1, 2)
