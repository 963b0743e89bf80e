"""MDM and embedded documents."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from tests.unit.sources.test_hl7v2_support import PID, PV1, Reading, message, read

EVN = "EVN||20240311083000||||20240311083000"


def mdm(event: str, own: str, parent: str = "", *, text: str = "Texte", extra: str = "", kind: str = "TX") -> str:
    txa = f"TXA|1|18842-5|TX|202403110800|||||^X^Y^^^^MD|||{own}|{parent}||||{extra}"
    return message(f"MDM^{event}", EVN, PID, PV1, txa, f"OBX|1|{kind}|18842-5^Lettre de liaison^LN||{text}||||||F")


def living(reading: Reading) -> dict[str, str]:
    """What a store keeps: per key the last version, unless it is cancelled."""
    last: dict[str, tuple[tuple[int, int], int, str]] = {}
    contents = reading.batch.records["content"].to_pylist()
    for row in reading.rows("documents"):
        stamp = (reading.times[row["record"]], contents[row["record"]])
        if row["key"] not in last or last[row["key"]][0] < stamp:
            last[row["key"]] = (stamp, row["status"], row.get("text", ""))
    return {key: text for key, (_, status, text) in last.items() if status != 2}


def test_a_document(tmp_path: Path) -> None:
    (document,) = read(tmp_path, mdm("T02", "D1^DPI", extra="AU|R")).rows("documents")
    assert (document["key"], document["kind"], document["title"]) == ("MDM|D1|DPI", "discharge", "Lettre de liaison")
    assert (document["text"], document["author_role"], document["confidential"]) == ("Texte", "MD", True)
    assert (document["start_minute"], document["status"], document["stay"]) == (480, 0, 0)


A, B, C = "1.2.250.1.71.4.2.2.9.81^Org", "1.2.250.1.71.4.2.2.9.82", "1.2.250.1.71.4.2.2.9.83^Org"
SENT = mdm("T02", A, text="un")
REPLACED = mdm("T10", B, A, text="deux")
AGAIN = mdm("T10", C, B, text="trois")
WITHDRAWN = mdm("T04", C, A)


@pytest.mark.parametrize("turn", [1, -1])
@pytest.mark.parametrize(
    ("messages", "texts"),
    [
        ((SENT, REPLACED), ["deux"]), ((SENT, REPLACED, AGAIN), ["trois"]), ((SENT, REPLACED, AGAIN, WITHDRAWN), []),
        ((SENT, mdm("T04", A)), []), ((REPLACED, mdm("T04", B, A), SENT), []), ((mdm("T10", A, A, text="x"), SENT), ["x"]),
        ((SENT, mdm("T08", A, text="édité")), ["édité"]), ((SENT, mdm("T06", B, A, text="ajout")), ["ajout", "un"]),
    ],
)  # fmt: skip
def test_replacing_and_withdrawing_in_any_order(
    tmp_path: Path, messages: tuple[str, ...], texts: list[str], turn: int
) -> None:
    reading = read(tmp_path, "".join(messages[::turn]))
    assert reading.refusals == []
    assert sorted(living(reading).values()) == texts


@pytest.mark.parametrize(
    ("own", "key"),
    [
        ("D1", "MDM|D1|CHU"), ("D1^DPI", "MDM|D1|DPI"), ("D1^^1.2.3^ISO", "MDM|D1|1.2.3"), (A, "MDM|1.2.250.1.71.4.2.2.9.81|"),
        ("f81d4fae-7dec-11d0-a765-00a0c91e6bf6^X", "MDM|f81d4fae-7dec-11d0-a765-00a0c91e6bf6|"), ("", "MDM|message|1|1710154800000000"),
    ],
)  # fmt: skip
def test_keys(tmp_path: Path, own: str, key: str) -> None:
    assert read(tmp_path, mdm("T02", own)).rows("documents")[0]["key"] == key


def test_unfinished(tmp_path: Path) -> None:
    assert read(tmp_path, mdm("T02", "D1", extra="IP")).rows("documents")[0]["status"] == 1


def test_no_txa(tmp_path: Path) -> None:
    assert read(tmp_path, message("MDM^T02", PID, PV1)).refusals == [(0, "TXA", "missing")]


def embedded(tmp_path: Path, data: bytes | str, encoding: str = "Base64", kind: str = "text^XML") -> Reading:
    written = base64.b64encode(data).decode() if isinstance(data, bytes) else data
    return read(tmp_path, mdm("T02", "D1", text=f"^{kind}^{encoding}^{written}", kind="ED"))


CDA = """<?xml version="1.0" encoding="UTF-8"?><!-- note --><ClinicalDocument xmlns="urn:hl7-org:v3"><recordTarget>
<patientRole><id extension="1"/></patientRole></recordTarget><component><structuredBody><component><section>
<title>Motif</title><text>Dyspnée <content styleCode="Bold">d'effort</content><br/>depuis 3 jours</text></section></component>
<component><section><text><table><tbody><tr><td>Hb</td><td>13</td></tr><tr><td>K</td><!-- x --><td>4</td></tr></tbody>
</table><list><item>un</item><item>deux</item></list></text></section></component></structuredBody></component>
</ClinicalDocument>"""


def body(text: str, media: str, representation: str = "B64") -> bytes:
    return (
        '<ClinicalDocument xmlns="urn:hl7-org:v3"><component><nonXMLBody>'
        f'<text mediaType="{media}" representation="{representation}">{text}</text></nonXMLBody></component></ClinicalDocument>'
    ).encode()


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"Compte rendu\r\nNormal", "Compte rendu\nNormal"), ("Réa".encode("latin-1"), "Réa"),
        (CDA.encode(), "Motif\nDyspnée d'effort\ndepuis 3 jours\nHb 13\nK 4\nun\ndeux"),
        (body(base64.b64encode("Bonjour é".encode()).decode(), "text/plain"), "Bonjour é"),
        (body("En clair", "text/plain", "TXT"), "En clair"), (b"<5 mg/L", "<5 mg/L"),
    ],
)  # fmt: skip
def test_embedded_text(tmp_path: Path, data: bytes, text: str) -> None:
    reading = embedded(tmp_path, data)
    assert reading.rows("documents")[0]["text"] == text
    assert reading.batch.media.num_rows == 0


def test_embedded_in_clear(tmp_path: Path) -> None:
    assert embedded(tmp_path, "a\\T\\b~c", "A").rows("documents")[0]["text"] == "a&b\nc"


@pytest.mark.parametrize(
    ("data", "modality"),
    [
        (b"%PDF-1.7 ...", "application/pdf"), (b"{\\rtf1 }", "application/rtf"), (b"\x00\x01", "text/xml"),
        (body(base64.b64encode(b"%PDF-1.4").decode(), "application/pdf"), "application/pdf"),
    ],
)
def test_what_is_not_text_yet(tmp_path: Path, data: bytes, modality: str) -> None:
    reading = embedded(tmp_path, data)
    (media,) = reading.rows("media")
    assert (media["modality"], media["uri"], len(media["checksum"])) == (modality, "landing:record=0;document=1", 64)
    assert "text" not in reading.rows("documents")[0]


def test_xml_opens_nothing(tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("SECRET")
    dtd = f'<!DOCTYPE c [<!ENTITY e SYSTEM "{secret.as_uri()}"><!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>'
    text = f'<?xml version="1.0"?>{dtd}<ClinicalDocument xmlns="urn:hl7-org:v3"><t>&e;&b;</t></ClinicalDocument>'
    rows = embedded(tmp_path, text.encode()).rows("documents")
    assert "SECRET" not in str(rows)
    assert "aaaa" not in str(rows)


def test_ans_metadata_is_no_result(tmp_path: Path) -> None:
    meta = "OBX|2|CWE|{0}^x^MetaDMPMSS||{1}^^expandedYes-NoIndicator||||||F\r"
    mail = "OBX|3|ED|CORPSMAIL_PS^Corps^MetaDMPMSS||^text^^Base64^cassé||||||F\r"
    for said, hidden in (("Y", True), ("N", False)):
        reading = read(tmp_path, mdm("T02", "D1") + meta.format("MASQUE_PS", said) + mail)
        (document,) = reading.rows("documents")
        assert (document["confidential"], document["text"]) == (hidden, "Texte")
        assert reading.batch.facts.num_rows == 0
