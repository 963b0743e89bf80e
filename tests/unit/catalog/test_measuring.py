"""What is measured equals a slow, obvious computation over the rows of a small site."""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Iterator
from statistics import mean
from typing import Any

import numpy as np
import pytest
from tests.browser.small_site import Site, build

from estran.catalog import measuring, variables
from estran.catalog.curves import newest_week
from estran.catalog.steering import DAYS, NIGHTS
from estran.state import Entry

Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    built = build(tmp_path_factory.mktemp("site"), patients=150)
    measuring.measure(built.snapshot(), built.state)
    yield built
    built.state.close()


def rows(site: Site, sql: str) -> Rows:
    with site.snapshot().connect() as connection:
        found: Rows = connection.sql(sql).to_arrow_table().to_pylist()
        return found


@pytest.fixture(scope="module")
def facts(site: Site) -> Rows:
    return rows(
        site,
        "SELECT f.*, c.vocabulary || ':' || c.code AS code, d.source FROM fact f JOIN concept c USING (concept_id) "
        "JOIN document d USING (document_id)",
    )


def entries(site: Site, kind: str) -> dict[str, Entry]:
    return {entry.key: entry for entry in site.state.catalogue.entries(kind)}


def test_every_variable_is_counted(site: Site, facts: Rows) -> None:
    by_code: dict[str, Rows] = defaultdict(list)
    for fact in facts:
        by_code[fact["code"]].append(fact)
    found = entries(site, "variable")
    assert found.keys() == by_code.keys()
    for code, mine in by_code.items():
        entry, body = found[code], found[code].body
        assert (entry.rows, entry.patients) == (len(mine), len({f["patient_id"] for f in mine}))
        assert body["in_stay"] == sum(f["stay_id"] is not None for f in mine)
        assert body["valued"] == sum(f["value"] is not None for f in mine)
        assert body["first"] == min(f["start_date"] for f in mine if f["start_date"]).isoformat()
        assert {s["source"]: s["facts"] for s in body["sources"]} == Counter(f["source"] for f in mine)
        years = {y["year"]: y["patients"] for y in body["years"]}
        assert years == {y: len({f["patient_id"] for f in mine if f["start_date"].year == y}) for y in years}


def test_distributions_are_those_of_the_values(site: Site, facts: Rows) -> None:
    for code, entry in entries(site, "variable").items():
        for spread in entry.body["values"]:
            mine = [
                f for f in facts if f["code"] == code and f["value"] is not None and (f["unit"] or "") == spread["unit"]
            ]
            values, patients = [f["value"] for f in mine], len({f["patient_id"] for f in mine})
            assert (spread["facts"], spread["patients"]) == (len(values), patients)
            for share, told in zip(variables.QUANTILES, spread["quantiles"], strict=True):
                beyond = min(share, 1 - share) * patients >= variables.ASIDE
                assert told == (pytest.approx(np.quantile(values, share)) if beyond else None)
            if patients >= 2 * variables.ASIDE:
                inside = [v for v in values if spread["low"] <= v <= spread["high"]]
                assert sum(n for n, _ in spread["bins"]) == len(inside)


