"""The SuperLink of the tests: the product's own, in which every request and every answer is written down after the encryption ends."""

from __future__ import annotations

import os
import sys
from pathlib import Path

sys.path.insert(0, os.environ["ESTRAN_LEARNING_APPS"])
import link

_KEPT = Path(os.environ["ESTRAN_LEARNING_OUT"]) / "opened.bin"
_call = link.Door.__call__


async def _spied(self, scope, receive, send):
    async def received():
        message = await receive()
        _keep(message)
        return message

    async def sent(message):
        _keep(message)
        await send(message)

    await _call(self, scope, received, sent)


def _keep(message):
    if message.get("body"):
        with _KEPT.open("ab") as out:
            out.write(message["body"])


link.Door.__call__ = _spied
if __name__ == "__main__":
    link.main()
