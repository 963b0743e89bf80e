"""The methods there are, by name."""

from __future__ import annotations

from estran.analysis.federated.contingency import Contingency
from estran.analysis.federated.cox import Cox
from estran.analysis.federated.describe import Describe
from estran.analysis.federated.glm import Glm
from estran.analysis.federated.meta import Meta
from estran.analysis.federated.quantiles import Quantiles
from estran.analysis.federated.rounds import Method
from estran.analysis.federated.survival import Survival

_ALL: tuple[Method, ...] = (Describe(), Contingency(), Quantiles(), Glm(), Cox(), Survival(), Meta())
METHODS = {one.name: one for one in _ALL}
