"""Opening the application's database, brought to the current schema on the way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import sqlalchemy as sa

from estran.model.errors import StoreError
from estran.state.accounts import Accounts
from estran.state.answered import AnsweredSets
from estran.state.api_tokens import ApiTokens
from estran.state.audit import AuditBook
from estran.state.catalogue import CatalogueShelf
from estran.state.charts import ChartBook
from estran.state.checkpoints import Checkpoints
from estran.state.cohorts import CohortShelf
from estran.state.datamarts import DatamartBook
from estran.state.drafts import Drafts
from estran.state.federated import Federated
from estran.state.following import Following, News
from estran.state.jobs import Jobs
from estran.state.lockouts import Lockouts
from estran.state.notices import Notices
from estran.state.openings import Openings
from estran.state.originals import OriginalShelf
from estran.state.owndata import OwnDataBook
from estran.state.passkeys import Passkeys
from estran.state.patient_lists import PatientLists
from estran.state.pending import Pending
from estran.state.perimeters import Perimeters
from estran.state.projects import ProjectBook
from estran.state.public import PublicProjects
from estran.state.requests import Letters, Requests
from estran.state.reviews import Reviews
from estran.state.rights import RightsBook
from estran.state.screenings import Screenings
from estran.state.sealing import Seal
from estran.state.seats import Seats
from estran.state.second_factors import SecondFactors
from estran.state.sessions import Sessions
from estran.state.shares import Shares
from estran.state.spaces import Releases, Spaces
from estran.state.transactions import reading, writing

MIGRATIONS = Path(__file__).parent / "migrations"
HEAD = "0019"  # the newest of the migrations
FILE_NAME = "state.sqlite"
KEY_NAME = "portal.key"


class StateDatabase:
    """One open database; each attribute is one book of it."""

    def __init__(self, engine: sa.Engine, key_file: Path) -> None:
        self.engine = engine
        self.accounts = Accounts(engine)
        self.sessions = Sessions(engine)
        self.lockouts = Lockouts(engine)
        self.cohorts = CohortShelf(engine)
        self.drafts = Drafts(engine)
        self.jobs = Jobs(engine)
        self.answered = AnsweredSets(engine)
        self.audit = AuditBook(engine)
        self.checkpoints = Checkpoints(engine)
        self.reviews = Reviews(engine)
        self.seal = Seal(key_file)
        self.second_factors = SecondFactors(engine, self.seal)
        self.passkeys = Passkeys(engine)
        self.tokens = ApiTokens(engine)
        self.pending = Pending(engine)
        self.federated = Federated(engine)
        self.projects = ProjectBook(engine)
        self.notices = Notices(engine)
        self.datamarts = DatamartBook(engine)
        self.spaces = Spaces(engine)
        self.releases = Releases(engine)
        self.rights = RightsBook(engine)
        self.requests = Requests(engine, Seal(key_file))
        self.letters = Letters(engine)
        self.public_projects = PublicProjects(engine)
        self.catalogue = CatalogueShelf(engine)
        self.charts = ChartBook(engine)
        self.shares = Shares(engine, self.cohorts)
        self.following = Following(engine)
        self.news = News(engine)
        self.patient_lists = PatientLists(engine)
        self.screenings = Screenings(engine)
        self.perimeters = Perimeters(engine)
        self.openings = Openings(engine)
        self.seats = Seats(engine)
        self.own_data = OwnDataBook(engine)
        self.originals = OriginalShelf(engine)

    @classmethod
    def open(cls, where: Path | str, key_file: Path | None = None) -> StateDatabase:
        """`where` is a SQLite file (a Path) or an SQLAlchemy URL; StoreError when it cannot be opened.

        Missing tables are created and old ones migrated before the database is returned. `key_file` seals what
        must be read back (see `sealing`): beside the SQLite file unless given, in the current folder for a URL.
        """
        engine = _engine(f"sqlite:///{where}" if isinstance(where, Path) else where)
        try:
            _migrate(engine)
        except sa.exc.DBAPIError as error:
            raise StoreError(
                f"The application's database cannot be opened ({type(error.orig).__name__}).",
                where=engine.url.render_as_string(hide_password=True),
                hint="check that the folder is writable, or that the PostgreSQL server answers",
            ) from None
        beside = where.parent if isinstance(where, Path) else Path()
        return cls(engine, key_file or beside / KEY_NAME)

    def close(self) -> None:
        """Give connections back; the object is not used afterwards."""
        self.engine.dispose()


def _engine(url: str) -> sa.Engine:
    engine = sa.create_engine(url, pool_pre_ping=not url.startswith("sqlite"))
    if engine.dialect.name == "sqlite":
        sa.event.listen(engine, "connect", _prepare_sqlite)
        sa.event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    """WAL lets pages read while one writes; FULL keeps an audit line across a power cut."""
    connection.isolation_level = None  # transactions are ours, see _begin_sqlite
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=10000"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: sa.Connection) -> None:
    """Take the write lock at once when the caller will write, so that read-then-write cannot be overtaken."""
    write = connection.get_execution_options().get("write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


def _migrate(engine: sa.Engine) -> None:
    if _revision(engine) == HEAD:
        return
    from alembic import command  # here, since it takes a third of a second to import and is needed once
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    with writing(engine) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")



def _revision(engine: sa.Engine) -> str | None:
    """The migration that the database has come to; None when it is new."""
    with reading(engine) as connection:
        if not sa.inspect(connection).has_table("alembic_version"):
            return None
        found: str | None = connection.execute(sa.text("select version_num from alembic_version")).scalar()
        return found
