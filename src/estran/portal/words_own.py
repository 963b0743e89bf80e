"""The closed lists of the data that projects bring, in words."""

from __future__ import annotations


def _(message: str) -> str:
    """Marks a message for extraction."""
    return message


OWN: dict[str, dict[str, str]] = {
    "ground": {
        "consent": _("Consent of each patient"), "no-opposition": _("Patients told, none objected"),
        "MR-001": _("MR-001 (research with consent)"), "MR-003": _("MR-003 (research, no objection)"),
        "MR-004": _("MR-004 (reuse of data)"), "authorisation": _("Authorisation of the CNIL, by its number"),
    },
    "own_state": {
        "declared": _("waits to be accepted"), "accepted": _("accepted"), "refused": _("refused"), "ended": _("destroyed"),
    },
    "own_form": {"csv": _("CSV"), "ecrf": _("eCRF export with its dictionary"), "odm": _("CDISC ODM")},
    "own_kind": {
        "date": _("days"), "number": _("numbers"), "flag": _("yes or no"), "code": _("codes"), "words": _("text"),
    },
    "own_use": {
        "drop": _("left out"), "patient": _("patient number"), "family": _("family name"), "given": _("given name"),
        "birth": _("birth date"), "sex": _("sex, to find the patient"), "record": _("record (subject)"),
        "key": _("visit or repeat"), "date": _("variable: day"), "number": _("variable: number"),
        "flag": _("variable: yes or no"), "code": _("variable: code"), "words": _("variable: short text"),
    },
    "own_link": {
        "number": _("the hospital's number"), "ins": _("the INS"), "person": _("names and birth date (with a score)"),
    },
    "own_dates": {"ymd": _("2024-03-31"), "dmy": _("31/03/2024")},
    "own_why": {
        "truncated": _("The row has fewer columns than the header."),
        "malformed": _("The row has more columns than the header, or a quotation mark that is never closed."),
        "encoding": _("The row holds a null byte."),
        "no-subject": _("The row names no subject."),
        "no-identity": _("Nothing in the file finds this subject."),
        "contradictory": _("The file gives two identities to this subject."),
        "no-patient": _("The warehouse holds nobody of this identity for the project."),
        "ambiguous": _("Several patients answer to this identity."),
        "doubtful": _("Somebody resembles this subject: the holder of the key decides."),
        "rejected": _("The holder of the key decided that it is not the same person."),
        "not-a-number": _("The value is not a number."),
        "out-of-range": _("The value is beyond the limits of the dictionary."),
        "not-a-date": _("The value is not a day."),
        "not-yes-no": _("The value is neither yes nor no."),
        "not-in-list": _("The value is not in the list of the dictionary."),
        "too-long": _("The text is too long."),
        "partial": _("A transaction that changes part of a row is not carried out: send a snapshot."),
        "whole-removal": _("A subject, visit or form cannot be taken back as a whole: take back each item group."),
    },
}  # fmt: skip
