"""Files that try to carry more than they show."""

from __future__ import annotations

import base64
import io
import json
import zipfile

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from estran.release.airlock import HandedIn, Verdict, check, profile
from estran.release.airlock.pictures import randomness
from estran.release.airlock.rules import RULES

HOUSE = profile("estran")
GOOD = "service,n\nCardiologie,40\nDiabétologie,25\n"


def rules(name: str, data: bytes | str) -> set[str]:
    (found,) = check([HandedIn(name, data.encode() if isinstance(data, str) else data)], HOUSE)
    return {one.rule for one in found.findings}


def verdict(name: str, data: bytes | str) -> Verdict:
    return check([HandedIn(name, data.encode() if isinstance(data, str) else data)], HOUSE)[0].verdict


def figure() -> Image.Image:
    """A bar chart: flat areas and sharp edges."""
    samples = np.full((200, 300, 3), 255, dtype=np.uint8)
    for bar in range(5):
        samples[200 - 30 * (bar + 1) :, 40 * bar + 20 : 40 * bar + 50] = (10, 90, 131)
    return Image.fromarray(samples)


def png(picture: Image.Image, **more: object) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, "PNG", **more)  # type: ignore[arg-type]
    return stream.getvalue()


def test_a_clean_table_passes_and_a_cell_of_three_is_refused_then_corrected() -> None:
    assert verdict("table.csv", GOOD) is Verdict.PASS
    assert rules("table.csv", GOOD.replace("25", "3")) == {"small"}
    assert verdict("table.csv", GOOD.replace("25", "[REDACTED]")) is Verdict.PASS


def test_a_clean_figure_goes_to_a_person() -> None:
    assert rules("figure.png", png(figure())) == {"figure"}


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("service,patient_id\nA,40\n", "identifier"),
        ("service,IPP\nA,40\n", "identifier"),
        ("service,Date de naissance\nA,x\n", "birth"),
        ("who,n\nP4211,40\n", "pseudonym"),
        ("who,n\nABCDEFGHIJKLMNOPQRSTUVWX23,40\n", "pseudonym"),
        ("who,n\n3f2504e0-4f89-41d3-9a0c-0305e82c3301,40\n", "pseudonym"),
        ("who,n\n2 69 05 49 588 157 80,40\n", "pseudonym"),
        ("who,n\nMme Dupont,40\n", "identity"),
        ("who,n\ndurand@example.org,40\n", "identity"),
        ("who,n\n06 12 34 56 78,40\n", "identity"),
        ("day,n\n2024-02-03,40\n", "dates"),
        ("a,n,\nx,40,secret\n", "hidden"),
        ("a,n\nx,40,secret\n", "ragged"),
        ("a,n\nx\u200b,40\n", "hidden"),
        ("a,n\n" + "x,40 \n" * 9, "hidden"),
        ("a,rate,n\nx,0.123456789,40\n", "digits"),
        ("a,n\n=cmd(),40\n", "active"),
        ("a,n\n" + "ab" * 300 + ",40\n", "code"),
        ("a,n\n" + "ab " * 4000 + ",40\n", "long"),
        ("a,n\n" + "\n".join(f"g{i},40" for i in range(5001)), "rows"),
        ("age,sex,dose\n" + "\n".join(f"{30 + i},F,0.{i}" for i in range(30)), "microdata"),
        ("a,b,All\nx,[REDACTED],50\n", "ragged-not"),
    ],
)
def test_a_table_says_no_more_than_its_counts(text: str, rule: str) -> None:  # fmt: skip
    found = rules("table.csv", text)
    assert (rule in found) if rule in RULES else not found & {"ragged", "hidden"}


def test_redacted_cells_deduced_across_rows_and_columns_together() -> None:
    """Two redacted cells in a row, one of them alone in its column: the other follows in two steps."""
    table = "g,A,B,Total\nx,[REDACTED],[REDACTED],100\ny,[REDACTED],60,120\nTotal,90,130,220"
    (found,) = check([HandedIn("t.csv", table.encode())], HOUSE)
    assert found.verdict is Verdict.PASS, "70, 30 and 60 follow, and none is small"
    small = "g,A,B,Total\nx,[REDACTED],[REDACTED],75\ny,[REDACTED],125,185\nTotal,130,130,260"
    (found,) = check([HandedIn("t.csv", small.encode())], HOUSE)
    assert {(one.row, one.column) for one in found.findings if one.rule == "deduced"} == {(2, 3)}, (
        "5 follows from 130 - 125"
    )


def test_redacted_cells_that_make_few_together() -> None:
    assert "together" in rules("t.csv", "g,n\na,[REDACTED]\nb,[REDACTED]\nc,40\nTotal,45")


