"""The load pipeline: from files to one snapshot (see `run.ingest`)."""
