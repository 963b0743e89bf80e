"""Who of a ward answers a question, for the team that treats them: what is decided and recorded before names are read.

The names themselves are read and sealed by `keeping.screening`, where the key is; no page shows them.
"""

from __future__ import annotations

import datetime as dt
from contextlib import closing

from pyroaring import BitMap

from estran.cohort.language import json as question_json
from estran.cohort.query import Node
from estran.model.errors import NotAllowed, UsageError
from estran.projects.actors import KEY_HOLDER, Actor
from estran.projects.audit import permit
from estran.projects.bounding import codes_below
from estran.projects.policy import Action, Decision, Target
from estran.projects.questions import Answers
from estran.projects.site import SiteServices
from estran.warehouse import Snapshot

_WARD = """
    WITH RECURSIVE ward(unit_id) AS (
        SELECT unit_id FROM unit WHERE code = $code
        UNION SELECT u.unit_id FROM unit u JOIN ward w ON u.parent = w.unit_id)
"""
_PRESENT = (
    _WARD
    + """
    SELECT DISTINCT patient_id FROM (
        SELECT patient_id FROM stay JOIN ward USING (unit_id)
        WHERE coalesce(status, '') <> 'cancelled' AND (start_date >= $day
              OR (start_date <= $day AND (end_date >= $day OR (end_date IS NULL AND status = 'active'))))
        UNION ALL
        SELECT m.patient_id FROM movement m JOIN ward USING (unit_id) JOIN stay s USING (stay_id)
        WHERE m.status = 'active' AND coalesce(s.status, '') NOT IN ('cancelled', 'finished')
              AND m.start_date <= $day AND (m.end_date IS NULL OR m.end_date >= $day))
"""
)


def in_ward(snapshot: Snapshot, ward: str, day: dt.date) -> BitMap:
    """The visible patients who are in a ward (or a unit below it) on a day, or have a stay there to come.

    UsageError when there is no such ward. An open stay counts while its source calls it active.
    """
    with closing(snapshot.connect()) as connection:
        if not connection.execute("SELECT 1 FROM unit WHERE code = ?", [ward]).fetchall():
            raise UsageError("There is no ward of this code.")
        rows = connection.execute(_PRESENT, {"code": ward, "day": day}).fetchall()
    return BitMap(row[0] for row in rows) & snapshot.population()


def treats(snapshot: Snapshot, actor: Actor, ward: str) -> Decision:
    """Whether this person is known to treat the patients of a ward: those whose perimeter names it, or a unit above."""
    bounds = [codes for codes in (actor.perimeter.facilities, actor.perimeter.wards) if codes]
    if bounds and all(ward in codes_below(snapshot, codes) for codes in bounds):
        return Decision(True, f"The ward is within the perimeter of {actor.login}.")
    return Decision(False, f"Nothing says that {actor.login} treats the patients of this ward.")


def screened(site: SiteServices, question: Node, ward: str, day: dt.date, recipient: Actor, vouched: str) -> BitMap:
    """The patients whose names the team may have, decided and recorded, each of them named in the trail. Who lies
    outside the recipient's perimeter is not among them.

    `vouched`: why the key holder says that the recipient treats them, asked for when nothing else says so.
    """
    snapshot = site.snapshot().within(recipient.perimeter)
    known = treats(snapshot, recipient, ward)
    if not known.allowed and not vouched.strip():
        raise NotAllowed(known.reason, hint="say how you know, with --because")
    text = question_json.dumps(question)
    what = f"screening ward:{ward} for:{recipient.login} because:{vouched.strip()[:300]}"
    permit(site.state, recipient, Action.SCREEN, Target(f"screening ward:{ward}"), query=text, snapshot=snapshot.version)
    permit(site.state, KEY_HOLDER, Action.COUNT, Target(what), query=text, snapshot=snapshot.version)
    found = Answers(snapshot).run(question).patients & in_ward(snapshot, ward, day)
    permit(site.state, KEY_HOLDER, Action.SCREEN, Target(what, patients=tuple(found)), query=text, snapshot=snapshot.version)
    return found
