"""The words of the network of sites."""

from __future__ import annotations


def _(message: str) -> str:
    """Marks a message for extraction."""
    return message


NETWORK: dict[str, dict[str, str]] = {
    "role": {"hub": _("Hub of another organisation")},
    "action": {
        "ask-hub": _("Ask the network"), "run-hub": _("Run the network"), "hub-count": _("Count for a hub"),
        "hub-catalogue": _("Tell a hub what is held"),
        "hub-statistics": _("Compute for a hub"),
    },
    "member_state": {"invited": _("invited"), "active": _("member"), "withdrawn": _("taken out")},
    "site_state": {
        "answered": _("answered"), "waiting": _("waiting"), "late": _("late"), "down": _("cannot be reached"),
        "refused": _("refused"), "approval": _("needs a yes at the site"), "unsupported": _("cannot read the question"),
        "failed": _("failed"), "expired": _("too late"), "lost": _("lost"),
    },
    "statistic": {
        "describe": _("Description"), "contingency": _("Contingency table"), "quantiles": _("Quantiles"),
        "glm": _("Regression"), "cox": _("Cox model"), "survival": _("Survival curve"), "meta": _("Meta-analysis"),
    },
    "regression": {"logistic": _("logistic"), "linear": _("linear"), "poisson": _("Poisson")},
    "study_state": {
        "asking": _("the sites make their keys"), "sharing": _("the sites agree on a secret"), "rounds": _("rounds"),
        "done": _("done"), "failed": _("ended without a result"),
    },
    "study_step": {
        "statistics": _("keys of the sites"), "again": _("new keys"), "share": _("secret of the sites"), "round": _("round"),
    },
    "charter": {"user": _("Charter of users"), "producer": _("Charter of producers"), "citizen": _("Charter for citizens")},
    "sight": {
        "sites": _("each hospital’s number, and the total"), "total": _("the total alone"), "own": _("the own hospital’s number alone"),
    },
    "job_state": {
        "queued": _("waiting"), "taken": _("at work"), "ok": _("answered"), "refused": _("refused"), "failed": _("failed"),
        "unsupported": _("cannot read the question"), "expired": _("too late"), "approval": _("needs a yes at the site"), "lost": _("lost"),
    },
    "obey": {"hide": _("hide"), "restore": _("give back"), "erase": _("erase")},
    "edition": {
        "valid": _("valid"), "invalid": _("does not conform"), "refused": _("refused"), "failed": _("failed"),
        "unsupported": _("cannot read the question"), "expired": _("too late"), "withdrawn": _("taken back"),
    },
    "total": {
        "linkage": _("counted by the linkage unit"), "sketch": _("estimated from sketches"),
        "withheld": _("the rules of the network do not show you this total"),
        "bounds": _("bounds only: what is common to the sites is not known"), "one": _("one site only"), "none": _("no answer yet"),
    },
}

# What agents say, of this release or another; shown in the reader's language where it is known.
SAID = (
    _("The rules of this site do not allow this kind of question."),
    _("Somebody of the site must say yes first."),
    _("The site could not answer: an error of its own, which it knows of."),
    _("The job came too late."),
    _("The answer holds no count."),
    _("The rules of the network do not show you this result."),
    _("The network does not let you see single sites’ numbers, and this file is made of them."),
    _("A site may be silent for 1 to 8760 hours."),
    _("A hub has no rows of patients for another hub: its sites join the other network themselves."),
    _("{1} of {2} sites answered."),
    _("No site of this hub has answered: {1}."),
    _("Fewer than 3 sites of this hub have answered, and it tells totals only."),
    _("This hub tells of its sites in totals only."),
    _("This question came through this hub already."),
    _("This question came through too many hubs."),
    _("No catalogue of this hub's sites is there yet."),
    _("Nothing was measured yet."),
    _("A catalogue names an address of the site, an e-mail address of its officer and one of the health data access body. {1}"),
    _("The catalogue does not conform to HealthDCAT-AP: {1}"),
    # Of a site's part in a statistic, and of the hub's.
    _("Fewer than {1} patients of this site answer the question."),
    _("Fewer than {1} patients of this site have all the variables of this analysis."),
    _("Fewer than {1} patients of this site have {2}, or all but so few have."),
    _("A category of {1} holds fewer than {2} patients at this site."),
    _("The model has {1} parameters, more than {2} per patient of this site."),
    _("Two patients of this site make up almost all of {1}."),
    _("This round rests on fewer than {1} patients of this site ({2})."),
    _("The patients of this site are not the same any more."),
    _("This site was not given the key that the hospitals of the network share."),
    _("The site {1} does not prove that it is a hospital of this network."),
    _("The site {1} is not among those with which this site computes."),
    _("The site {1} comes with another certificate than before."),
    _("This study has ended here, or asks something else now."),
    _("Fewer than three sites take part: a sum of two would tell each of the other."),
    _("Sites were lost too often."),
    _("A statistic is computed over three sites or more."),
    _("ask more sites"),
    _("This line is no variable."),
    _("write NAME, or NAME = CODES"),
    _("A code is written VOCABULARY:CODE."),
    _("No variable is called '{1}'."),
    _("name one of {1}"),
    _("'{1}' is not known of a patient."),
    _("use {1}, or NAME = CODES"),
    _("A column would stand twice."),
    _("The question gives no index date."),
    _("name a dated criterion, or leave windows and days out"),
    _("This member (Estran {1}) knows no job of the kind '{2}'; it knows {3}."),
)
