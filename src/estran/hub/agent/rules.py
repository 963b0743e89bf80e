"""What a site lets a network do with it: its own rules, in a file that the site alone writes."""

from __future__ import annotations

import dataclasses
import json
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from estran.model.errors import UsageError

FILE_NAME = "rules.toml"
WHOLE = ("catalogue",)  # kinds whose answer is of the whole site: one entity that does not allow it forbids it
FLOOR = 10  # no site tells of fewer patients than this, whatever it writes


def _rule(default: Any, sentence: str) -> Any:
    return field(default=default, metadata={"sentence": sentence})


@dataclass(frozen=True)
class Rules:
    """The rules of a site, or of one legal entity of it."""

    answer: tuple[str, ...] = _rule(("count", "catalogue"), "Kinds of jobs that are answered at once.")
    approve: tuple[str, ...] = _rule(
        ("statistics", "pool", "linkage", "learning"),
        "Kinds of jobs that wait until somebody of the site says yes: estran hub approve SITE JOB.",
    )
    floor: int = _rule(FLOOR, "Fewer patients than this are never told; at least 10, and at least the site's own.")
    quota: int = _rule(500, "New sets of patients counted for this network per period of the site (count_days).")
    sketches: bool = _rule(True, "Whether sketches may be sent, by which the hub estimates distinct patients.")
    tokens: bool = _rule(
        True, "Whether tokens, keyed anew for each question, may be sealed to the linkage unit of the network."
    )
    peers: tuple[str, ...] = _rule(
        (), "Fingerprints of the hospitals with which statistics are computed (estran hub peers); every one that proves "
        "that it has the hospitals' key when empty.",
    )  # fmt: skip
    units: tuple[str, ...] = _rule(
        (), "Codes of the units that an entity answers for, with all below; all of the site when empty."
    )

    detail: str = _rule(
        "sites", "As a hub asked by another hub: tell each site's answer (sites), or the total alone (total)."
    )
    patience: int = _rule(
        120, "As a hub asked by another hub: seconds to wait for its own sites before it answers with what there is."
    )

    def __post_init__(self) -> None:
        """UsageError when a rule makes no sense."""
        if self.floor < FLOOR:
            raise UsageError("No site tells of fewer than 10 patients.", where="floor", hint="write 10 or more")
        if self.detail not in ("sites", "total"):
            raise UsageError("A hub tells of its sites, or of the total.", where="detail", hint="write sites or total")
        if self.patience < 0:
            raise UsageError("Patience is a number of seconds.", where="patience")
        if self.quota < 0:
            raise UsageError("A quota is a number of questions.", where="quota")


@dataclass(frozen=True)
class SiteRules:
    """The rules of the site and of its legal entities, by name; without entities the site is one."""

    site: Rules = field(default_factory=Rules)
    entities: tuple[tuple[str, Rules], ...] = ()

    def each(self) -> tuple[tuple[str, Rules], ...]:
        """Whoever answers for itself: the entities, or the site under the name ""."""
        return self.entities or (("", self.site),)

    def asks(self, kind: str) -> bool:
        """Whether somebody of the site has to say yes to this kind first."""
        return any(kind in rules.approve for _, rules in self.each())

    def willing(self, kind: str) -> tuple[tuple[str, Rules], ...]:
        """Those who answer this kind, at once or after a yes."""
        return tuple((name, rules) for name, rules in self.each() if kind in (*rules.answer, *rules.approve))

    def answered(self) -> list[str]:
        """Kinds that the site answers, at once or after a yes: allowed by one of its entities, or by all where the answer is of
        the whole site."""
        kinds = {kind for _, rules in self.each() for kind in (*rules.answer, *rules.approve)}
        return sorted(kind for kind in kinds if kind not in WHOLE or len(self.willing(kind)) == len(self.each()))


def read_rules(folder: Path) -> SiteRules:
    """The rules in a membership's folder, the usual ones when there is no file; UsageError with what is wrong."""
    path = folder / FILE_NAME
    try:
        values = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return SiteRules()
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"The rules are not valid TOML: {error}.", where=str(path)) from None
    entities = values.pop("entity", {})
    site = _rules(values, path, Rules())
    return SiteRules(site, tuple((name, _rules(own, path, site)) for name, own in sorted(entities.items())))


def write_rules(folder: Path, rules: Rules) -> None:
    """Write every rule with its sentence, so that the file documents itself."""
    lines: list[str] = []
    for item in dataclasses.fields(Rules):
        value = getattr(rules, item.name)
        lines += [f"# {item.metadata['sentence']}", f"{item.name} = {json.dumps(value)}", ""]
    lines += [
        "# A site of several legal entities: each with rules of its own, what it does not write being as above.",
        '# [entity."Clinique du Port"]', '# units = ["PORT"]', '# answer = ["count"]', "",
    ]  # fmt: skip
    (folder / FILE_NAME).write_text("\n".join(lines), "utf-8")


def _rules(values: dict[str, Any], path: Path, usual: Rules) -> Rules:
    known = {item.name: item for item in dataclasses.fields(Rules)}
    made: dict[str, Any] = {}
    for name, value in values.items():
        if name not in known:
            raise UsageError(f"No rule is called '{name}'.", where=str(path), hint=f"use one of {', '.join(known)}")
        wanted = type(known[name].default)
        given = (
            tuple(value)
            if wanted is tuple and isinstance(value, list) and all(isinstance(v, str) for v in value)
            else value
        )
        if type(given) is not wanted:
            raise UsageError(f"Rule '{name}' is of another kind.", where=str(path))
        made[name] = given
    return dataclasses.replace(usual, **made)
