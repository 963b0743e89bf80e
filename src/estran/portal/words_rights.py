"""The words of the rights of patients, of the registry sheet and of the public page."""

from __future__ import annotations


def _(message: str) -> str:
    """Marks a message for extraction."""
    return message


RIGHTS: dict[str, dict[str, str]] = {
    "right": {
        "opposition": _("Opposition"), "lifting": _("End of an opposition"), "consent": _("Consent"),
        "withdrawal": _("End of a consent"), "access": _("Access"), "rectification": _("Rectification"),
        "erasure": _("Erasure"), "question": _("Question"),
    },
    "public_right": {
        "opposition": _("to refuse that data be used"), "lifting": _("to take my refusal back"),
        "access": _("to know what is held, and who read it"), "rectification": _("to have something put right"),
        "erasure": _("to have data erased"), "question": _("to ask a question"),
    },
    "right_scope": {
        "warehouse": _("Whole warehouse"), "research": _("Research"), "teaching": _("Teaching"), "industry": _("Industry"),
        "genetic": _("Genetic data"), "texts": _("Texts of reports"), "hub": _("Sharing with other hospitals"),
        "recontact": _("Being contacted again"), "majority": _("Coming of age"),
    },
    "asker": {"person": _("the person"), "guardian": _("a parent or guardian"), "source": _("a source of data"),
              "patient": _("the person")},
    "channel": {
        "desk": _("desk"), "letter": _("letter"), "mail": _("e-mail"), "phone": _("telephone"), "form": _("public form"),
        "feed": _("feed"), "post": _("post"), "in person": _("in person"), "portal": _("patient portal"),
    },
    "act": {
        "opposition": _("Opposition"), "opposition-end": _("End of an opposition"), "consent": _("Consent"),
        "consent-end": _("End of a consent"), "erasure": _("Erasure"), "erasure-end": _("Erasure"),
    },
    "holder": {"datamart": _("Datamart"), "hub": _("Hub")},
    "said": {"name": _("Name"), "birth": _("Date of birth"), "contact": _("To be answered at"), "message": _("Message")},
    "project_status": {"open": _("under way"), "closed": _("ended")},
    "verdict": {"met": _("met"), "not met": _("not met"), "for the hospital to state": _("for the hospital to state")},
    "section": {
        "controller": _("Controller"), "purposes": _("Purposes"), "categories": _("Persons and data"),
        "recipients": _("Recipients"), "transfers": _("Transfers outside the Union"), "retention": _("Retention"),
        "security": _("Security measures"),
    },
    "topic": {
        name: name for name in (
            _("Second factor"), _("Network apart"), _("A role for aggregates only"), _("Named people, few who may change data"),
            _("Pseudonymised patients"), _("Identities apart"), _("New pseudonyms for each project"), _("Encrypted volumes"),
            _("A closed space per project"), _("Counts safe even when filtered"), _("Small cells hidden"),
            _("Only non-personal data leave"), _("Every access recorded, append-only"), _("Checkpoints signed"),
            _("Kept 6 to 12 months"), _("Reviewed each week"), _("Purpose and legal route of each project"),
            _("No match with the national claims base"), _("Nothing collected for the warehouse alone"),
            _("Opposed patients are not read"), _("Genetic data closed by default"), _("Individual information"),
            _("Opinion of the committee"), _("Public directory"), _("Copies obey in time"),
            _("Opposition reversible, without a reason"), _("Nothing kept beyond its time"),
        )
    },
}  # fmt: skip
