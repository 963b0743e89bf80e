"""Datamarts: decided, audited, built whole or not at all, listed, refreshed, expired, traced."""
