"""How what happened is written: one file per format."""
