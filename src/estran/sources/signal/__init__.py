"""Recordings: EDF, WFDB, HL7 aECG, waveforms of DICOM, live numerics (docs/reference/sources/signal.md)."""

from estran.sources.signal.reader import SignalReader as SignalReader
