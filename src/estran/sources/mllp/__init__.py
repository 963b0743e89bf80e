"""Receiving HL7 v2 over MLLP: frames, a durable spool, acknowledgements, micro-batches for the pipeline."""

from estran.sources.mllp.feeder import Feeder
from estran.sources.mllp.frames import Limits
from estran.sources.mllp.server import Listener
from estran.sources.mllp.spool import Spool

__all__ = ["Feeder", "Limits", "Listener", "Spool"]
