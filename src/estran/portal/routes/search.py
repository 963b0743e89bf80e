"""The search bar and its results."""

from __future__ import annotations

from urllib.parse import urlencode

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from estran.model.errors import UsageError
from estran.portal.language import Language
from estran.portal.visitor import Reader
from estran.portal.words import word
from estran.projects.finding import AGE_BANDS, Found

router = APIRouter()
PAGE = 10
FILTERS = ("kind", "year", "unit", "sex", "age")


@router.get("/search")
def search(
    who: Reader, q: str = "", kind: str = "", year: str = "", unit: str = "", sex: str = "", age: str = "", page: int = 1
) -> HTMLResponse:
    filters = dict(zip(FILTERS, (kind, year, unit, sex, age), strict=True))
    page = min(max(page, 1), 1000)
    found, refusal = None, None
    if q.strip():
        try:
            found = who.desk.search(q.strip(), {k: v for k, v in filters.items() if v}, PAGE, (page - 1) * PAGE)
        except UsageError as error:
            refusal = error

    def link(**changes: object) -> str:
        values = {"q": q, **filters, "page": 1, **changes}
        return "/search?" + urlencode({k: v for k, v in values.items() if v and not (k == "page" and v == 1)})

    return who.page(
        "search.html", q=q, filters=filters, found=found, refusal=refusal, link=link, number=page,
        facet=lambda name, f: facet_word(name, f.value, f.label, who.spoken),
        chip=lambda name, value, shown: facet_word(name, value, _label(shown, name, value), who.spoken),
    )


def facet_word(name: str, value: str, label: str, spoken: Language) -> str:
    """A facet's value in words: `label` for wards, the house's words for kinds and sexes, a span for ages."""
    if name == "kind":
        return word(spoken, "document", value)
    if name == "sex":
        return word(spoken, "sex", value)
    if name == "age":
        last = next((end for start, end in AGE_BANDS if str(start) == value), None)
        return f"{value}–{last}" if last is not None and last < 120 else f"{value}+"
    return label or value


def _label(found: Found, name: str, value: str) -> str:
    return next((f.label for f in found.facets[name] if f.value == value), "")
