"""Reading a text character by character, with errors that say where."""

from __future__ import annotations

import re

from estran.cohort.language.words import fold
from estran.model.errors import UsageError

_SPACE = re.compile(r"\s*")


class Cursor:
    """A place in a text; `folded` is the same text in lower case without accents."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.folded = fold(text)
        self.at = 0

    def skip(self) -> None:
        """Go over white space."""
        found = _SPACE.match(self.text, self.at)
        self.at = found.end() if found else self.at

    def done(self) -> bool:
        """Whether only white space is left."""
        self.skip()
        return self.at >= len(self.text)

    def peek(self) -> str:
        """The next character, or nothing at the end."""
        return self.text[self.at : self.at + 1]

    def look(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        """What the folded text holds here, without moving."""
        return pattern.match(self.folded, self.at)

    def take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        """What the folded text holds here, moving behind it."""
        found = self.look(pattern)
        if found:
            self.at = found.end()
        return found

    def raw(self, pattern: re.Pattern[str]) -> str | None:
        """What the text itself holds here, moving behind it."""
        found = pattern.match(self.text, self.at)
        if not found or found.end() == self.at:
            return None
        self.at = found.end()
        return found.group()

    def accept(self, char: str) -> bool:
        """Move behind `char` when it comes next, white space aside."""
        self.skip()
        if self.peek() != char:
            return False
        self.at += 1
        return True

    def expect(self, char: str) -> None:
        """Move behind `char`, or fail."""
        if not self.accept(char):
            raise self.error(f"'{char}' is missing here.", f"close what was opened before with '{char}'")

    def quoted(self) -> str:
        """A text between single quotes, where a backslash keeps the next character as it is."""
        start = self.at
        self.at += 1
        found: list[str] = []
        while (char := self.peek()) != "'":
            if not char:
                self.at = start
                raise self.error("This quote is never closed.", "end it with '")
            self.at += 2 if char == "\\" else 1
            found.append(self.text[self.at - 1 : self.at])
        self.at += 1
        return "".join(found)

    def error(self, what: str, hint: str) -> UsageError:
        """An error at this place, counted in characters from 1."""
        near = self.text[self.at : self.at + 20] or "the end"
        return UsageError(what, where=f"character {self.at + 1}, near «{near}»", hint=hint)
