"""Ids of a pool: keyed once by the site and once by the hub, so that neither can lead them back alone.

HMAC-SHA256 under a key of the pool, cut to 128 bits and written in base32 (RFC 4648, lower case), as for datamarts.
"""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

_BYTES = 16
ID = re.compile(r"[a-z2-7]{26}")


@dataclass(frozen=True)
class PoolKey:
    """What re-keys for one pool at one house; never shown."""

    secret: bytes = field(repr=False)

    def ids(self, kind: str, given: Iterable[str]) -> list[str]:
        """26 letters and digits for each, other ones for each kind (patient, stay, document)."""
        key = hmac.digest(self.secret, kind.encode(), "sha256")
        found = (hmac.digest(key, one.encode(), "sha256") for one in given)
        return [base64.b32encode(one[:_BYTES]).decode().rstrip("=").lower() for one in found]
