"""The words of models that sites learn together."""

from __future__ import annotations


def _(message: str) -> str:
    """Marks a message for extraction."""
    return message


LEARNING: dict[str, dict[str, str]] = {
    "model_state": {
        "asked": _("the hospitals decide"), "under-way": _("learning"), "broken": _("stopped before its end"),
        "released": _("released"), "withheld": _("not released"),
    },
    "model_kind": {
        "logistic": _("Logistic regression"), "trees": _("Gradient-boosted trees"), "network": _("Neural network"),
    },
    "model_site": {
        "queued": _("waiting"), "taken": _("at work"), "ok": _("takes part"), "approval": _("needs a yes at the site"),
        "refused": _("refused"), "failed": _("failed"), "unsupported": _("cannot read the question"),
        "expired": _("left out: it had not answered"), "lost": _("lost"),
    },
    "aggregation": {"secure": _("secure sum"), "trimmed": _("trimmed mean"), "krum": _("Krum’s rule")},
}  # fmt: skip

# What agents say of a run, and what every card says; shown in the reader's language.
SAID = (
    _("The bundle is not signed by the hub of this network."),
    _("The hub's bundle is not what this release of Estran makes of the plan."),
    _("Learning over several sites needs Flower."),
    _("A site takes part with {1} patients or more."),
    _("This is not a question of learning: {1}."),
    _("This run is over here."),
    _(
        "Learned and tested at the same sites, on patients set apart there: how well it does elsewhere, or later, is not known."
    ),
    _("Figures of a site with fewer than ten cases or ten others are not told."),
    _("A large poisoned site is not held by the votes of the others: see the reference on learning."),
    _("Not a medical device: nobody has assessed it for use in care."),
)
