"""What may leave a workspace: the checks of files, by named thresholds. Nothing here reads anything but what it is given."""

from estran.release.airlock.check import Checked, HandedIn, check, table_in
from estran.release.airlock.findings import Finding, Verdict, verdict_of
from estran.release.airlock.profiles import PROFILES, Profile, profile

__all__ = [
    "PROFILES",
    "Checked",
    "Finding",
    "HandedIn",
    "Profile",
    "Verdict",
    "check",
    "profile",
    "table_in",
    "verdict_of",
]
