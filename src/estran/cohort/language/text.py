"""The text form of a question, for the search bar and the command line (docs/reference/question.md)."""

from estran.cohort.language.parser import parse
from estran.cohort.language.printer import to_text

__all__ = ["parse", "to_text"]
