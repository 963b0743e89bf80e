"""The readers of a study's data before files that are hostile or damaged."""

from __future__ import annotations

import io
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.keeping.owndata.test_odm import group, odm, subject

from estran.model.errors import InputRefused
from estran.sources.study.delimited import DelimitedReader, look_at, read_dictionary
from estran.sources.study.odm import OdmReader, read_items
from estran.sources.study.sheet import Item, Kind, plain_name
from estran.sources.study.values import typed

SHORT = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
SEED = odm(subject("S-1", group("1", SBP="140", DAY="2024-01-05"), group("2", NYHA="1"))).encode()
BOMB = b'<?xml version="1.0"?><!DOCTYPE ODM [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><ODM xmlns="http://www.cdisc.org/ns/odm/v1.3">&b;</ODM>'


@st.composite
def bitten(draw: st.DrawFn, seed: bytes) -> bytes:
    """A copy with pieces cut, doubled or replaced."""
    body = bytearray(seed)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(body)))
        size = draw(st.integers(0, 60))
        new = draw(
            st.sampled_from((b"", b"<", b"&x;", b'"', b"\0", b"\xff", b";", b"\n", bytes(body[at : at + size]) * 2))
        )
        body[at : at + size] = new
    return bytes(body)


@SHORT
@given(data=bitten(SEED))
def test_odm_is_read_or_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "odm.xml"
    path.write_bytes(data)
    try:
        read_items(path)
        sheets = list(OdmReader().sheets(path))
    except InputRefused:
        return
    assert all(len(one.subjects) == len(one.keys) == len(one.cells) == len(one) for one in sheets)


@SHORT
@given(data=bitten(b'ipp;visit;fevg\nIPP1;V1;35,5\nIPP2;"V;2";40\n\nIPP3;V1\n'))
def test_a_delimited_file_is_read_or_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(data)
    try:
        look_at(path)
        for sheet in DelimitedReader(("ipp",), ("visit",)).sheets(path):
            assert sheet.read == len(sheet) + len(sheet.wrong) and len(sheet.cells) == len(sheet)
    except InputRefused:
        return


@SHORT
@given(texts=st.lists(st.one_of(st.none(), st.text(max_size=12), st.from_regex(r"\d{2,4}-\d{1,2}-\d{1,2}", fullmatch=True))),
       kind=st.sampled_from(Kind))  # fmt: skip
def test_values_are_typed_or_named_wrong(texts: list[str | None], kind: Kind) -> None:
    read = typed(pa.chunked_array([pa.array(texts, pa.string())]), Item("x", kind, codes=(("1", "one"),)), "ymd")
    assert len(read.values) == len(texts)
    for n, text in enumerate(texts):
        wrong = any(mask[n] for mask in read.wrong.values())
        assert wrong or read.values[n].is_valid or not (text or "").strip()


def test_no_document_type_and_no_other_format_is_read(tmp_path: Path) -> None:
    path = tmp_path / "x.xml"
    for data, said in ((BOMB, "document type"), (b"<a/>", "not CDISC ODM"), (b"ipp;x\n1;2\n", "well-formed")):
        path.write_bytes(data)
        with pytest.raises(InputRefused, match=said):
            list(OdmReader().sheets(path))


def test_a_long_file_is_read_in_bounded_pieces(tmp_path: Path) -> None:
    path = tmp_path / "long.xml"
    path.write_text(odm(*(subject(f"S-{n}", group("1", SBP="140")) for n in range(12_000))))
    sizes = [len(one) for one in OdmReader().sheets(path)]
    assert sum(sizes) == 12_000 and max(sizes) < 6_000
    out = io.BytesIO(b"<ODM xmlns='http://www.cdisc.org/ns/odm/v1.3' a='" + b"x" * (9 << 20) + b"'/>")
    path.write_bytes(out.getvalue())
    with pytest.raises(InputRefused, match="8 MB"):
        list(OdmReader().sheets(path))


def test_a_dictionary_is_one_or_is_refused() -> None:
    with pytest.raises(InputRefused, match="not a data dictionary"):
        read_dictionary(b"a,b\n1,2\n")
    assert plain_name("IG.Démographie-1") == "ig_demographie_1" and plain_name("1é") == "v_1e"


@pytest.mark.parametrize(
    "text",
    [
        "IPP0;MARTIN;ANNE;1950-01-11;35\nIPP2;LEFEBVRE;LUCIE;1950-03-13;44\n",
        "MARTIN;ANNE;11/01/1950\nLEFEBVRE;LUCIE;\n",
        "MARTIN;06 12 34 56 78\nLEFEBVRE;unknown\n",
        "MARTIN;IPP0\nLEFEBVRE;IPP12\n",
        "MARTIN;oui\nLEFEBVRE;non\n",
        "MARTIN;Anne;x\nLEFEBVRE;Lucie;31\n Martin ;Paul;32\n",
    ],
)
def test_values_are_not_taken_for_names_of_columns(tmp_path: Path, text: str) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(text)
    with pytest.raises(InputRefused, match="must name the columns") as refused:
        look_at(path)
    assert "MARTIN" not in str(refused.value)
    path.write_text("ipp;nom;naissance;fevg;v1;risk___1\n" + "IPP0;MARTIN;1950-01-11;35;x;0\n")
    kinds = [one.kind for one in look_at(path)[1]]
    assert kinds == [Kind.WORDS, Kind.WORDS, Kind.DATE, Kind.NUMBER, Kind.WORDS, Kind.FLAG]


@pytest.mark.parametrize("text", ["MARTIN;Anne\nLEFEBVRE;Lucie\n", "MARTIN;Anne\n", "nom;prénom\nMARTIN;Anne\n"])
def test_a_file_of_nothing_but_names_is_refused_since_nobody_can_be_found_by_it(tmp_path: Path, text: str) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(text)
    with pytest.raises(InputRefused, match="No value has a digit") as refused:
        look_at(path)
    assert "MARTIN" not in str(refused.value)
    path.write_text("sujet;nom\nA1;MARTIN\n")
    assert [one.column for one in look_at(path)[1]] == ["sujet", "nom"]
