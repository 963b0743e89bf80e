"""The application's own database: accounts and the ways to sign in, sessions, saved cohorts, drafts and the audit trail.

SQLite by default (`SITE/state.sqlite`), PostgreSQL by URL. Nothing here holds a value of a patient,
except what a person typed in a question, and what reviewers of charts wrote of pseudonymous patients.
"""

from estran.state.accounts import Account, Accounts, LoginTaken
from estran.state.api_tokens import ApiToken
from estran.state.audit import AuditBook, AuditEntry, AuditFilter, AuditLine
from estran.state.catalogue import CatalogueShelf, Entry, Note, Run, Tallied
from estran.state.charts import ChartBook, FormRecord, ListDraft, ListedPatient, ListedText, ListRecord, Marked, Said
from estran.state.checkpoints import Checkpoint, CheckpointFile
from estran.state.cohorts import CohortShelf, CohortVersion, SavedCohort
from estran.state.database import StateDatabase
from estran.state.drafts import Drafts
from estran.state.following import Followed, NewsLine
from estran.state.jobs import Job, Jobs
from estran.state.lockouts import Lockouts
from estran.state.notices import Notice
from estran.state.openings import Opening
from estran.state.originals import Original
from estran.state.owndata import OwnDataRow, OwnDeclaration, OwnFileRow, OwnState
from estran.state.passkeys import Passkey
from estran.state.patient_lists import PatientList
from estran.state.pending import Begun
from estran.state.projects import Call, Event, Written
from estran.state.public import PublicProject
from estran.state.requests import LetterList, Request
from estran.state.reviews import ReviewRecord
from estran.state.rights import Act, Recipient, Tombstone, Wish
from estran.state.screenings import Screening
from estran.state.sessions import Place, Session, Sessions
from estran.state.shares import Share
from estran.state.spaces import ReleaseFile, ReleaseRequest, Space

__all__ = [
    "Account", "Accounts", "Act", "ApiToken", "AuditBook", "AuditEntry", "AuditFilter", "AuditLine", "Begun", "Call",
    "CatalogueShelf", "ChartBook", "Checkpoint", "CheckpointFile", "CohortShelf", "CohortVersion", "Drafts", "Entry",
    "Event", "Followed", "FormRecord", "Job", "Jobs", "LetterList", "ListDraft", "ListRecord", "ListedPatient",
    "ListedText", "Lockouts", "LoginTaken", "Marked", "NewsLine", "Note", "Notice", "Opening", "Original", "OwnDataRow",
    "OwnDeclaration", "OwnFileRow", "OwnState", "Passkey", "PatientList", "Place",
    "PublicProject", "Recipient", "ReleaseFile", "ReleaseRequest", "Request", "ReviewRecord", "Run", "Said",
    "SavedCohort", "Screening", "Session", "Sessions", "Share", "Space", "StateDatabase", "Tallied", "Tombstone",
    "Wish", "Written",
]
