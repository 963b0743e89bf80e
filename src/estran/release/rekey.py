"""Pseudonyms of one project: the same patient has another one in every project, and no two projects can be joined.

HMAC-SHA256 under a key that HKDF derives from the site's for this project alone, cut to 128 bits and written in
base32 (RFC 4648, lower case). It hashes the patient's number in the warehouse, which is given once and never used
again, so that the vault is not opened. Format-preserving encryption was left aside (decision 11).
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Iterable
from dataclasses import dataclass, field

from estran.identity.keys import SiteKey

_BYTES = 16


@dataclass(frozen=True)
class ProjectKey:
    """What re-keys, shifts dates and marks for one project; never shown."""

    project: str
    secret: bytes = field(repr=False)

    @classmethod
    def of(cls, key: SiteKey, project: str) -> ProjectKey:
        """The key of a project at this site."""
        return cls(project, key.subkey(f"project:{project}"))

    def digests(self, purpose: str, patients: Iterable[int]) -> list[bytes]:
        """32 bytes per patient, for one purpose."""
        key = hmac.digest(self.secret, purpose.encode(), "sha256")
        return [hmac.digest(key, b"%d" % number, "sha256") for number in patients]

    def pseudonyms(self, patients: Iterable[int]) -> list[str]:
        """26 letters and digits per patient."""
        found = self.digests("pseudonym", patients)
        return [base64.b32encode(one[:_BYTES]).decode().rstrip("=").lower() for one in found]
