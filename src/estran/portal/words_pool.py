"""The words of the pools of several sites."""

from __future__ import annotations


def _(message: str) -> str:
    """Marks a message for extraction."""
    return message


POOL: dict[str, dict[str, str]] = {
    "action": {
        "pools": _("See a pool of sites"), "run-pools": _("Run pools of sites"), "hub-pool": _("Send to a pool of a hub"),
    },
    "pool": {"open": _("under way"), "closed": _("pool destroyed")},
    "pool_site": {
        "waiting": _("asked"), "approval": _("needs a yes at the site"), "answered": _("sent, not looked at yet"),
        "accepted": _("in the pool"), "superseded": _("replaced"), "quarantined": _("set aside"), "refused": _("refused"),
        "unsupported": _("cannot read the question"), "failed": _("failed"), "expired": _("too late"), "left": _("out of the pool"), "dropped": _("taken out"), "destroyed": _("destroyed"),
    },
    "pool_flag": {
        "missing": _("more missing than elsewhere"), "unit": _("unit to be checked"), "middle": _("other values than elsewhere"),
        "share": _("other share than elsewhere"),
    },
    "pool_copy": {
        "key": _("keys of the pool"), "partition": _("tables of one site"), "quarantine": _("package set aside"), "sealed": _("sealed package that waited"),
        "datamart": _("datamart of the project"), "linkage": _("linkage of records"), "site": _("what the site kept"), "backup": _("files back from a backup"),
    },
    "pool_column": {
        "sex": _("Women"), "age": _("Age"), "birth_year": _("Year of birth"), "died": _("Died"), "death_date": _("Date of death"),
        "residence_area": _("Area of residence"), "index_date": _("Index date"),
    },
}  # fmt: skip

# What agents and the hub say of a site, beside the sentences of errors.
SAID = (
    _("This project has no datamart here."),
    _("This datamart is itself a pool of sites: those sites are to be asked."),
    _("The datamart holds columns that were not agreed on: {1}."),
    _("The package is not for this key, or was altered."),
    _("This site left the network."),
    # Why a copy was destroyed.
    _("pool {1} is closed: {2}"), _("superseded by what the site sent on {1}"), _("replaced by a newer build of the pool"),
    _("written anew without patients that their site took back"), _("a pass that was cut short"), _("a closing that was cut short"),
    _("the project is over"), _("its time is over"), _("asked for"), _("back from a backup"), _("no site is in the pool any more"),
    _("{1}; what is still sealed to it, in a backup for example, opens no more"), _("nothing was sent from there"),
    _("deleted when the hub had taken them, and now"), _("what it was to be replaced by cannot be handed over"),
    _("patients left, and it could not be made anew without them"),
    _("The site holds the certificate that this pool was destroyed."),
    _("The site holds the certificate that it was taken out of this pool."),
)
