"""Files of a ZIP package, within bounds: a bomb is refused before it is unpacked."""

from __future__ import annotations

import io
import zipfile
import zlib

from estran.sources.extraction import Unreadable

MOST_PARTS = 20_000
LARGEST_PART = 100 << 20
LARGEST_WHOLE = 400 << 20


class Package:
    """A ZIP archive in memory. `read` gives one part; every failure is Unreadable."""

    def __init__(self, data: bytes) -> None:
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(data))
            infos = self._zip.infolist()
        except (zipfile.BadZipFile, OSError, ValueError, EOFError, NotImplementedError, UnicodeError):
            raise _damaged() from None
        if len(infos) > MOST_PARTS:
            raise Unreadable("malformed", "The package holds too many files.")
        if sum(info.file_size for info in infos) > LARGEST_WHOLE:
            raise Unreadable("malformed", "The package would unpack to more than 400 MB.")
        self._sizes = {info.filename: info.file_size for info in infos}

    def __contains__(self, name: str) -> bool:
        return name in self._sizes

    def names(self) -> list[str]:
        """Names of the parts."""
        return list(self._sizes)

    def read(self, name: str, limit: int = LARGEST_PART) -> bytes:
        """The bytes of one part; what its header says of its size is not believed."""
        try:
            with self._zip.open(name) as part:
                data = part.read(limit + 1)
        except KeyError:
            raise Unreadable("malformed", "A part of the package is missing.") from None
        except RuntimeError:  # what zipfile raises for a password
            raise Unreadable("malformed", "The document is locked by a password.") from None
        except (zipfile.BadZipFile, zlib.error, OSError, ValueError, EOFError, NotImplementedError):
            raise _damaged() from None
        if len(data) > limit:
            raise Unreadable("malformed", "A part of the package would unpack to more than is allowed.")
        return data


def _damaged() -> Unreadable:
    return Unreadable("malformed", "The package is damaged: it cannot be unpacked.")
