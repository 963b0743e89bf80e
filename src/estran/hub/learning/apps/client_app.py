"""What runs at a site: one process per message, with the site's table as the only thing to read.

What it raises tells the hub that the step was refused and nothing else: an error of a library might quote a value.
"""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import Any

import numpy as np
from flwr.clientapp import ClientApp
from flwr.common import (
    Code,
    FitRes,
    Message,
    MetricRecord,
    RecordDict,
    Status,
    ndarrays_to_parameters,
    parameters_to_ndarrays,
)
from flwr.compat.common import recorddict_compat as compat

from estran.analysis.learning import site
from estran.analysis.learning.course import worth_it
from estran.analysis.learning.rows import Split, rows_of, split
from estran.hub.learning.apps import masks
from estran.hub.learning.apps.agreed import plan, unpacked
from estran.hub.learning.apps.ledger import Ledger

TABLE = "ESTRAN_LEARNING_TABLE"  # environment: the site's table, as numpy writes it
PICTURE, FIGURES = "picture", "figures"
_STATE, _CONFIGS = "secaggplus_state", "secaggplus_configs"
secagg: Any = importlib.import_module(
    "flwr.client.mod.secure_aggregation.secaggplus_mod"
)  # its package shows the function alone
secagg.pseudo_rand_gen = masks.mask
PLAN = plan()


def _rows() -> Split:
    with np.load(os.environ[TABLE], allow_pickle=False) as kept:
        return split(PLAN, rows_of(PLAN, dict(kept)))


def _ledger() -> Ledger:
    return Ledger(Path(os.environ[TABLE]).with_suffix(".asked"))


def train(message: Any, context: Any) -> Any:
    """The site's vector of a round, to be masked by SecAgg+; in the clear when the plan says so."""
    asked = compat.recorddict_to_fitins(message.content, keep_input=True)
    state = unpacked(PLAN, parameters_to_ndarrays(asked.parameters))
    if asked.config.get("kind") == PICTURE:
        if not PLAN.secure:
            raise ValueError("A picture is told in a sum only.")
        _ledger().tell(PICTURE, state)
        said = site.picture(PLAN, state, _rows())
    else:
        _ledger().ask(PLAN, state)
        said = site.contribution(PLAN, state, _rows())
        if not PLAN.secure:
            _ledger().open()
    told = FitRes(Status(Code.OK, ""), ndarrays_to_parameters([said]), 1, {})
    return Message(compat.fitres_to_recorddict(told, keep_input=True), reply_to=message)


def evaluate(message: Any, context: Any) -> Any:
    """The site's vote on a candidate; of the last model, the site's own figures and the last vote."""
    records, rows = message.content.array_records, _rows()
    candidate = unpacked(PLAN, records["candidate"].to_numpy_ndarrays())
    if "standing" in records:
        standing = unpacked(PLAN, records["standing"].to_numpy_ndarrays())
        _ledger().vote(PLAN)
        told: dict[str, float] = {"vote": float(site.vote(PLAN, standing, candidate, rows))}
    else:
        _ledger().tell(FIGURES, candidate)
        told = (site.figures(PLAN, candidate, rows) or {}) | {"vote": float(worth_it(PLAN, candidate, rows))}
    return Message(RecordDict({"told": MetricRecord(told)}), reply_to=message)


def guarded(message: Any, context: Any, go_on: Any) -> Any:
    """Refuse what would lay this site's numbers bare, and tell nothing of what went wrong."""
    try:
        if message.metadata.message_type == "train" and PLAN.secure:
            _refuse(message, context)
        return go_on(message, context)
    except Exception as error:  # noqa: BLE001 (whatever it is, no value may travel)
        raise RuntimeError(f"The site did not do this step ({type(error).__name__}).") from None


def _refuse(message: Any, context: Any) -> None:
    told = message.content.config_records[_CONFIGS]
    kept = context.state.config_records.get(_STATE, {})
    bound = site.LEARNERS[PLAN.model].bound(PLAN)
    if told["stage"] == "setup":
        masks.refuse_setup(told, bound)
    elif told["stage"] == "share_keys":
        masks.refuse_keys([name for name in told if name != "stage"], int(kept["sample_num"]))
    elif told["stage"] == "unmask":
        lists = (list(told["active_nids"]), list(told["dead_nids"]), list(kept["rd_seed_share_dict:K"]))
        masks.refuse_opening(*lists, int(kept["nid"]), int(kept["sample_num"]))
        _ledger().open()


def made(*inner: Any) -> Any:
    """The app, with further layers between SecAgg+ and the rows."""
    built = ClientApp(mods=[guarded, *([secagg.secaggplus_mod] if PLAN.secure else []), *inner])
    built.train()(train)
    built.evaluate()(evaluate)
    return built


app = made()
