"""The methods there are, by name."""

from __future__ import annotations

from estran.analysis.federated.glm import Glm
from estran.analysis.federated.rounds import Method

METHODS: dict[str, Method] = {one.name: one for one in (Glm(),)}
