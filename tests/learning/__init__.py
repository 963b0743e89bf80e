"""Learning over six sites on Flower itself, end to end: `python -m tests.learning`. Takes minutes, and needs `make flower`."""
