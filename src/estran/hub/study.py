"""What a study is, at the hub and at its sites alike: the question, and how a site makes its key known to the others.

A site's public key of a study travels with two proofs. The signature is by the key of the member's certificate: it
says which site. The mark is an HMAC under a key derived from the one that the hospitals of the network share and the
hub has never had: it says that the site is a hospital, and not something that the hub made up.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from estran.analysis.federated.methods import METHODS
from estran.analysis.federated.rounds import Params, Spec
from estran.cohort.language import json as question_json
from estran.hub.keys import Public
from estran.model.errors import UsageError
from estran.projects.datamarts.analysis import read_wanted

KIND, ROUND = "statistics", "statistics-round"  # kinds of jobs: one asks, the other goes on with what was accepted
AGAIN, SHARE, STEP, END = "again", "share", "round", "end"  # phases of the second
MOST_ATTEMPTS = 6  # times that a study begins anew without a site that was lost
WORDS = "words"  # the file of a contribution
_PURPOSE = b"estran-study-1"


@dataclass(frozen=True)
class Asked:
    """A study's question: which statistic, of which patients and columns; who asks it, under which title."""

    method: str
    spec: Spec
    cohort: Mapping[str, Any]
    table: Mapping[str, Any]
    title: str
    asker: str

    @classmethod
    def read(cls, said: Mapping[str, Any]) -> Asked:
        """The question in a job; UsageError when it is none, or not well formed."""
        try:
            asked = cls(
                str(said["method"]), dict(said["spec"]), dict(said["cohort"]), dict(said["table"]),
                str(said.get("title", ""))[:200], str(said.get("asker", ""))[:100],
            )  # fmt: skip
        except (KeyError, TypeError, ValueError):
            raise UsageError("This is not the question of a study.") from None
        asked.check()
        return asked

    def check(self) -> None:
        """UsageError when the statistic, or the table, is not well formed."""
        if self.method not in METHODS:
            raise UsageError(f"There is no method {self.method[:40]}.", hint=", ".join(METHODS))
        read_wanted(self.table, question_json.from_object(self.cohort))
        self.start(("a", "b", "c"))

    def start(self, sites: tuple[str, ...]) -> Params:
        """The first round among these sites."""
        more = {} if METHODS[self.method].masked else {"sites": list(sites)}
        return METHODS[self.method].start({**self.spec, **more})

    def fits(self, params: Params, sites: tuple[str, ...]) -> bool:
        """Whether the parameters of a round are of this question, put to these sites."""
        return params.method == self.method and _text(params.spec) == _text(self.start(sites).spec)

    def to_object(self) -> dict[str, Any]:
        """As it travels."""
        return asdict(self)

    @property
    def digest(self) -> str:
        """What stands for the question."""
        return hashlib.sha256(_text(self.to_object())).hexdigest()


@dataclass(frozen=True)
class Announcement:
    """A site's public key (hexadecimal) of one attempt of a study, signed, and marked by the hospitals' key."""

    member: str
    certificate: str
    key: str
    signature: str
    mark: str

    @classmethod
    def read(cls, said: Any) -> Announcement:
        """The announcement in an answer or a list; UsageError when it is none."""
        try:
            found = cls(**{name: str(said[name]) for name in ("member", "certificate", "key", "signature", "mark")})
            bytes.fromhex(found.key + found.signature + found.mark)
            Public(found.certificate, found.key)
        except (KeyError, TypeError, ValueError):
            raise UsageError("A site's key of the study cannot be read.") from None
        return found

    def to_object(self) -> dict[str, str]:
        """As it travels."""
        return asdict(self)

    @property
    def fingerprint(self) -> str:
        """Of the certificate that signed."""
        return Public(self.certificate, self.key).fingerprint

    def signed(self, place: bytes) -> bool:
        """Whether its certificate signed it for this place."""
        try:
            Public(self.certificate, self.key).key.verify(bytes.fromhex(self.signature), _said(self, place))
        except InvalidSignature:
            return False
        return True

    def marked(self, place: bytes, shared: bytes) -> bool:
        """Whether a holder of the hospitals' key marked it for this place."""
        return hmac.compare_digest(bytes.fromhex(self.mark), _mark(self, place, shared))


def place_of(network: str, study: str, attempt: int, asked: Asked) -> bytes:
    """What an announcement is good for: one attempt of one study of one network, and this question."""
    return _text([network, study, attempt, asked.digest])


def announce(
    member: str, certificate: str, public: bytes, place: bytes, key: Ed25519PrivateKey, shared: bytes
) -> Announcement:
    """A site's announcement; `key` is of its certificate, `shared` the hospitals'."""
    bare = Announcement(member, certificate, public.hex(), "", "")
    signature, mark = key.sign(_said(bare, place)).hex(), _mark(bare, place, shared).hex()
    return Announcement(member, certificate, public.hex(), signature, mark)


def _said(one: Announcement, place: bytes) -> bytes:
    return _PURPOSE + _text([one.member, one.fingerprint, one.key, place.decode()])


def _mark(one: Announcement, place: bytes, shared: bytes) -> bytes:
    key = HKDF(SHA256(), 32, salt=None, info=_PURPOSE).derive(shared)
    return hmac.digest(key, _said(one, place), "sha256")


def _text(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
