"""x"""
from __future__ import annotations
import numpy as np
from estran.analysis.learning.plan import Column
COLUMNS = (
    Column("age", 0, 100), Column("creatinine", 20, 800, True), Column("crp", 0.5, 400, True), Column("haemoglobin", 4, 20),
    Column("albumin", 10, 55), Column("sodium", 110, 160), Column("stays", 0, 10),
)
# Patients and case mix of each site: mean age, share of emergencies, how often CRP and albumin are measured.
MIX = ((2400, 71, 0.7, 0.9), (1600, 62, 0.4, 0.8), (900, 45, 0.2, 0.4), (700, 78, 0.8, 0.7), (400, 55, 0.3, 0.6), (300, 82, 0.9, 0.5))

def sites(seed=11, mix=MIX):
    return [_site(np.random.default_rng((seed, n)), *one) for n, one in enumerate(mix)]

def _site(dice, patients, age, sick, measured):
    acute = dice.random(patients) < sick
    ages = np.clip(dice.normal(age, 14, patients), 0, 100)
    creatinine = np.exp(dice.normal(4.3 + 0.006 * (ages - 50) + 0.3 * acute, 0.4))
    crp = np.exp(dice.normal(1.5 + 2.2 * acute, 1.0))
    haemoglobin = dice.normal(14 - 0.02 * (ages - 50) - 1.2 * acute, 1.6)
    albumin = dice.normal(41 - 0.06 * (ages - 50) - 4 * acute, 4.5)
    sodium = dice.normal(139 - 1.5 * acute, 4)
    stays = np.minimum(dice.poisson(0.5 + 0.8 * acute), 10).astype(float)
    frail = np.maximum(ages - 65, 0) / 10
    z = -4.4 + 0.35 * frail + 0.9 * np.log(creatinine / 80) * (1 + 0.4 * frail) + 0.25 * np.log(crp) * (albumin < 36)
    z += 0.22 * np.maximum(11 - haemoglobin, 0) + 0.10 * np.abs(sodium - 139) + 0.25 * stays
    y = (dice.random(patients) < 1 / (1 + np.exp(-z))).astype(float)
    for values, often in ((crp, measured), (albumin, measured - 0.2), (creatinine, 0.95), (haemoglobin, 0.95), (sodium, 0.95)):
        values[dice.random(patients) > often] = np.nan
    return {"age": ages, "creatinine": creatinine, "crp": crp, "haemoglobin": haemoglobin, "albumin": albumin, "sodium": sodium, "stays": stays, "died": y}
