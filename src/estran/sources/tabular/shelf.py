"""The mappings that a site keeps: `SITE/mappings/NAME.yaml`, with its earlier versions beside it.

Replay from quarantine reads the current mapping of a name, so a mapping put right sets free what it
had refused. Lookup tables are kept encrypted in the landing, so that replay finds them again.
"""

from __future__ import annotations

import contextlib
import fnmatch
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from estran.model.errors import UsageError
from estran.sources.landing import Landing
from estran.sources.tabular.language import Mapping
from estran.sources.tabular.mapping import read_mapping, read_mapping_file
from estran.warehouse.files import publish

FOLDER = "mappings"


class Shelf:
    """`directory` is SITE/mappings; `landing` opens the site's landing when lookups are needed."""

    def __init__(self, directory: Path, landing: Callable[[], Landing] | None = None) -> None:
        self.directory, self._landing = directory, landing
        self._read: dict[str, Mapping] = {}

    def keep(self, path: Path) -> str:
        """Validate the mapping in the file at `path` and keep it; returns its name, the file's stem.

        The same text again changes nothing; another one becomes the next version. Raises UsageError.
        """
        mapping, text = read_mapping_file(path)
        name = path.name.split(".")[0]
        if not name.replace("-", "").replace("_", "").isalnum() or len(name) > 60:
            raise UsageError("A mapping's file is named by letters, digits, - and _.", where=path.name)
        held = self._place(name)
        if not held.exists() or held.read_text("utf-8") != text:
            self._keep_version(name, text)
            publish(held, text.encode())
        self._read[name] = mapping
        return name

    def get(self, name: str) -> Mapping:
        """The current mapping of a name; UsageError when there is none."""
        if name not in self._read:
            try:
                text = self._place(name).read_text("utf-8")
            except OSError:
                hint = "estran ingest SITE csv --mapping FILE PATH..."
                raise UsageError(f"The site keeps no mapping called '{name}'.", hint=hint) from None
            self._read[name] = read_mapping(text, f"{name}.yaml")
        return self._read[name]

    def version(self, name: str) -> int:
        """How many texts this name has had."""
        return len(list((self.directory / "versions").glob(f"{name}.*.yaml")))

    def _place(self, name: str) -> Path:
        if not name or "/" in name or name.startswith("."):
            raise UsageError("Name a mapping: --mapping FILE.", where=name)
        return self.directory / f"{name}.yaml"

    def _keep_version(self, name: str, text: str) -> None:
        place = self.directory / "versions" / f"{name}.{self.version(name) + 1:04d}.yaml"
        place.parent.mkdir(parents=True, exist_ok=True)
        publish(place, text.encode())

    # lookups ----------------------------------------------------------------------------------------

    def keep_lookups(self, name: str, files: list[Path]) -> None:
        """Keep the lookup tables that are among `files`; those kept before stay for the others."""
        if self._landing is None:
            return
        kept = self._lookups(name)
        before = dict(kept)
        for lookup, spec in self.get(name).lookups.items():
            found = [f for f in files if matches(f.name, spec.files)]
            if found:
                kept[lookup] = [[f.name, self._landing().keep(f)] for f in found]
        if kept != before:
            publish(self.directory / f"{name}.lookups.json", json.dumps(kept, indent=1).encode())

    @contextlib.contextmanager
    def lookup(self, name: str, lookup: str) -> Iterator[list[tuple[str, Path]]]:
        """Names and paths of a kept lookup table; none when nobody has given it."""
        kept = self._lookups(name).get(lookup, []) if self._landing else []
        with contextlib.ExitStack() as stack:
            yield [(file, stack.enter_context(self._landing().restored(digest))) for file, digest in kept]  # type: ignore[misc]

    def _lookups(self, name: str) -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads((self.directory / f"{name}.lookups.json").read_bytes())
        except OSError:
            return {}
        return found

    # watermarks -------------------------------------------------------------------------------------

    def watermarks(self, name: str) -> dict[str, Any]:
        """How far each table of a database was loaded."""
        try:
            found: dict[str, Any] = json.loads((self.directory / f"{name}.watermark.json").read_bytes())
        except OSError:
            return {}
        return found

    def set_watermarks(self, name: str, marks: dict[str, Any]) -> None:
        """Durable before it returns; called once what it stands for is committed."""
        publish(self.directory / f"{name}.watermark.json", json.dumps(marks, indent=1).encode())


class Draft(Shelf):
    """A mapping that no site keeps yet, for checking it; lookups are read where the data are."""

    def __init__(self, mapping: Mapping, files: list[Path]) -> None:
        super().__init__(Path())
        self._mapping, self._files = mapping, files

    def get(self, name: str) -> Mapping:
        return self._mapping

    def keep_lookups(self, name: str, files: list[Path]) -> None:
        """Nothing is kept."""

    @contextlib.contextmanager
    def lookup(self, name: str, lookup: str) -> Iterator[list[tuple[str, Path]]]:
        spec = self._mapping.lookups[lookup]
        yield [(f.name, f) for f in self._files if matches(f.name, spec.files)]


def matches(name: str, patterns: tuple[str, ...]) -> bool:
    """Whether a file's name, compressed or not, fits one of the patterns; case does not count."""
    plain = name.lower()
    return any(fnmatch.fnmatchcase(n, p.lower()) for p in patterns for n in (plain, plain.removesuffix(".gz")))
