"""`python -m estran.cli.leash WORDS…`: the command line for a process that ends with the one that started it.

Whoever starts it holds the other end of its standard input. Killed, even so that it could do nothing more, it lets go of
that, on every system; nothing is written to it.
"""

from __future__ import annotations

import os
import signal
import threading

from estran.cli import main


def leashed() -> None:
    """End as a process is asked to end, once nobody holds the other end of the standard input."""
    threading.Thread(target=_end_with_parent, name="leash", daemon=True).start()


def _end_with_parent() -> None:
    while os.read(0, 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    leashed()
    main()
