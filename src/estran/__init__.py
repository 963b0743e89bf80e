"""Estran: an open-source hospital clinical data warehouse."""

__version__ = "0.1.0"
