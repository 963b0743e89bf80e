"""What a patient is told of who read their record: a letter in French."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from zoneinfo import ZoneInfo

from estran.projects.actors import Role
from estran.projects.policy import Action
from estran.state import AuditEntry

_FUNCTIONS = {
    Role.OWNER: "Responsable de l'entrepôt (détenteur de la clé)", Role.DATA_ENGINEER: "Centre de données cliniques",
    Role.RESEARCHER: "Chercheur", Role.CLINICIAN: "Clinicien", Role.VIEWER: "Lecteur de totaux",
}  # fmt: skip
_PURPOSES = {
    Action.TIMELINE: "lecture du dossier chronologique", Action.DOCUMENT: "lecture d'un document",
    Action.SNIPPETS: "extraits de documents affichés par une recherche", Action.PATIENTS: "affichage dans la liste d'une cohorte",
    Action.COUNT: "dénombrement sur une liste de patients", Action.SAVE: "enregistrement d'une liste de patients",
}  # fmt: skip


def letter(
    history: Sequence[AuditEntry], site: str, zone: ZoneInfo, today: dt.datetime, begins: dt.datetime | None, *,
    names: bool = False,
) -> str:  # fmt: skip
    """The letter's text. What one person did within a minute for one purpose is told once; logins only with `names`."""
    said = dict.fromkeys(_told(entry, zone, names) for entry in history)
    since = f" depuis le {begins.astimezone(zone):%d/%m/%Y}" if begins else ""
    reads = "\n".join(f"  - {line}" for line in said) or f"  Aucune consultation n'est enregistrée{since}."
    return f"""{site}
Le {today.astimezone(zone):%d/%m/%Y}

Objet : consultations de vos données dans l'entrepôt de données de santé

Madame, Monsieur,

Vous avez demandé qui a consulté vos données dans l'entrepôt de données de santé de l'établissement. Vos données y
sont pseudonymisées : les personnes ci-dessous n'ont vu ni votre nom, ni votre adresse, ni vos numéros.
Chaque consultation est inscrite avant d'avoir lieu ; les inscriptions sont conservées{since or " depuis l'ouverture"}.

Consultations enregistrées (date, fonction de la personne, finalité) :

{reads}

Vous pouvez à tout moment vous opposer à l'utilisation de vos données, ou saisir le délégué à la protection des
données de l'établissement, puis la CNIL (www.cnil.fr).
"""


def _told(entry: AuditEntry, zone: ZoneInfo, names: bool) -> str:
    who = _FUNCTIONS.get(Role(entry.role), entry.role) if entry.role in set(Role) else entry.role
    who = f"{who} ({entry.login})" if names else who
    purpose = _PURPOSES.get(Action(entry.action), entry.action) if entry.action in set(Action) else entry.action
    return f"{entry.at.astimezone(zone):%d/%m/%Y à %H:%M} – {who} – {purpose}"