def test_small_ranges_say_the_same_as_one(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot = site.snapshot()
    whole = list(variables.variables(snapshot))
    monkeypatch.setattr(variables.ranges, "__defaults__", (200,))
    with snapshot.connect() as connection:
        assert len(variables.ranges(connection)) > 5
    assert list(variables.variables(snapshot)) == whole


def test_tables_say_which_columns_are_filled(site: Site) -> None:
    found = entries(site, "table")
    patients = rows(site, "SELECT * FROM patient")
    assert (found["patient"].rows, found["patient"].patients) == (150, 150)
    assert dict(found["patient"].body["columns"])["death_date"] == sum(p["death_date"] is not None for p in patients)
    documents = entries(site, "document")
    assert sum(entry.rows for entry in documents.values()) == found["document"].rows
    assert sum(entry.body["texts"] for entry in documents.values()) == found["text"].rows
    assert sum(entry.rows for entry in entries(site, "source").values()) == found["document"].rows


def test_curves_count_documents_by_week(site: Site) -> None:
    documents, last = rows(site, "SELECT source, start_date FROM document"), newest_week(site.snapshot())
    assert last is not None
    end = dt.date(1970, 1, 5) + dt.timedelta(weeks=last + 1)
    for name, entry in entries(site, "curve").items():
        if name.startswith("source:"):
            first = dt.date.fromisoformat(entry.body["first"])
            assert first.weekday() == 0 and first + dt.timedelta(weeks=len(entry.body["counts"])) == end
            mine = [d for d in documents if d["source"] == name[7:] and first <= d["start_date"] < end]
            assert sum(entry.body["counts"]) == len(mine)


def test_measuring_again_does_nothing(site: Site) -> None:
    assert measuring.measure(site.snapshot(), site.state).entries == 0


# Steering


@pytest.fixture(scope="module")
def stays(site: Site) -> Rows:
    found = rows(
        site,
        "SELECT s.*, u.code, p.birth_month FROM stay s JOIN patient p USING (patient_id) LEFT JOIN unit u USING (unit_id)",
    )
    return [stay for stay in found if stay["kind"] == "venue"]


def steered(site: Site, name: str) -> tuple[dict[str, Any], dt.date, dt.date]:
    body = entries(site, "steering")[name].body
    return body, dt.date.fromisoformat(body["first"]), dt.date.fromisoformat(body["last"])


def test_occupancy_counts_who_is_there_at_midnight(site: Site, stays: Rows) -> None:
    body, first, last = steered(site, "occupancy")
    assert (last - first).days == DAYS - 1
    for ward in body["wards"]:
        mine = [stay for stay in stays if stay["code"] == ward["code"]]
        for day in range(0, DAYS, 13):
            date = first + dt.timedelta(days=day)
            there = [s for s in mine if s["start_date"] <= date < (s["end_date"] or last + dt.timedelta(days=1))]
            assert ward["days"][day] == len(there), (ward["code"], date)
        for week, (nights, patients) in enumerate(ward["weeks"]):
            assert nights == sum(ward["days"][7 * week : 7 * week + 7])
            assert (patients == 0) == (nights == 0) and patients <= max(nights, 0)


def test_length_of_stay_is_counted_in_nights(site: Site, stays: Rows) -> None:
    body, first, last = steered(site, "length")
    nights = [(s["end_date"] - s["start_date"]).days for s in stays if s["end_date"] and first <= s["end_date"] <= last]
    assert body["all"]["stays"] == len(nights)
    assert body["all"]["mean"] == pytest.approx(mean(nights))
    assert body["all"]["quantiles"][1] == pytest.approx(np.median(nights))
    bands = [sum(low <= n <= (10**6 if high is None else high) for n in nights) for low, high in NIGHTS]
    assert body["all"]["bands"] == bands and sum(bands) == len(nights)
    assert sum(ward["stays"] for ward in body["wards"]) == len(nights)


def test_readmissions_follow_the_rules(site: Site, stays: Rows) -> None:
    body, first, last = steered(site, "readmissions")

    def adult(stay: dict[str, Any]) -> bool:
        born, came = stay["birth_month"], stay["start_date"]
        return (came.year - born.year) * 12 + came.month - born.month >= 18 * 12

    index = [
        s for s in stays
        if s["end_date"] and first <= s["end_date"] <= last - dt.timedelta(days=30) and s["exit_mode"] != "9" and adult(s)
    ]  # fmt: skip

    def back(stay: dict[str, Any], days: int) -> bool:
        return any(
            o["patient_id"] == stay["patient_id"] and o["stay_id"] != stay["stay_id"]
            and 1 <= (o["start_date"] - stay["end_date"]).days <= days for o in stays
        )  # fmt: skip

    assert body["all"]["stays"] == len(index) > 0
    assert body["all"]["week"] == sum(back(s, 7) for s in index)
    assert body["all"]["month"] == sum(back(s, 30) for s in index) > 0
    assert sum(month["stays"] for month in body["months"]) == len(index)


def test_every_stay_that_ended_flows_in_and_out_once(site: Site) -> None:
    links = steered(site, "pathways")[0]["links"]
    came = sum(link["stays"] for link in links if link["source"].startswith("entry:"))
    went = sum(link["stays"] for link in links if link["target"].startswith("exit:"))
    assert came == went > 0
