"""CDISC ODM as a project brings it: groups of items as rows, found through an item or through a table of links."""

from __future__ import annotations

from tests.unit.keeping.owndata.conftest import Bench

HEAD = """<?xml version="1.0" encoding="UTF-8"?>
<ODM xmlns="http://www.cdisc.org/ns/odm/v{v}" FileType="{type}" FileOID="F1" ODMVersion="{v}" CreationDateTime="2024-01-01T00:00:00">
<Study OID="S1"><GlobalVariables><StudyName>Heart</StudyName></GlobalVariables>
<MetaDataVersion OID="MDV1" Name="1">
<ItemGroupDef OID="IG.VS" Name="Vital signs" Repeating="Yes"/>
<ItemDef OID="I.IPP" Name="Hospital number" DataType="text"/>
<ItemDef OID="I.SBP" Name="SBP" DataType="integer"><Question><TranslatedText xml:lang="en">Systolic pressure</TranslatedText></Question>
<RangeCheck Comparator="LE" SoftHard="Hard"><CheckValue>300</CheckValue></RangeCheck></ItemDef>
<ItemDef OID="I.DAY" Name="Day" DataType="date"/>
<ItemDef OID="I.NYHA" Name="NYHA" DataType="integer"><CodeListRef CodeListOID="CL.N"/></ItemDef>
<CodeList OID="CL.N" Name="NYHA" DataType="integer"><CodeListItem CodedValue="1"><Decode><TranslatedText>I</TranslatedText></Decode></CodeListItem>
<CodeListItem CodedValue="2"><Decode><TranslatedText>II</TranslatedText></Decode></CodeListItem></CodeList>
</MetaDataVersion></Study>
<ClinicalData StudyOID="S1" MetaDataVersionOID="MDV1">
"""
TAIL = "</ClinicalData></ODM>\n"


def odm(*subjects: str, v: str = "1.3", type: str = "Snapshot") -> str:
    return HEAD.format(v=v, type=type) + "\n".join(subjects) + TAIL


def subject(
    key: str, *groups: str, event: str = "V1", form: str = '<FormData FormOID="F">', end: str = "</FormData>"
) -> str:
    return f'<SubjectData SubjectKey="{key}"><StudyEventData StudyEventOID="{event}">{form}{"".join(groups)}{end}</StudyEventData></SubjectData>'


def group(repeat: str = "1", more: str = "", **items: str) -> str:
    cells = "".join(f'<ItemData ItemOID="I.{name}" Value="{value}"/>' for name, value in items.items())
    return f'<ItemGroupData ItemGroupOID="IG.VS" ItemGroupRepeatKey="{repeat}"{more}>{cells}</ItemGroupData>'


def identity(number: str) -> str:
    return f'<ItemGroupData ItemGroupOID="IG.DM"><ItemData ItemOID="I.IPP" Value="{number}"/></ItemGroupData>'


def test_groups_of_items_are_rows_with_their_definitions(bench: Bench) -> None:
    text = odm(
        subject("S-1", identity("IPP1"), group("1", SBP="140", DAY="2024-01-05", NYHA="2"), group("2", SBP="150")),
        subject("S-2", identity("IPP2"), group("1", SBP="900"), group("2", NYHA="7")),
        subject("S-3", identity("IPP99"), group("1", SBP="120")),
    )
    outcome = bench.bring(text, "odm", uses={"i.ipp": "patient"})
    assert outcome.aside == {"no-patient": 2, "out-of-range": 1, "not-in-list": 1}
    assert {(field, why) for _, table, field, why in outcome.lines if table == "ig_vs" and why != "no-patient"} == {
        ("i.sbp", "out-of-range"), ("i.nyha", "not-in-list"),
    }  # fmt: skip
    assert {who: sorted(found) for who, found in bench.held("i_sbp", "ig_vs").items()} == {"IPP1": [140.0, 150.0]}  # type: ignore[type-var]
    assert {one["name"]: one["label"] for one in bench.content().tables["ig_vs"].columns}[
        "i_sbp"
    ] == "Systolic pressure"
    assert bench.bring(text, "odm", uses={"i.ipp": "patient"}).linked == 0


def test_a_table_of_links_finds_subjects_and_a_removal_takes_a_row_back(bench: Bench) -> None:
    links = "subject;ipp\nS-1;IPP4\n"
    text = odm(subject("S-1", group("1", SBP="140"), group("2", SBP="150")), subject("S-2", group("1", SBP="150")))
    assert bench.bring(text, "odm", links=links).counts == {"read": 3, "linked": 2, "superseded": 0, "aside": 1}
    removing = odm(
        subject("S-1", group("2", ' TransactionType="Remove"'), group("3", ' TransactionType="Insert"', SBP="160"),
                group("1", ' TransactionType="Update"', SBP="141")), type="Transactional",
    )  # fmt: skip
    outcome = bench.bring(removing, "odm", links=links)
    assert (outcome.linked, outcome.superseded, outcome.aside) == (1, 1, {"partial": 1})
    assert sorted(bench.held("i_sbp", "ig_vs")["IPP4"]) == [140.0, 160.0]  # type: ignore[type-var]


def test_version_2_states_values_as_elements_without_forms(bench: Bench) -> None:
    cells = '<ItemData ItemOID="I.SBP"><Value SeqNum="1">135</Value></ItemData><ItemData ItemOID="I.DAY" IsNull="Yes"/>'
    inner = f'<ItemGroupData ItemGroupOID="IG.ALL"><ItemGroupData ItemGroupOID="IG.VS">{cells}</ItemGroupData></ItemGroupData>'
    text = odm(subject("IPP7", inner, form="", end=""), v="2.0")
    assert bench.bring(text, "odm", links="S;ipp\nIPP7;IPP7\n").linked == 1
    assert bench.held("i_sbp", "ig_vs") == {"IPP7": [135.0]}
