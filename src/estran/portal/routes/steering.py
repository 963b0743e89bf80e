"""What a director reads: occupancy, length of stay, readmissions, ways through the hospital."""

from __future__ import annotations

import datetime as dt

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from estran.portal.drawing import sankey
from estran.portal.quality_words import way
from estran.portal.visitor import Reader

router = APIRouter()
_RECENT = 56  # days drawn one by one


@router.get("/steering")
def steering(who: Reader, ward: str = "") -> HTMLResponse:
    steward, spoken = who.desk.steward, who.spoken
    occupancy = steward.steering("occupancy")
    if occupancy is None:
        return who.page("steering.html", occupancy=None)
    chosen = next((one for one in occupancy["wards"] if one["code"] == ward), next(iter(occupancy["wards"]), None))
    pathways = steward.steering("pathways") or {"links": [], "labels": {}}
    last = dt.date.fromisoformat(occupancy["last"])
    again = steward.steering("readmissions") or {"months": []}
    for month in again["months"]:
        month["short"] = f"{month['name'][5:]}/{month['name'][2:4]}"
    drawn = sankey(pathways["links"])
    names = {node.name: way(spoken, node.name, pathways["labels"]) for node in drawn.nodes}
    return who.page(
        "steering.html", occupancy=occupancy, chosen=chosen, recent=_RECENT, first=dt.date.fromisoformat(occupancy["first"]), last=last,
        days=[last - dt.timedelta(days=_RECENT - 1 - n) for n in range(_RECENT)], length=steward.steering("length"),
        again=again, drawn=drawn, names=names,
    )  # fmt: skip
