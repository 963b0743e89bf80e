"""What the process that holds the key does for the data that projects bring: reads files, follows patients, ends what is over."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import orjson

from estran.identity.boxes import Opener
from estran.identity.keys import SiteKey
from estran.identity.owndata import OwnReview
from estran.identity.vault import Vault
from estran.keeping.owndata.reading import FileReading
from estran.keeping.owndata.whose import digest_of, pseudonyms
from estran.model.errors import EstranError, NotAllowed, StoreError, UsageError
from estran.projects import rights
from estran.projects.actors import KEY_HOLDER, Actor
from estran.projects.audit import permit
from estran.projects.following import NewsKind
from estran.projects.gate import rules_of
from estran.projects.life.machine import Stage
from estran.projects.life.opening import project_of
from estran.projects.owndata import OwnData, ending
from estran.projects.owndata.handing import Handed, handed, unpacked
from estran.projects.owndata.outcome import Outcome
from estran.projects.owndata.recipe import Form, Plan, Recipe, read_recipe
from estran.projects.owndata.store import Content, OwnStore, folder_of
from estran.projects.policy import Action, Target
from estran.projects.site import SiteServices
from estran.state import OwnDataRow, OwnFileRow, OwnState
from estran.state.transactions import now

_LOOK_EVERY = 5.0  # seconds
_OVER = {Stage.CLOSING, Stage.CLOSED, Stage.REFUSED, Stage.WITHDRAWN}
Vaults = Callable[[], AbstractContextManager[Vault]]


class OwnDataKeeper:
    """Looked at often. `key` is the site's; one such process works on a store at a time."""

    def __init__(self, site: SiteServices, key: SiteKey, vault: Vaults) -> None:
        self._site, self._key, self._vault = site, key, vault
        self._opener = Opener(key.subkey("own-data-box"))
        self._book = site.state.own_data
        self._next = 0.0

    def look(self) -> list[str]:
        """Do what waits; a sentence for each thing done or gone wrong."""
        if time.monotonic() < self._next:
            return []
        self._next = time.monotonic() + _LOOK_EVERY
        try:
            self._book.door.put(self._opener.public)
        except EstranError as error:
            return [f"own data: {error.what}"]
        return [*self._read_waiting(), *self._end_over(), *self._refresh_all()]

    # Files

    def _read_waiting(self) -> Iterator[str]:
        for one in self._book.waiting():
            try:
                outcome = self._read(one)
            except Exception as error:  # noqa: BLE001 - one file must not keep the others waiting
                self._book.finish(one.id, problem=_said(error))
                yield f"own data: file {one.id} not read. {_said(error)}"
            else:
                yield f"own data: file {one.id} read, {outcome.linked} rows linked of {outcome.read}"

    def _read(self, one: OwnFileRow) -> Outcome:
        """Under the rights of whoever handed it in, as they are now."""
        account = self._site.state.accounts.by_id(one.account_id or 0)
        if account is None or account.disabled:
            raise NotAllowed("This account is disabled.")
        row = OwnData(self._site, Actor.of(account).bounded(self._site.state)).ready(one.data_id, f"read file:{one.id}")
        with unpacked(Form(one.form), self._opener.open(one.sealed or b"")) as parts:
            return self._take(row, one.id, Form(one.form), parts, read_recipe(orjson.loads(one.recipe)))

    def bring(
        self, data: int, form: Form, path: Path, recipe: Recipe, dictionary: bytes = b"", links: bytes = b""
    ) -> tuple[int, Outcome]:
        """Read a file at once, as the key holder: its number, and what became of it."""
        row = OwnData(self._site, KEY_HOLDER).ready(data, "read a file")
        parts = handed(form, path, dictionary, links)
        Plan(form, recipe, parts.items, table_of_links=bool(links))
        number = self._book.hand_in(data, form, KEY_HOLDER.login, None, None, parts.look)
        if not number:
            raise UsageError("This data set is ended already.")
        self._book.map(number, recipe.model_dump_json())
        try:
            return number, self._take(row, number, form, parts, recipe)
        except Exception as error:
            self._book.finish(number, problem=_said(error))
            raise

    def _take(self, row: OwnDataRow, number: int, form: Form, parts: Handed, recipe: Recipe) -> Outcome:
        plan = Plan(form, recipe, parts.items, table_of_links=bool(parts.links))
        with self._alone(row.id), self._vault() as vault:
            fresh = self._fresh(row.id)
            outcome = FileReading(self._site, self._key, vault, fresh, number).read(parts, plan)
        self._book.finish(number, outcome=outcome.dumps())
        rights.register(
            self._site.state,
            ending.recipient(row.id),
            "datamart",
            ("research", f"project:{row.project}"),
            self._fresh(row.id).snapshot,
        )
        self._tell(row, NewsKind.OWN_READ)
        return outcome

    def _fresh(self, data: int) -> OwnDataRow:
        row = self._book.find(data)
        if row is None:
            raise UsageError("There is no data set of this number.")
        return row

    @contextmanager
    def _alone(self, data: int) -> Iterator[None]:
        """No two processes at one store; StoreError when another one is at it."""
        folder = folder_of(self._site, data)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        except BlockingIOError:
            raise StoreError("Another process works on this data set.", hint="try again when it has ended") from None
        finally:
            os.close(descriptor)

    # Doubtful subjects

    def _permit(self, what: str, patients: tuple[int, ...]) -> None:
        permit(self._site.state, KEY_HOLDER, Action.TAKE_DATA, Target(what, patients=patients))

    def doubts(self, data: int) -> list[OwnReview]:
        """The pairs of a data set that wait for a decision."""
        with self._vault() as vault:
            found = list(vault.own.doubts(data))
        self._permit(f"doubtful subjects of own data:{data}", tuple(one.identity for one in found))
        return found

    def settle(self, data: int, number: int, *, accepted: bool) -> int:
        """Decide a pair; how many rows that concerns. UsageError when no pair of this number waits."""
        with self._alone(data), self._vault() as vault:
            row = self._fresh(data)
            review = next((one for one in vault.own.doubts(data) if one.number == number), None)
            if review is None:
                raise UsageError("No pair of this number waits for a decision.")
            self._permit(
                f"{'same' if accepted else 'not the same'} person own data:{data} pair:{number}", (review.identity,)
            )
            lines: dict[int, list[int]] = {}
            store = OwnStore(self._site, self._key, data)
            for kept in Content.loads(row.content).tables.values():
                for load, line in store.lines_of(kept, review.subject):
                    lines.setdefault(load, []).append(line)
            vault.own.settle(review, accepted=accepted)
            self._rewrite(vault, row)
        for load, those in lines.items():
            found = self._book.file(load)
            if found is not None and found.outcome:
                self._book.recount(load, vars(Outcome.loads(found.outcome).decided(those, accepted=accepted)))
        return sum(map(len, lines.values()))

    # Patients' wishes, merges, the end

    def _refresh_all(self) -> Iterator[str]:
        newest = self._site.snapshot().version
        for row in self._book.all():
            if row.state == OwnState.ACCEPTED and row.snapshot and row.snapshot != newest:
                try:
                    gone = self.refresh(row.id)
                except Exception as error:  # noqa: BLE001 - wishes about the other data sets are obeyed all the same
                    yield f"own data: data set {row.id} not followed. {_said(error)}"
                    continue
                if gone:
                    yield f"own data: {gone} rows of data set {row.id} removed, as their patients asked"

    def refresh(self, data: int) -> int:
        """Have a store follow the newest snapshot: rows of patients who objected or were erased go, merged patients have
        their new pseudonym. How many rows went; the responsible is told unless very few are held, the register of recipients acknowledged."""
        with self._alone(data), self._vault() as vault:
            row = self._fresh(data)
            held = Content.loads(row.content)
            after = self._rewrite(vault, row)
        owed = [one.id for one in rights.due(self._site.state, ending.recipient(data))]
        gone = held.rows - after.rows
        if owed:
            rights.acknowledge(self._site.state, ending.recipient(data), owed, f"rows removed: {gone}")
        people = max((one.patients for one in held.tables.values()), default=0)
        if gone and people >= rules_of(self._site.settings).floor:  # of fewer, the notice would tell who objected
            self._tell(row, NewsKind.OWN_REMOVED)
        return gone

    def _rewrite(self, vault: Vault, row: OwnDataRow) -> Content:
        """The tables anew, of those who may be held now; links and doubts of the others are forgotten."""
        snapshot, store = self._site.snapshot().version, OwnStore(self._site, self._key, row.id)
        who, content = pseudonyms(self._site, self._key, vault, row), Content.loads(row.content)
        if digest_of(who) != content.who:
            tables = {name: store.write(kept, None, (), who).kept for name, kept in content.tables.items()}
            content = Content(tables, digest_of(who))
        store.commit(self._site.state, row.id, content, snapshot)
        known = {*vault.own.of(row.id), *(one.subject for one in vault.own.doubts(row.id))}
        vault.own.drop(row.id, known - set(who["_subject"].to_pylist()))
        return content

    def _end_over(self) -> Iterator[str]:
        """Data sets whose time or whose project is over; links of those that ended elsewhere."""
        for row in self._book.all():
            try:
                if row.state != OwnState.ENDED and (why := self._over(row)):
                    yield f"own data: data set {row.id} destroyed{why}"
            except Exception as error:  # noqa: BLE001 - the others end all the same
                yield f"own data: data set {row.id} not destroyed. {_said(error)}"
        ended = [row.id for row in self._book.all() if row.state == OwnState.ENDED and row.snapshot]
        try:
            if ended:
                self._forget(ended)
        except Exception as error:  # noqa: BLE001 - what was done is told all the same
            yield f"own data: links of ended data sets not erased. {_said(error)}"

    def _over(self, row: OwnDataRow) -> str:
        """Destroy a data set whose time or project is over, and say which; "" when neither is."""
        project = project_of(self._site.state, row.project)
        if project is not None and project.stage in _OVER:
            ending.end(self._site, row.project)
            return " with its project"
        if row.until < self._site.settings.day(now()):
            ending.destroy(self._site, row, KEY_HOLDER, "its time is over")
            return ", its time is over"
        return ""

    def _forget(self, ended: list[int]) -> None:
        with self._vault() as vault:
            for data in ended:
                vault.own.end(data)
                self._book.forgotten(data)

    def _tell(self, row: OwnDataRow, what: NewsKind) -> None:
        """The responsible of the project and whoever declared: the project's number, no count."""
        project = project_of(self._site.state, row.project)
        declared = self._site.state.accounts.find(row.declared_by)
        for account in {project.lead if project else 0, declared.id if declared else 0} - {0}:
            self._site.state.news.tell(account, what, row.project)


def _said(error: Exception) -> str:
    """What may be told of an error: its sentence when it is one of ours, else its kind, for a message may quote a value."""
    return error.what if isinstance(error, EstranError) else f"Unexpected error: {type(error).__name__}."
