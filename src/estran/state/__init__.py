"""The application's own database: accounts and the ways to sign in, sessions, saved cohorts, drafts and the audit trail.

SQLite by default (`SITE/state.sqlite`), PostgreSQL by URL. Nothing here holds a value of a patient,
except what a person typed in a question.
"""

from estran.state.accounts import Account, Accounts
from estran.state.api_tokens import ApiToken
from estran.state.audit import AuditBook, AuditEntry, AuditFilter, AuditLine
from estran.state.checkpoints import Checkpoint, CheckpointFile
from estran.state.cohorts import CohortShelf, CohortVersion, SavedCohort
from estran.state.database import StateDatabase
from estran.state.drafts import Drafts
from estran.state.jobs import Job, Jobs
from estran.state.lockouts import Lockouts
from estran.state.openings import Opening
from estran.state.passkeys import Passkey
from estran.state.pending import Begun
from estran.state.reviews import ReviewRecord
from estran.state.sessions import Place, Session, Sessions

__all__ = [
    "Account", "Accounts", "ApiToken", "AuditBook", "AuditEntry", "AuditFilter", "AuditLine", "Begun", "Checkpoint",
    "CheckpointFile", "CohortShelf", "CohortVersion", "Drafts", "Job", "Jobs", "Lockouts", "Opening", "Passkey", "Place", "ReviewRecord",
    "SavedCohort", "Session", "Sessions", "StateDatabase",
]