@pytest.mark.parametrize(
    ("name", "data", "rule"),
    [
        ("data.parquet", b"PAR1....PAR1", "columnar"), ("table.csv", b"PAR1....PAR1", "columnar"), ("model.pkl", b"\x80\x04.", "pickle"),
        ("model.onnx", b"\x80\x04\x95.", "pickle"), ("all.zip", b"PK\x03\x04", "kind"), ("book.xlsx", b"PK\x03\x04", "kind"),
        ("noextension", b"x", "kind"), ("table.csv", b"PK\x03\x04", "disguised"), ("figure.png", b"GIF89a", "disguised"),
        ("table.csv", b"\xff\xfe\x00", "unreadable"), ("table.csv", b"a,n\n" * 600_000, "size"),
        ("x.pdf", b"%PDF-1.4\n/JavaScript\n%%EOF\n", "active"), ("x.pdf", b"%PDF-1.4\n/EmbeddedFile\n%%EOF\n", "active"),
        ("x.pdf", b"%PDF-1.4\n%%EOF\nsecret bytes", "trailing"), ("x.pdf", b"%PDF-1.4\n%%EOF\n" * 4, "hidden"),
        ("x.svg", b'<svg xmlns="http://www.w3.org/2000/svg"><script/></svg>', "active"),
        ("x.svg", b'<svg xmlns="http://www.w3.org/2000/svg"><text style="display:none">x</text></svg>', "hidden"),
        ("x.svg", b'<svg xmlns="http://www.w3.org/2000/svg"><image href="https://out/x"/></svg>', "outside"),
        ("x.svg", b'<svg xmlns="http://www.w3.org/2000/svg"><text>Mme Dupont</text></svg>', "identity"),
        ("x.svg", b'<!DOCTYPE svg [<!ENTITY a "b">]><svg xmlns="http://www.w3.org/2000/svg"/>', "active"),
        ("x.html", b'<p onclick="x()">a</p>', "active"), ("x.html", b'<img src="//out/x.png">', "outside"),
        ("x.html", b"<!--" + b"x y " * 60 + b"--><p>a</p>", "hidden"),
        ("x.html", b"<table><tr><th>g</th><th>n</th></tr><tr><td>a</td><td>3</td></tr></table>", "small"),
        ("x.txt", b"patient P4211", "pseudonym"), ("x.txt", b"OK\x00", "hidden"),
    ],
)  # fmt: skip
def test_a_file_is_what_it_says_and_hides_nothing(name: str, data: bytes, rule: str) -> None:
    assert rule in rules(name, data)
    assert verdict(name, data) is Verdict.REFUSE


def test_a_picture_with_something_behind_it_is_refused() -> None:
    plain = png(figure())
    assert "trailing" in rules("figure.png", plain + b"secret")
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("data.csv", "x")
    assert {"trailing", "archive"} <= rules("figure.png", plain + stream.getvalue())
    remarks = PngImagePlugin.PngInfo()
    remarks.add_text("Comment", "secret")
    assert "metadata" in rules("figure.png", png(figure(), pnginfo=remarks))
    signed = PngImagePlugin.PngInfo()
    signed.add_text("Software", "Matplotlib")
    assert rules("figure.png", png(figure(), pnginfo=signed)) == {"figure"}


def test_bytes_in_the_least_bits_of_a_picture_are_seen() -> None:
    """One kilobyte in the least bits of one corner is enough to be seen; a clean chart has none."""
    samples = np.asarray(figure()).copy()
    assert randomness(samples) < 0.01
    bits = np.random.default_rng(1).integers(0, 2, 8 * 1024, dtype=np.uint8)
    flat = samples.reshape(-1)
    flat[: len(bits)] = (flat[: len(bits)] & 0xFE) | bits
    assert randomness(samples) > 0.4
    assert "least-bits" in rules("figure.png", png(Image.fromarray(samples)))


def test_raw_bytes_as_pixels_are_seen() -> None:
    noise = np.random.default_rng(2).integers(0, 256, (120, 120), dtype=np.uint8)
    assert rules("figure.png", png(Image.fromarray(noise))) >= {"noise"}


def notebook(**cell: object) -> str:
    kept = {"cell_type": "code", "metadata": {}, "source": "print(1)", "outputs": []} | cell
    return json.dumps({"cells": [kept], "metadata": {}, "nbformat": 4, "nbformat_minor": 5})


def shown(form: str, content: str) -> list[dict[str, object]]:
    return [{"output_type": "display_data", "data": {form: content}, "metadata": {}}]


def test_outputs_of_a_notebook_are_examined() -> None:
    small = "<table><tr><th>g</th><th>n</th></tr><tr><td>a</td><td>3</td></tr></table>"
    assert rules("b.ipynb", notebook()) == {"notebook"}
    assert "small" in rules("b.ipynb", notebook(outputs=shown("text/html", small)))
    assert "active" in rules("b.ipynb", notebook(outputs=shown("application/javascript", "1")))
    assert "attachment" in rules("b.ipynb", notebook(attachments={"x.png": {}}))
    assert "hidden" in rules("b.ipynb", notebook(metadata={"jupyter": {"outputs_hidden": True}}))
    assert "trace" in rules("b.ipynb", notebook(outputs=[{"output_type": "error", "traceback": ["KeyError"]}]))
    assert "pseudonym" in rules("b.ipynb", notebook(outputs=[{"output_type": "stream", "text": "P4211\n"}]))
    behind = base64.b64encode(png(figure()) + b"secret").decode()
    assert "trailing" in rules("b.ipynb", notebook(outputs=shown("image/png", behind)))
    assert "metadata" in rules("b.ipynb", notebook(metadata={"x": "y" * 9_000}))


def test_a_model_that_keeps_its_patients_is_refused() -> None:
    def skops(schema: str, more: str = "") -> bytes:
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w") as archive:
            archive.writestr("schema.json", schema)
            if more:
                archive.writestr(more, "x")
        return stream.getvalue()

    assert rules("m.skops", skops('{"__class__": "LogisticRegression"}')) == {"model"}
    assert "memory" in rules("m.skops", skops('{"__class__": "KNeighborsClassifier"}'))
    assert "archive" in rules("m.skops", skops("{}", "patients.csv"))


@pytest.mark.parametrize("language", ["fr", "en"])
def test_every_rule_says_what_and_what_next(language: str) -> None:
    for rule in RULES.values():
        assert rule.what(language).strip().endswith(".") and rule.next(language).strip().endswith(".")
        assert rule.source
