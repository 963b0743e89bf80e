"""The words of linkages of records over the network."""

from __future__ import annotations


def _(message: str) -> str:
    """Marks a message for extraction."""
    return message


LINKAGE: dict[str, dict[str, str]] = {
    "linkage": {
        "asked": _("the hospitals are asked"), "linking": _("the unit links"), "telling": _("ids on their way"),
        "done": _("done"), "stopped": _("ended without a result"),
    },
    "linkage_step": {
        "asked": _("Hospitals send sealed records"), "linking": _("The unit links them"), "telling": _("Each hospital gets its ids"),
        "done": _("Done"),
    },
    "linkage_ids": {
        "queued": _("on their way"), "taken": _("on their way"), "ok": _("handed out"), "failed": _("failed"), "refused": _("refused"),
        "unsupported": _("failed"), "expired": _("too late"),
    },
}  # fmt: skip

# What sites and the unit say of their part, beside the sentences of errors.
SAID = (
    _("The rules of this site do not allow to link its records."),
    _("This site has no linkage key, or its network no linkage unit."),
    _("There are too many patients here for one linkage."),
    _("These records were linked before, in another way."),
    _("Records are linked of two sites at least."),
    _("A linkage needs two sites and a linkage unit."),
    _("A threshold lies between 0.5 and 1."),
    _("A linkage is for a project: name it."),
    _("A linkage is of two hospitals at least: choose them."),
    _("A linkage goes on once two hospitals have sent their records."),
)
