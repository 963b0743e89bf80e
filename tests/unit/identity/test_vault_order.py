"""What the vault ends with does not depend on the order in which records came."""

from __future__ import annotations

import datetime as dt
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from estran.identity.keys import SiteKey
from estran.identity.traits import Person, Statement
from estran.identity.vault import Vault

KEY = SiteKey("test", bytes(range(32)))
NUMBERS = [("IPP", str(n)) for n in range(5)]
PEOPLE = st.builds(
    Person,
    family_names=st.sampled_from([(), ("DUPONT",), ("MARTIN", "DUPONT")]),
    sex=st.sampled_from([None, "male", "female"]),
    birth_date=st.sampled_from([None, dt.date(1956, 3, 12), dt.date(1957, 3, 12)]),
    postcode=st.sampled_from([None, "35000", "29200"]),
    commune=st.sampled_from([None, "44109"]),
    death_date=st.sampled_from([None, dt.date(2020, 1, 2)]),
    deceased=st.sampled_from([None, True, False]),
)
STAMPS = st.tuples(st.integers(0, 3), st.integers(-1, 1))
STATEMENTS = st.tuples(st.lists(st.sampled_from(NUMBERS), min_size=1, max_size=2, unique=True), PEOPLE, STAMPS)
MERGES = st.tuples(st.sampled_from(NUMBERS), st.sampled_from(NUMBERS), STAMPS, st.booleans())


def _end(introductions: list[object], merges: list[object], together: bool, first: bool = False) -> object:
    """Load, then describe by natural keys: rows, masks, stays.

    With `first`, every number is an identity of its own before anything ties them; merges then come
    before what the records say.
    """
    with tempfile.TemporaryDirectory() as folder, Vault.create(Path(folder) / "v", KEY) as vault:
        statements = [Statement(tuple(n), p, None, *s) for n, p, s in introductions]  # type: ignore[misc]
        alone = [Statement((n,)) for n in NUMBERS]  # merges need known numbers
        batches = [statements] if together else [[s] for s in statements]
        steps = [alone, *batches] if first else [*batches, alone]
        for step in steps:
            vault.introduce(step)
            if step is alone:
                ids = dict(zip(NUMBERS, vault.resolve(NUMBERS).tolist(), strict=True))
                for kept, gone, stamp, undo in merges:  # type: ignore[misc]
                    vault.merge(ids[kept], ids[gone], *stamp, undo=undo)
        vault.stays([(i, "NDA", "7") for i in ids.values()])
        keys = vault.natural_keys()
        canonical = vault.canonical_stays(keys.patients)
        assert vault.check() == []
        rows = vault.patient_rows(keys.patients).drop_columns(["patient_id"]).to_pylist()
        return (
            sorted(
                (key, repr(row), repr(vault.known([p])[p]))
                for (p, key), row in zip(keys.patients.items(), rows, strict=True)
            ),
            sorted({keys.stays[canonical.get(s, s)] for s in keys.stays}),
            len({canonical.get(s, s) for s in keys.stays}),
        )


@settings(max_examples=40, deadline=None)
@given(st.lists(STATEMENTS, max_size=6), st.lists(MERGES, max_size=5), st.randoms(use_true_random=False), st.booleans())
def test_any_order_ends_alike(introductions: list[object], merges: list[object], chance, together: bool) -> None:
    forward = _end(introductions, merges, together)
    chance.shuffle(introductions)
    chance.shuffle(merges)
    assert _end(introductions, merges, not together, first=chance.random() < 0.6) == forward


@settings(max_examples=20, deadline=None)
@given(st.lists(STATEMENTS, max_size=5), st.lists(MERGES, max_size=4))
def test_saying_it_twice_changes_nothing(introductions: list[object], merges: list[object]) -> None:
    assert _end(introductions * 2, merges * 2, True) == _end(introductions, merges, True)
