"""The catalogue of messages: `python -m estran.portal.catalogue` gathers them from the code and templates,
updates the French translations and compiles them. The compiled file is shipped; nothing is compiled at run time.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

from estran.portal.sentences import sentences

HERE = Path(__file__).parent
FRENCH = HERE / "locale" / "fr" / "LC_MESSAGES"
_METHODS = [("**.py", "python"), ("**/templates/**.html", "jinja2.ext:babel_extract")]
_KEYWORDS = {"_": None, "text": None, "plural": (1, 2)}
_OPTIONS = {"**/templates/**.html": {"trimmed": "true", "silent": "false"}}


def messages() -> Catalog:
    """Every message of the portal, and every sentence of other rooms that it shows, as English writes them."""
    found = Catalog(project="estran", charset="utf-8")
    for _, _, message, _, _ in sorted(_extracted(), key=lambda item: (item[0], item[1])):
        found.add(message)
    for sentence in sorted(sentences()):
        found.add(sentence)
    return found


def _extracted() -> Iterator[tuple[str, int, str | tuple[str, ...], list[str], str | None]]:
    return extract_from_dir(HERE, method_map=_METHODS, options_map=_OPTIONS, keywords=_KEYWORDS)  # type: ignore[no-any-return]


def french() -> Catalog:
    """The French translations as written."""
    with (FRENCH / "estran.po").open("rb") as stream:
        return read_po(stream, locale="fr", charset="utf-8")


def untranslated(catalogue: Catalog) -> list[str]:
    """Messages that have no translation, or one to be looked at again."""
    return [str(m.id) for m in catalogue if m.id and (not m.string or not all(_strings(m.string)) or m.fuzzy)]


def _strings(translated: str | tuple[str, ...]) -> tuple[str, ...]:
    return translated if isinstance(translated, tuple) else (translated,)


def compiled(catalogue: Catalog) -> bytes:
    """The machine form of a catalogue."""
    stream = BytesIO()
    write_mo(stream, catalogue)
    return stream.getvalue()


def main() -> int:
    """Update and compile; 1 when something is left to translate."""
    catalogue = french()
    catalogue.update(messages(), no_fuzzy_matching=True)
    catalogue.obsolete.clear()
    with (FRENCH / "estran.po").open("wb") as stream:
        write_po(stream, catalogue, width=120, no_location=True, omit_header=False, sort_output=True)
    (FRENCH / "estran.mo").write_bytes(compiled(catalogue))
    missing = untranslated(catalogue)
    sys.stderr.write("".join(f"to translate: {message}\n" for message in missing))
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
