"""Any extract by a mapping: CSV and Parquet files (`csv`), tables of a database (`sql`)."""

from estran.sources.tabular.reader import TabularReader
from estran.sources.tabular.shelf import Shelf

__all__ = ["Shelf", "TabularReader"]
