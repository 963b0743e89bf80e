"""One-time codes (TOTP, RFC 6238: HMAC-SHA-1, 30 seconds, six digits) and recovery codes.

A code is accepted one step early or late, for clocks that drift, and never twice: neither it nor an older
one after it. The secret is sealed at rest (`state.sealing`), a recovery code hashed and good for one use.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import struct
import time
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from estran.model.errors import UsageError
from estran.projects.actors import Actor
from estran.projects.audit import permit
from estran.projects.passwords import fits, hash_of_code
from estran.projects.policy import Action, Target
from estran.state import StateDatabase

PERIOD = 30  # seconds
DRIFT = 1  # steps
SECRET_BYTES = 20
RECOVERY_CODES = 8
_LETTERS = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"  # no 0, 1, I, O: 5 bits each


@dataclass(frozen=True)
class Enrolment:
    """What a person's device needs: the secret to type, or its address to scan."""

    secret: str
    address: str


def code_at(secret: bytes, step: int) -> str:
    """The code of a step (RFC 4226, section 5.3)."""
    digest = hmac.digest(secret, struct.pack(">Q", step), hashlib.sha1)
    at = digest[-1] & 15
    return f"{(struct.unpack('>I', digest[at : at + 4])[0] & 0x7FFFFFFF) % 1_000_000:06d}"


def step_of(secret: bytes, code: str, moment: float) -> int | None:
    """The step near `moment` (seconds since 1970) whose code this is, or None."""
    here = int(moment // PERIOD)
    steps = range(here - DRIFT, here + DRIFT + 1)
    found = [step for step in steps if hmac.compare_digest(code_at(secret, step).encode(), code.encode())]
    return found[-1] if found else None


def begin(state: StateDatabase, actor: Actor, site: str) -> Enrolment:
    """A secret for the actor's device, in use once `confirm` was given a code; the one begun before is kept."""
    number = _own(state, actor, "second factor: begin")
    kept = state.second_factors.secret(number)
    if kept is not None and kept.confirmed:
        raise UsageError("One-time codes are in use already.", hint="remove them first")
    secret = kept.secret if kept else secrets.token_bytes(SECRET_BYTES)
    if kept is None:
        state.second_factors.begin(number, secret)
    shown = base64.b32encode(secret).decode().rstrip("=")
    query = urlencode({"secret": shown, "issuer": site, "digits": 6, "period": PERIOD}, quote_via=quote)
    return Enrolment(shown, f"otpauth://totp/{quote(f'{site}:{actor.login}')}?{query}")


def confirm(state: StateDatabase, actor: Actor, code: str) -> tuple[str, ...]:
    """Put the secret in use; the recovery codes, shown this once. UsageError when the code does not fit."""
    number = _own(state, actor, "second factor: confirm")
    kept = state.second_factors.secret(number)
    if kept is None or kept.confirmed or not _takes(state, number, kept.secret, code):
        raise UsageError("This code does not fit.", hint="check the clock of the device, and take the next code")
    codes = _new_codes()
    state.second_factors.confirm(number, [hash_of_code(_bare(code)) for code in codes])
    return codes


def new_recovery_codes(state: StateDatabase, actor: Actor) -> tuple[str, ...]:
    """Fresh recovery codes, shown this once; the old ones are void."""
    number = _own(state, actor, "second factor: recovery codes")
    if not state.second_factors.has(number):
        raise UsageError("There are no one-time codes to recover.")
    codes = _new_codes()
    state.second_factors.replace_codes(number, [hash_of_code(_bare(code)) for code in codes])
    return codes


def remove(state: StateDatabase, actor: Actor) -> None:
    """Ask the actor for no code any more."""
    state.second_factors.remove(_own(state, actor, "second factor: remove"))


def check(state: StateDatabase, account_id: int, given: str) -> str:
    """Which way a code opens the door, `code` or `recovery`, using it up; "" when it does not."""
    given = "".join(given.split())
    kept = state.second_factors.secret(account_id)
    if kept is None or not kept.confirmed:
        return ""
    if given.isdecimal() and len(given) == 6:
        return "code" if _takes(state, account_id, kept.secret, given) else ""
    return "recovery" if _takes_recovery(state, account_id, given) else ""


def _takes(state: StateDatabase, account_id: int, secret: bytes, code: str) -> bool:
    step = step_of(secret, "".join(code.split()), time.time())
    return step is not None and state.second_factors.take_step(account_id, step)


def _takes_recovery(state: StateDatabase, account_id: int, given: str) -> bool:
    """A recovery code begins with its number, so that one hash is verified and not eight."""
    number = given.partition("-")[0]
    if not (number.isascii() and number.isdecimal() and len(number) == 1):
        return False
    kept = state.second_factors.code_hash(account_id, int(number))
    return fits(kept, _bare(given)) and state.second_factors.take_code(account_id, int(number))


def _new_codes() -> tuple[str, ...]:
    """Fifty random bits each."""
    words = ["".join(secrets.choice(_LETTERS) for _ in range(10)) for _ in range(RECOVERY_CODES)]
    return tuple(f"{number}-{word[:5]}-{word[5:]}" for number, word in enumerate(words, 1))


def _bare(code: str) -> str:
    return code.replace("-", "").upper()


def _own(state: StateDatabase, actor: Actor, what: str) -> int:
    """Decide and record; the number of the actor's account."""
    permit(state, actor, Action.ACCOUNT, Target(what, actor.account_id))
    if actor.account_id is None:
        raise UsageError("This needs an account.", hint="sign in to the portal")
    return actor.account_id
