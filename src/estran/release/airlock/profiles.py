"""The thresholds of a check, under the name of the guidance that they come from."""

from __future__ import annotations

from dataclasses import dataclass

from estran.model.errors import UsageError


@dataclass(frozen=True)
class Profile:
    """What a table must hold to. `floor`: counts from 1 to below it are refused (patients). `step`: counts are
    multiples of it; 0 when any may be told. `nk_n`, `nk_k`: a cell is refused when its `nk_n` largest contributors
    make more than `nk_k` of it; 0 asks for no evidence on dominance. `p_ratio`: refused when all but the two largest are less than this share of the
    largest. `dof`: least residual degrees of freedom; 0 asks for none. `zeros` asks a human about empty cells,
    `negatives` about negative contributions. `rows`: most rows of a table.
    """

    name: str
    source: str
    floor: int
    step: int = 0
    nk_n: int = 2
    nk_k: float = 0.9
    p_ratio: float = 0.1
    dof: int = 0
    k: int = 10
    zeros: bool = False
    extremes: bool = True
    rows: int = 5_000
    kinds: frozenset[str] = frozenset({"csv", "png", "jpeg", "svg", "pdf", "html", "ipynb", "text", "skops", "onnx"})


PROFILES = {
    "estran": Profile("estran", "Estran, after OpenSAFELY and ACRO", floor=10, step=5, dof=10, zeros=True),
    "opensafely": Profile(
        "opensafely", "https://docs.opensafely.org/outputs/sdc/", floor=8, step=5, nk_n=0,
        kinds=frozenset({"csv", "png", "jpeg", "svg", "html", "text"}),
    ),
    "acro": Profile("acro", "https://github.com/AI-SDC/ACRO (acro/default.yaml)", floor=10, dof=10, extremes=False),
}  # fmt: skip


def profile(name: str) -> Profile:
    """The profile of this name; UsageError when there is none."""
    if name not in PROFILES:
        raise UsageError("There is no such profile of the airlock.", hint=f"one of {', '.join(PROFILES)}")
    return PROFILES[name]
