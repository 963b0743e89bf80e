"""CDA R2: clinical documents of the CI-SIS, levels 1 and 3 (docs/reference/sources/cda.md)."""

from estran.sources.cda.document import Content, Setting, open_content, read_into
from estran.sources.cda.elements import Refused
from estran.sources.cda.reader import CdaReader

__all__ = ["CdaReader", "Content", "Refused", "Setting", "open_content", "read_into"]
