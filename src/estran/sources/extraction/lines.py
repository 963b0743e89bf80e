"""Writing down text line by line: paragraphs, table rows, page breaks."""

from __future__ import annotations

import re

from estran.sources.extraction import PAGE_BREAK

_BLANKS = re.compile(r"[ \u00a0\u2007\u2009\u202f]+")
_PAGE_NUMBER = re.compile(r"[-–\s]*(?:page|p\.)?\s*\d{0,4}\s*(?:/|sur|de|of)?\s*\d{0,4}[-–\s]*", re.IGNORECASE)
_MANY = re.compile(r"\n{3,}")


class Lines:
    """Gathers pieces of text; cells of one row are kept on one line."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._rows: list[list[str]] = []  # cells of the rows being read, inner tables included
        self._is_fresh = True  # nothing stands on the line yet
        self._has_text = False
        self.pages = 1

    def add(self, text: str) -> None:
        """More of the current line."""
        if text:
            self._pieces.append(text)
            words = text.rstrip(" \t")
            self._is_fresh = words.endswith("\n") if words else self._is_fresh
            self._has_text = self._has_text or bool(words.strip("\n"))

    def end_line(self) -> None:
        """The line ends; inside a cell, a blank parts it from the next one."""
        self.add(" " if self._rows else "\n")

    def fresh_line(self) -> None:
        """The line ends, unless nothing stands on it yet."""
        if self._rows or not self._is_fresh:
            self.end_line()

    def page(self) -> None:
        """A page break; none inside a table row."""
        if not self._rows and self._has_text:
            self.fresh_line()
            self._pieces.append(PAGE_BREAK)
            self._is_fresh = True
            self.pages += 1

    def open_row(self) -> None:
        """A table row begins."""
        if not self._rows:
            self.fresh_line()
        self._rows.append([])
        self._open_cell()

    def _open_cell(self) -> None:
        self._rows[-1].append("")
        self._pieces.append("\x01")

    def close_cell(self) -> None:
        """What was added since the cell began is its content."""
        if not self._rows:
            return
        content = self._since()
        self._rows[-1][-1] = tidy(content.replace("\n", " ").replace("\t", " "))
        self._open_cell()

    def close_row(self) -> None:
        """The row is written as one line, its cells between tabs."""
        if not self._rows:
            return
        rest = tidy(self._since().replace("\n", " "))
        cells = self._rows.pop()
        cells[-1] = rest
        while cells and not cells[-1]:
            cells.pop()
        line = "\t".join(cells)
        if self._rows:
            self.add(line.replace("\t", " ") + " ")
        elif line:
            self.add(line + "\n")
        else:
            self._is_fresh = True

    def _since(self) -> str:
        at = len(self._pieces) - 1
        while self._pieces[at] != "\x01":
            at -= 1
        content = "".join(self._pieces[at + 1 :])
        del self._pieces[at:]
        return content

    def text(self) -> str:
        """Everything, tidied."""
        while self._rows:
            self.close_row()
        lines = "".join(self._pieces).replace("\r", "").split("\n")
        return _MANY.sub("\n\n", "\n".join(tidy(line) for line in lines)).strip("\n")


def tidy(line: str) -> str:
    """One blank between words, tabs kept, none at the ends."""
    return _BLANKS.sub(" ", line).strip(" \u00a0")


def margin(text: str) -> tuple[str, ...]:
    """Distinct lines of a running header or footer, page numbers left out."""
    return tuple(dict.fromkeys(line for line in text.split("\n") if line and not _PAGE_NUMBER.fullmatch(line)))
