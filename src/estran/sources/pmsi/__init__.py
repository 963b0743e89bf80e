"""PMSI files: RSS, RSA, VID-HOSP, FICHCOMP, RHS, external consultations, emergency summaries."""

from estran.sources.pmsi.reader import PmsiReader as PmsiReader
