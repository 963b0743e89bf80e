"""One name per assigning authority, whatever way a format writes it, so that feeds of one hospital meet.

HL7 v2 writes a namespace or an OID, CDA a bare OID, FHIR `urn:oid:` or an address. OIDs lose their prefix;
the setting `authorities` says which other names stand for one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache

from estran.model.errors import UsageError
from estran.sources.records import OF_STAY, Batch, PatientKey

_OID = "urn:oid:"


def read_authorities(written: str) -> dict[str, str]:
    """`OTHER = NAME, OTHER = NAME` as a dictionary. Raises UsageError that shows the part at fault."""
    found = {}
    for part in filter(None, (item.strip() for item in written.split(","))):
        other, equals, name = (piece.strip() for piece in part.rpartition("="))
        if not equals or not other or not name:
            raise UsageError(f"'{part}' names no authority.", where="authorities", hint="write OTHER = NAME, OTHER = NAME")
        found[other.removeprefix(_OID)] = name.removeprefix(_OID)
    if chained := sorted(set(found) & set(found.values())):
        raise UsageError(f"'{chained[0]}' stands on both sides.", where="authorities", hint="give each name its last one")
    return found


def name_authorities(batch: Batch, source: str, names: Mapping[str, str]) -> None:
    """Give every number of the batch the authority's one name. Numbers whose authority is the format itself
    (FHIR's own references) belong to this source: Patient/1 of one server is not Patient/1 of another."""
    own = source.partition("/")[0]

    @lru_cache(maxsize=256)
    def named(system: str) -> str:
        stay = OF_STAY if system.startswith(OF_STAY) else ""
        plain = system.removeprefix(stay)
        if plain == own:
            return stay + source
        plain = plain.removeprefix(_OID)
        return stay + names.get(plain, plain)

    if all(named(system) == system for system in _systems(batch)):
        return
    batch.patients = [PatientKey(named(key.system), key.value) for key in batch.patients]
    batch.stays = [key._replace(system=named(key.system)) for key in batch.stays]
    batch.identities = [
        replace(item, aliases=tuple(PatientKey(named(key.system), key.value) for key in item.aliases))
        for item in batch.identities
    ]


def _systems(batch: Batch) -> set[str]:
    found = {key.system for key in batch.patients} | {key.system for key in batch.stays}
    return found.union(key.system for item in batch.identities for key in item.aliases)
