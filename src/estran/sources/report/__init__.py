"""Clinical reports: documents (PDF, DOCX, ODT, RTF, HTML), JSON Lines, text (docs/reference/sources/report.md)."""

from estran.sources.report.form import CASE
from estran.sources.report.reader import ReportReader

__all__ = ["CASE", "ReportReader"]
