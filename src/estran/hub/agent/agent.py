"""A member at work: ask the hub for a job, keep it, do it, keep the answer, hand it in until the hub has it.

Killed at any moment it goes on where it was: a job is in its file before it is done, an answer before it is told, and
both sides know a message they have seen.
"""

from __future__ import annotations

import datetime as dt
import fcntl
import logging
import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from estran import __version__
from estran.hub.agent import carrying
from estran.hub.agent.counting import prepare
from estran.hub.agent.kinds import KINDS
from estran.hub.agent.learning import watch
from estran.hub.agent.ledger import Answer, Job, Ledger
from estran.hub.agent.membership import Channel, open_reply
from estran.hub.agent.opposing import heard, notices
from estran.hub.agent.place import Handle, Place
from estran.hub.agent.standing import standing
from estran.hub.pooling.delivery import KIND as POOL
from estran.hub.pooling.routes import PATH
from estran.hub.wire import Message, Refused, seal
from estran.model.errors import EstranError, NotAllowed, StoreError, UsageError

log = logging.getLogger(__name__)
_LIFE = dt.timedelta(minutes=10)
_KINDS_TOLD = 100
_OPPOSE_EVERY = 60.0  # seconds between two words about what patients refused
_SHED_EVERY = 3_600.0  # seconds between two cuts of the log of its file
_SOON, _SHARE = 0.5, 0.05  # seconds between two looks at a job that waits for others; or this share of its age
_TRIES = 20  # a full disk, or a busy database, passes
_NEVER = ("unasked", "malformed", "kind")  # answers that the hub will not take, however often they are told
Clock = Callable[[], dt.datetime]


class AtWork(StoreError):
    """Another process is the agent of this member already."""


