"""Nodes of a question. Every one is frozen and validated at birth."""

from estran.cohort.query.base import Node, Part
from estran.cohort.query.combine import And, AtLeast, Family, Kin, Not, Or, Same, Unit, Window, all_of, any_of
from estran.cohort.query.leaves import (
    Code,
    CodeCriterion,
    CohortRef,
    Demographic,
    DocumentCriterion,
    Everyone,
    IdList,
    MediaCriterion,
    MovementCriterion,
    PermissionCriterion,
    StayCriterion,
    TextCriterion,
    VariantCriterion,
)
from estran.cohort.query.ranges import DateRange, IntRange, ValueRange
from estran.cohort.query.time import During, FollowUp, Occurrence, Rank, Sequence, TimeUnit, Washout
from estran.cohort.query.tree import ROOT, at, codes_of, leading, own_leaves, resolve, rewrite, walk

NODES: tuple[type[Node], ...] = (
    And, Or, Not, AtLeast, Same, Window, Family, CodeCriterion, TextCriterion, Demographic, StayCriterion,
    MovementCriterion, DocumentCriterion, MediaCriterion, VariantCriterion, PermissionCriterion, CohortRef, IdList, Everyone,
    Sequence, During, Occurrence, FollowUp, Washout,
)

__all__ = [
    "NODES", "ROOT", "And", "AtLeast", "Code", "CodeCriterion", "CohortRef", "DateRange", "Demographic",
    "DocumentCriterion", "During", "Everyone", "Family", "FollowUp", "IdList", "IntRange", "Kin",
    "MediaCriterion", "MovementCriterion", "Node", "Not", "Occurrence", "Or", "Part", "PermissionCriterion",
    "Rank", "Same", "Sequence", "StayCriterion", "TextCriterion", "TimeUnit", "Unit", "ValueRange", "VariantCriterion", "Washout",
    "Window", "all_of", "any_of", "at", "codes_of", "leading", "own_leaves", "resolve", "rewrite", "walk",
]  # fmt: skip
