"""Silence around the libraries that read images and recordings: their warnings hold values."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """No warning is shown, and none becomes an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
