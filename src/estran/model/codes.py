"""Small closed lists, stored as int8. Their words are fixed in GLOSSARY.md."""

from __future__ import annotations

from enum import IntEnum, IntFlag, StrEnum


class Sex(StrEnum):
    """Administrative sex (FHIR AdministrativeGender)."""

    FEMALE = "female"
    MALE = "male"
    OTHER = "other"
    UNKNOWN = "unknown"


class Precision(IntEnum):
    """How exactly a moment is known. A day-only date never satisfies 'within 6 hours'."""

    UNKNOWN = 0
    MONTH = 1
    DAY = 2
    HOUR = 3
    MINUTE = 4


class Comparator(IntEnum):
    """How the value was reported: exactly, or as a bound."""

    EQ = 0
    LT = 1
    LE = 2
    GT = 3
    GE = 4


class FactStatus(IntEnum):
    """Where an act stands. `LIVE` lists the ones that say something happened."""

    FINAL = 0
    PRELIMINARY = 1
    ORDERED = 2
    DISPENSED = 3
    GIVEN = 4
    NOT_GIVEN = 5
    CANCELLED = 6


LIVE_STATUS = frozenset(
    {FactStatus.FINAL, FactStatus.PRELIMINARY, FactStatus.ORDERED, FactStatus.DISPENSED, FactStatus.GIVEN}
)


class Context(IntFlag):
    """What keeps a mention from being an affirmed fact about the patient; 0 is affirmed."""

    AFFIRMED = 0
    NEGATED = 1
    HYPOTHETICAL = 2
    FAMILY = 4
    HISTORY = 8
    REPORTED = 16
    PLANNED = 32


class Origin(IntEnum):
    """Where a fact comes from. Derived facts (eras) never enter presence bitmaps."""

    CODED = 0
    TEXT = 1
    DERIVED = 2


class DocumentStatus(IntEnum):
    """A cancelled document stays as a row that hides its facts and text. So does a superseded one, whose
    later version came under another number of the same patient: a split brings it back.
    """

    CURRENT = 0
    PRELIMINARY = 1
    CANCELLED = 2
    SUPERSEDED = 3


HIDDEN_STATUS = frozenset({DocumentStatus.CANCELLED, DocumentStatus.SUPERSEDED})


class Impact(StrEnum):
    """How a variant bears on the product of its gene, as snpEff and VEP grade it, most severe first."""

    HIGH = "HIGH"
    MODERATE = "MODERATE"
    LOW = "LOW"
    MODIFIER = "MODIFIER"


class Zygosity(StrEnum):
    """In how many of its copies a person has an allele; `unknown`: another copy was not called."""

    HETEROZYGOUS = "heterozygous"
    HOMOZYGOUS = "homozygous"
    HEMIZYGOUS = "hemizygous"
    UNKNOWN = "unknown"


class StayKind(StrEnum):
    """Kinds of stay (DESIGN section 2)."""

    DOSSIER = "dossier"
    VENUE = "venue"
    CONSULTATION = "consultation"
    EMERGENCY = "emergency"
    SESSION = "session"
    HAD = "had"
    SMR = "smr"
    PSY = "psy"


class DocumentKind(StrEnum):
    """Kinds of document. One list for the whole house; sources map onto it."""

    DISCHARGE = "discharge"
    CONSULTATION = "consultation"
    OPERATIVE = "operative"
    LETTER = "letter"
    CASE = "case"
    LABORATORY = "laboratory"
    PATHOLOGY = "pathology"
    IMAGING = "imaging"
    EMERGENCY = "emergency"
    NURSING = "nursing"
    PRESCRIPTION = "prescription"
    ADMINISTRATION = "administration"
    PMSI = "pmsi"
    CHEMOTHERAPY = "chemotherapy"
    GENOMICS = "genomics"
    ODONTOLOGY = "odontology"
    PROCEDURE = "procedure"
    DIAGNOSIS = "diagnosis"
    ALLERGY = "allergy"
    IMMUNIZATION = "immunization"
    DEVICE = "device"
    MEASUREMENT = "measurement"
    OBSERVATION = "observation"
    COVERAGE = "coverage"
    SIGNAL = "signal"
    OTHER = "other"
