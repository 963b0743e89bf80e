"""Keeping a site safe over the years: backup and restore, key rotation, change of format."""