class Agent:
    """One member of one network. `every`: seconds between two visits, told to the hub so that it knows when to worry."""

    rests = (1.0, 60.0)  # seconds between two tries when the hub cannot be reached: the first, and the longest

    def __init__(
        self, place: Place, channel: Channel, clock: Clock = lambda: dt.datetime.now(dt.UTC), *, every: float = 0.0
    ) -> None:
        self.place, self.ledger = place, Ledger(place.folder)
        self._channel, self._clock, self._every = channel, clock, every
        self._kinds = KINDS[place.membership.kind]
        self._tries: dict[str, int] = {}
        self._since: dict[str, float] = {}
        self._prepared: int | None = None
        self._opposed, self._shed_at = -_OPPOSE_EVERY, -_SHED_EVERY

    def close(self) -> None:
        """Let go of the hub and of the file."""
        self._channel.close()
        self.ledger.close()

    def once(self) -> int:
        """Do and hand in all that waits, here and at the hub; how many answers the hub has taken.

        ConnectionError when the hub cannot be reached; what was done is kept for the next time.
        """
        with self._alone():
            self._oppose()
            told = self._settle()
            while self._fetch(0.0):
                told += self._settle()
            return told

    def run(self, stop: threading.Event, wait: float = 20.0) -> None:
        """Stay with the hub until told to stop; rest between two tries when it cannot be reached."""
        rest = self.rests[0]
        with self._alone():
            while not stop.is_set():
                try:
                    self._oppose()
                    self._settle()
                    self._shed()
                    self._prepare()
                    self._fetch(min(wait, self._next_look()))
                    rest = self.rests[0]
                except Exception as error:  # noqa: BLE001 (a full disk or a broken file must not end the agent)
                    log.warning("%s", _word(error))
                    stop.wait(rest)
                    rest = min(rest * 2, self.rests[1])

    def _next_look(self) -> float:
        """Seconds until a job that waits for others is looked at again: soon when it is young, since others ask for days."""
        now, waiting = time.monotonic(), {one.id for one in self.ledger.waiting()}
        self._since = {one: self._since.get(one, now) for one in waiting}
        return min((max(_SOON, (now - since) * _SHARE) for since in self._since.values()), default=math.inf)

    def _oppose(self) -> None:
        """Tell the hub what patients refused of what was sent to it, and ask whether it has obeyed; end what they are in."""
        if time.monotonic() - self._opposed < _OPPOSE_EVERY:
            return
        self._opposed = time.monotonic()
        try:
            watch(self.place)
        except (EstranError, OSError) as error:  # jobs go on
            log.warning("learning: %s", _word(error))
        owed = notices(self.place)
        if not owed:
            return
        try:
            path = f"/task/opposition/{self.place.membership.member}"
            reply, _ = self._say(path, "opposition", {"notices": owed})
        except (
            Refused,
            ConnectionError,
        ) as error:  # a hub of an earlier release: what is owed stays owed, and is an alarm
            log.warning("oppositions: %s", _word(error))
            return
        if reply.kind == "noted":
            heard(self.place, reply.body.get("notices"))

    def _shed(self) -> None:
        """What was deleted is not left anywhere in the file, nor in its log: at once when it starts, then every hour."""
        if time.monotonic() - self._shed_at >= _SHED_EVERY and self.ledger.db.shed(anew=True):
            self._shed_at = time.monotonic()

    def _prepare(self) -> None:
        """When there is a new snapshot."""
        version = None if self.place.site is None else self.place.site.snapshot().version
        if version == self._prepared:
            return
        try:
            prepare(self.place)
        except Exception as error:  # noqa: BLE001 (what is wrong shows in the answers; there may be other jobs)
            log.warning("the site cannot prepare itself: %s", _word(error))
        self._prepared = version

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Two agents of one member would take turns at its sequence; AtWork when there is one already."""
        with (self.place.folder / "agent.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise AtWork("Another agent of this site is at work.", hint="end it first") from None
            yield

    # One round

    def _fetch(self, wait: float) -> bool:
        """Ask for a job, and keep it; False when there is none."""
        body = {
            "release": __version__, "kinds": list(self._kinds)[:_KINDS_TOLD], "wait": wait, "every": self._every,
            "holding": self.ledger.holding(), **standing(self.place),
        }  # fmt: skip
        reply, proof = self._say(f"/task/nextjob/{self.place.membership.member}", "nextjob", body)
        if reply.kind != "job":
            return False
        try:
            told = reply.body
            job = Job(
                str(told["uuid"]),
                str(told["kind"]),
                dict(told["task"]),
                str(told["project"]),
                float(told["expires"]),
                reply.files,
            )
        except (KeyError, TypeError, ValueError):
            raise Refused("malformed", "The hub gave a job that cannot be read.") from None
        return self.ledger.take(job, proof.partition(b"\n")[0])  # the signed text names the files by their hashes

    def _settle(self) -> int:
        """Do what waits, then hand in what the hub has not acknowledged; how many it has now."""
        for job in self.ledger.waiting():
            answer = self._done(job)
            if answer is not None:
                self.ledger.answer(job.id, answer)
        told = 0
        for job_id, answer in self.ledger.untold():
            self._tell(job_id, answer)
            told += 1
        return told

    def _tell(self, job: str, answer: Answer) -> None:
        member = self.place.membership.member
        # The shape of Hutch Bunny's result, with the states of ours.
        body = {
            "uuid": job, "status": answer.state, "collection_id": member, "message": answer.said, "queryResult": answer.body,
        }  # fmt: skip
        try:
            reply, _ = self._say(f"/task/result/{job}/{member}", "result", body, answer)
        except Refused as error:
            if error.code not in _NEVER:
                raise
            log.error("job %s: the hub does not take its answer (%s)", job, error.code)
            self.ledger.told(job)  # those after it must not wait for ever
            carrying.told(self.place, job)
            return
        if reply.kind == "receipt" and reply.body.get("uuid") == job:
            self.ledger.told(job)
            if answer.state != "approval":
                carrying.told(self.place, job)

    def _done(self, job: Job) -> Answer | None:
        """What comes of a job; None to try again at the next round, when the site itself is in trouble."""
        handle = self._kinds.get(job.kind)
        if handle is None:
            known = ", ".join(self._kinds)
            return Answer(
                "unsupported",
                f"This member (Estran {__version__}) knows no job of the kind '{job.kind[:40]}'; it knows {known}.",
            )
        if job.expires and self._hub_time().timestamp() > job.expires:
            return Answer("refused", "The job came too late.")
        if self._asks(job) and not self.ledger.approved(job.id):
            return Answer("approval", "Somebody of the site must say yes first.")
        return self._handled(handle, job)

    def _asks(self, job: Job) -> bool:
        """Whether somebody has to say yes: to what the rules say, and to every pool of a hub that the site did not join."""
        return self.place.rules.asks(job.kind) or (job.kind == POOL and bool(job.body.get(PATH)))

    def _handled(self, handle: Handle, job: Job) -> Answer | None:
        try:
            answer = handle(self.place, job)
            self._tries.pop(job.id, None)  # one that waits for others for days may meet a busy file now and then
            return answer
        except NotAllowed as error:
            return Answer("refused", error.what)
        except UsageError as error:
            return Answer("unsupported", str(error))
        except EstranError as error:
            log.error("job %s: %s", job.id, error.what)
        except Exception as error:  # noqa: BLE001 (whatever it is, no value of a record may travel)
            log.error("job %s: %s", job.id, type(error).__name__)
        self._tries[job.id] = self._tries.get(job.id, 0) + 1
        if self._tries[job.id] < _TRIES:
            return None
        return Answer("failed", "The site could not answer: an error of its own, which it knows of.")

    # Talking

    def _say(self, path: str, kind: str, body: dict[str, Any], answer: Answer | None = None) -> tuple[Message, bytes]:
        """Say something to the hub: its reply, believed on its signature, and the reply as it came. A hub that finds
        the clock wrong, or the number, tells its own: that one holds, and the same is said once more."""
        reply, data = self._said(path, kind, body, answer)
        if reply.kind == "refusal" and reply.body.get("code") in ("expired", "reordered"):
            self.ledger.count_from(int(reply.body.get("last", 0)))
            reply, data = self._said(path, kind, body, answer)
        if reply.kind == "refusal":
            raise Refused(str(reply.body.get("code", "")), str(reply.body.get("message", "The hub refused.")))
        return reply, data

    def _said(self, path: str, kind: str, body: dict[str, Any], answer: Answer | None) -> tuple[Message, bytes]:
        member, now = self.place.membership, self._hub_time()
        message = Message(
            kind, member.network, member.member, "hub", self.ledger.next_sequence(), now, now + _LIFE, body,
            answer.files if answer else (),
        )  # fmt: skip
        data = self._channel.carry(path, seal(message, self.place.identity.key))
        reply = open_reply(data, message, member.hub_key)
        self.ledger.set_offset((reply.issued - self._clock()).total_seconds())
        return reply, data

    def _hub_time(self) -> dt.datetime:
        """The present by the hub's clock, as it was last told."""
        return self._clock() + dt.timedelta(seconds=self.ledger.offset)


def _word(error: Exception) -> str:
    """What went wrong, in words that hold no value of a record."""
    if isinstance(error, EstranError):
        return error.what
    return str(error) if isinstance(error, ConnectionError) else type(error).__name__
