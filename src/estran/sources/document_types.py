"""LOINC document types (those of the French CI-SIS among them) → kinds of document."""

from __future__ import annotations

from estran.model.codes import DocumentKind as Kind

_TYPES = {
    Kind.DISCHARGE: ("18842-5", "11490-0", "34133-9", "28655-9", "34105-7", "74207-2", "28574-2", "34106-5"),
    Kind.CONSULTATION: (
        "11488-4", "34117-2", "51847-2", "11506-3", "34140-4", "34099-2", "34764-1", "85208-7", "34794-8", "74154-6",
    ),
    Kind.OPERATIVE: ("11504-8", "28570-0", "34874-8", "57834-4", "52040-3", "34868-0", "84100-7"),
    Kind.LETTER: ("57133-1", "18761-7", "51852-2", "68609-7", "83901-9", "60591-5"),
    Kind.CASE: (),
    Kind.LABORATORY: ("11502-2", "26436-6", "18725-2", "18719-5", "18723-7", "18717-9", "34100-8"),
    Kind.PATHOLOGY: ("11526-1", "60567-5", "60568-3", "22634-0", "33717-0", "27898-6", "34122-2"),
    Kind.IMAGING: (
        "18748-4", "18726-0", "11525-3", "18747-6", "42148-7", "39027-8", "24627-2", "55113-5", "34116-4", "18745-0",
        "18746-8",
    ),
    Kind.EMERGENCY: ("34111-5", "34878-9", "54094-8", "59258-4", "34112-3", "60280-5"),
    Kind.NURSING: ("34746-8", "34119-8", "28651-8", "34815-1", "68629-5"),
    Kind.PRESCRIPTION: ("57833-6", "57828-6", "56445-0", "57832-8", "57829-4", "57831-0", "29551-9", "80565-5"),
    Kind.CHEMOTHERAPY: ("80789-1",),
    Kind.IMMUNIZATION: ("11369-6", "87273-9", "82593-5"),
    Kind.GENOMICS: ("51969-4", "81247-9"),
    Kind.ADMINISTRATION: ("18610-6",),
    Kind.DEVICE: ("46264-8",),
}  # fmt: skip
BY_LOINC: dict[str, Kind] = {code: kind for kind, codes in _TYPES.items() for code in codes}
