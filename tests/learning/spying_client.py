"""The client app of the tests: the product's own, with layers around SecAgg+ that keep what the site said, before and after it was masked,
and that lose the site where the test says so."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
from flwr.common import parameters_to_ndarrays
from flwr.compat.common import recorddict_compat as compat

from estran.hub.learning.apps import genuine_client_app as genuine

FOLDER = Path(os.environ["ESTRAN_LEARNING_TABLE"]).parent
MANNERS = (("collect_masked_vectors", "cut"), ("share_keys", "killed"), ("setup", "cut"), ("unmask", "killed"),
           ("collect_masked_vectors", "killed"), ("share_keys", "cut"))  # fmt: skip
_quantize, _guarded = genuine.secagg.quantize, genuine.guarded


def kept(what, message, values):
    np.save(FOLDER / f"{what}-{int(message.metadata.group_id):03}.npy", values)


def inner(message, context, go_on):
    """Between SecAgg+ and the rows: what the site says in the clear, and what becomes of it before the masks."""
    reply = go_on(message, context)
    if message.metadata.message_type == "train":
        kept("clear", message, parameters_to_ndarrays(compat.recorddict_to_fitres(reply.content, True).parameters)[0])

        def quantize(*given):
            made = _quantize(*given)
            kept("steps", message, np.concatenate([one.ravel() for one in made]).astype(np.int64))
            return made

        genuine.secagg.quantize = quantize
    return reply


def outer(message, context, go_on):
    """Between SecAgg+ and the hub: what leaves, and whether it does."""
    told = message.content.config_records.get("secaggplus_configs")
    stage = None if told is None else str(told["stage"])
    reply = _guarded(message, context, go_on)
    if stage == "collect_masked_vectors":
        vectors = reply.content.config_records["secaggplus_configs"]["masked_params"]
        (FOLDER / f"masked-{int(message.metadata.group_id):03}.bin").write_bytes(vectors[-1])
    if stage is not None:
        _lost(int(message.metadata.group_id), stage)
    return reply


def _lost(number, stage):
    place = FOLDER / "place"
    own, sites = map(int, place.read_text().split()) if place.is_file() else (-1, 1)
    when, how = MANNERS[(number - 1) % len(MANNERS)]
    if (number - 1) % sites != own or stage != when or (FOLDER / f"lost-{number:03}").exists():
        return
    (FOLDER / f"lost-{number:03}").write_text(f"{how} in {stage}")
    if how == "cut":
        (FOLDER / "cut").touch()
    else:
        os.killpg(0, signal.SIGKILL)


genuine.guarded = outer
app = genuine.made(inner)
