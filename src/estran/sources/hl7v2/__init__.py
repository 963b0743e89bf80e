"""HL7 v2 messages (ADT, ORU, MDM) as identified records."""

from estran.sources.hl7v2.reader import Hl7v2Reader

__all__ = ["Hl7v2Reader"]
