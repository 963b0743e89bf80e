"""Units as people write them → UCUM. Nothing is converted: a unit is renamed or left alone."""

from __future__ import annotations

from functools import lru_cache

# Spellings after `_plain` (case kept, spaces dropped, micro sign and exponents made plain).
_EXACT = {
    "%": "%", "l": "L", "‰": "[ppth]", "°": "deg", "°C": "Cel", "ºC": "Cel", "degC": "Cel", "Cel": "Cel", "[IU]": "[IU]", "C": "Cel", "Celsius": "Cel",
    "degré": "Cel", "°F": "[degF]", "F": "[degF]", "degF": "[degF]",
    "G/L": "10*9/L", "G/l": "10*9/L", "Giga/L": "10*9/L", "Giga/l": "10*9/L", "giga/l": "10*9/L", "10^9/L": "10*9/L",
    "10^9/l": "10*9/L", "10E9/L": "10*9/L", "10e9/l": "10*9/L", "109/L": "10*9/L", "x10^9/L": "10*9/L",
    "T/L": "10*12/L", "T/l": "10*12/L", "Tera/L": "10*12/L", "Tera/l": "10*12/L", "tera/l": "10*12/L",
    "10^12/L": "10*12/L", "10^12/l": "10*12/L", "10E12/L": "10*12/L", "1012/L": "10*12/L", "x10^12/L": "10*12/L",
    "10^3/uL": "10*3/uL", "10E3/uL": "10*3/uL", "K/uL": "10*3/uL", "K/mm3": "10*3/uL", "10^3/mm3": "10*3/uL",
    "x10^3/uL": "10*3/uL", "10^6/uL": "10*6/uL", "M/uL": "10*6/uL", "10^6/mm3": "10*6/uL", "x10^6/uL": "10*6/uL",
    "M/mm3": "10*6/uL", "Thousand/uL": "10*3/uL", "Million/uL": "10*6/uL",
    "/mm3": "/uL", "/mmc": "/uL", "/uL": "/uL", "/ul": "/uL", "/mL": "/mL", "/ml": "/mL", "/L": "/L", "/l": "/L",
    "/min": "/min", "/mn": "/min", "bpm": "/min", "batt/min": "/min", "bats/min": "/min", "batt./min": "/min",
    "c/min": "/min", "cpm": "/min", "mouvements/min": "/min", "mvt/min": "/min", "beats/min": "/min",
    "breaths/min": "/min", "resp/min": "/min", "{beats}/min": "/min", "{breaths}/min": "/min", "/champ": "/[HPF]",
    "/HPF": "/[HPF]", "/hpf": "/[HPF]", "/LPF": "/[LPF]",
    "y": "a", "mm3": "uL", "mmc": "uL", "cc": "mL", "cm3": "mL",
    "U/L": "U/L", "U/l": "U/L", "u/l": "U/L", "kU/L": "kU/L", "kU/l": "kU/L", "U/mL": "U/mL", "U/ml": "U/mL",
    "UI": "[IU]", "IU": "[IU]", "ui": "[IU]", "U.I.": "[IU]", "UI/L": "[IU]/L", "UI/l": "[IU]/L", "IU/L": "[IU]/L",
    "IU/l": "[IU]/L", "ui/l": "[IU]/L", "UI/mL": "[IU]/mL", "UI/ml": "[IU]/mL", "IU/mL": "[IU]/mL",
    "IU/ml": "[IU]/mL", "mUI/L": "m[IU]/L", "mUI/l": "m[IU]/L", "mIU/L": "m[IU]/L", "mIU/l": "m[IU]/L",
    "mUI/mL": "m[IU]/mL", "mUI/ml": "m[IU]/mL", "mIU/mL": "m[IU]/mL", "mIU/ml": "m[IU]/mL", "uUI/mL": "u[IU]/mL",
    "uIU/mL": "u[IU]/mL", "uIU/ml": "u[IU]/mL", "kUI/L": "k[IU]/L", "kUI/l": "k[IU]/L", "kIU/L": "k[IU]/L",
    "MUI": "10*6.[IU]", "UI/24h": "[IU]/(24.h)", "UI/j": "[IU]/d", "unité": "U", "unités": "U", "unit": "U", "U": "U",
    "mmHg": "mm[Hg]", "mmhg": "mm[Hg]", "mmH2O": "mm[H2O]", "cmH2O": "cm[H2O]", "kPa": "kPa",
    "mEq": "meq", "mEq/L": "meq/L", "mEq/l": "meq/L", "meq/l": "meq/L", "mEq/24h": "meq/(24.h)",
    "Mmol/L": "mmol/L", "MMOL/L": "mmol/L", "G/DL": "g/dL", "MG/DL": "mg/dL", "MG/L": "mg/L",
    "g/100mL": "g/dL", "g/100ml": "g/dL", "mg/100mL": "mg/dL", "mg/100ml": "mg/dL", "g%": "g/dL", "mg%": "mg/dL",
    "mOsm/kg": "mosm/kg", "mOsm/L": "mosm/L", "mosmol/kg": "mosm/kg", "mosmol/L": "mosm/L", "mOsmol/kg": "mosm/kg",
    "kg/m2": "kg/m2", "Kg/m2": "kg/m2", "KG": "kg", "Kg": "kg", "kgs": "kg", "kilo": "kg", "kilos": "kg",
    "lb": "[lb_av]", "lbs": "[lb_av]", "pounds": "[lb_av]", "oz": "[oz_av]", "in": "[in_i]", "inch": "[in_i]",
    "inches": "[in_i]", "ft": "[ft_i]", "CM": "cm", "Cm": "cm", "mètre": "m", "grammes": "g", "gramme": "g", "gr": "g",
    "ml/min/1,73m2": "mL/min/{1.73_m2}", "mL/min/1,73m2": "mL/min/{1.73_m2}", "ml/min/1.73m2": "mL/min/{1.73_m2}",
    "mL/min/1.73m2": "mL/min/{1.73_m2}", "mL/min/{1.73_m2}": "mL/min/{1.73_m2}", "ml/mn/1.73m2": "mL/min/{1.73_m2}",
    "ml/mn": "mL/min", "ml/mn/1,73m2": "mL/min/{1.73_m2}", "mL/min/{1.73m2}": "mL/min/{1.73_m2}",
    "mm/h": "mm/h", "mm/H": "mm/h", "mm/1h": "mm/h", "mm/hr": "mm/h", "mm/1ereh": "mm/h",
    "sec": "s", "seconde": "s", "secondes": "s", "s": "s", "msec": "ms", "mn": "min", "minute": "min", "minutes": "min",
    "heure": "h", "heures": "h", "hr": "h", "hrs": "h", "hour": "h", "hours": "h",
    "j": "d", "jour": "d", "jours": "d", "day": "d", "days": "d", "sem": "wk", "semaine": "wk",
    "semaines": "wk", "SA": "wk", "week": "wk", "weeks": "wk", "mois": "mo", "month": "mo", "months": "mo",
    "an": "a", "ans": "a", "année": "a", "années": "a", "year": "a", "years": "a", "yr": "a",
    "/24h": "/(24.h)", "L/24h": "L/(24.h)", "l/24h": "L/(24.h)", "mL/24h": "mL/(24.h)", "ml/24h": "mL/(24.h)",
    "g/24h": "g/(24.h)", "mg/24h": "mg/(24.h)", "ug/24h": "ug/(24.h)", "mmol/24h": "mmol/(24.h)",
    "umol/24h": "umol/(24.h)", "nmol/24h": "nmol/(24.h)", "/j": "/d", "g/j": "g/d", "mg/j": "mg/d", "mL/j": "mL/d",
    "ml/j": "mL/d", "mg/kg/j": "mg/kg/d", "g/kg/j": "g/kg/d", "cp/j": "{tbl}/d", "PA": "{PA}",
    "comprimé": "{tbl}", "comprimés": "{tbl}", "cp": "{tbl}", "gélule": "{capsule}", "gélules": "{capsule}",
    "goutte": "[drp]", "gouttes": "[drp]", "gttes": "[drp]", "gtt": "[drp]", "ampoule": "{ampule}",
    "sachet": "{packet}", "bouffée": "{puff}", "bouffées": "{puff}",
    "sansunité": "1", "SU": "1", "ratio": "{ratio}", "index": "{index}", "score": "{score}", "INR": "{INR}",
    "copies/mL": "{copies}/mL", "copies/ml": "{copies}/mL", "cop/mL": "{copies}/mL", "cp/mL": "{copies}/mL",
    "log": "{Log}", "logcopies/mL": "{Log_copies}/mL", "UFC/mL": "[CFU]/mL", "UFC/ml": "[CFU]/mL",
    "CFU/mL": "[CFU]/mL", "UFC/L": "[CFU]/L", "%Hb": "%", "%delHb": "%", "mg/mmoldecréat": "mg/mmol",
    "mg/mmolcréat": "mg/mmol", "mg/gcréat": "mg/g", "Gy": "Gy", "mGy": "mGy", "MBq": "MBq", "mSv": "mSv",
    "Torr": "mm[Hg]", "torr": "mm[Hg]", "µKat/L": "ukat/L", "uKat/L": "ukat/L", "ukat/L": "ukat/L",
    "vol%": "%", "pourcent": "%", "pour100": "%", "percent": "%", "VPN": "1",
}  # fmt: skip
_PLAIN = str.maketrans({"µ": "u", "μ": "u", "²": "2", "³": "3", "⁹": "^9", "⁶": "^6", "×": "x", "·": ".", "–": "-"})
# Parts of a quotient in which only the case of the litre, or a French abbreviation, differs.
_PARTS = {
    "l": "L", "dl": "dL", "cl": "cL", "ml": "mL", "ul": "uL", "nl": "nL", "pl": "pL", "fl": "fL", "mcl": "uL",
    "mcg": "ug", "mcmol": "umol", "mol": "mol", "mmoles": "mmol", "umoles": "umol", "gr": "g", "Kg": "kg", "KG": "kg",
    "mn": "min", "j": "d", "hr": "h", "H": "h", "jour": "d", "day": "d", "UI": "[IU]", "IU": "[IU]", "mUI": "m[IU]",
    "mIU": "m[IU]", "uUI": "u[IU]", "uIU": "u[IU]", "kUI": "k[IU]", "sec": "s", "mmHg": "mm[Hg]", "mm3": "uL",
    "mEq": "meq", "ng": "ng", "24h": "(24.h)", "24H": "(24.h)", "mm2": "mm2", "100ml": "dL", "100mL": "dL",
}  # fmt: skip


