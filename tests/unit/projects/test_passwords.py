"""What guessing a password costs: the product's own parameters, which the other tests do without."""

from __future__ import annotations

import runpy

import pytest
from argon2 import Type, extract_parameters

from estran.projects import passwords


@pytest.mark.parametrize(("hashed", "memory", "rounds"), [("hash_of_password", 65_536, 3), ("hash_of_code", 19_456, 2)])
def test_a_hash_costs_what_a_guess_must_cost(hashed: str, memory: int, rounds: int) -> None:
    product = runpy.run_path(passwords.__file__)  # as it is before the tests make hashing cheap
    made = product[hashed]("marée basse à midi")
    found = extract_parameters(made)
    assert (found.type, found.memory_cost >= memory, found.time_cost >= rounds) == (Type.ID, True, True)
    assert product["fits"](made, "marée basse à midi")
    assert not product["fits"](made, "marée haute à midi")
