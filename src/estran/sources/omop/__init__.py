"""OMOP common data model 5.3 and 5.4 → batches (docs/reference/sources/omop.md)."""

from estran.sources.omop.reader import OmopReader

__all__ = ["OmopReader"]