@lru_cache(maxsize=16_384)
def ucum(unit: str) -> str:
    """The UCUM spelling of `unit`; the text itself (trimmed) when it is not recognised."""
    trimmed = unit.strip()
    plain = "".join(trimmed.translate(_PLAIN).split())
    for other, ours in (("[iU]", "[IU]"), ("[U]", "U"), ("[degC]", "Cel")):
        plain = plain.replace(other, ours)
    if plain in _EXACT:
        return _EXACT[plain]
    parts = [_PARTS.get(part, part) for part in plain.split("/")]
    if (plain in _PARTS and plain != "H") or (len(parts) > 1 and all(_is_unit(part) for part in parts)):
        return "/".join(parts)
    return trimmed


_PREFIXES = ("", "k", "d", "c", "m", "u", "n", "p", "f")
_ATOMS = ("g", "L", "mol", "m", "Pa", "eq", "osm", "kat", "U", "[IU]", "J", "W", "Bq", "Gy", "Sv", "V", "A", "cal")
_KNOWN = frozenset(p + a for p in _PREFIXES for a in _ATOMS) | frozenset(
    {"", "h", "d", "min", "s", "wk", "mo", "a", "m2", "cm2", "mm2", "mm[Hg]", "cm[H2O]", "(24.h)", "[HPF]", "%"}
)


def _is_unit(part: str) -> bool:
    return part in _KNOWN
