"""OMOP unit concepts that hospitals use most → UCUM, for files that travel without their CONCEPT table."""

from __future__ import annotations

UNITS: dict[int, str] = {
    8482: "[pH]", 8504: "g", 8505: "h", 8510: "U", 8511: "wk", 8512: "d", 8519: "L", 8523: "{ratio}", 8525: "{titer}",
    8528: "a", 8529: "{index}", 8533: "[in_i]", 8541: "/min", 8550: "min", 8554: "%", 8555: "s", 8564: "pg",
    8576: "mg", 8582: "cm", 8583: "fL", 8587: "mL", 8588: "mm", 8617: "m2", 8636: "g/L", 8645: "U/L", 8647: "/uL",
    8698: "L/min", 8713: "g/dL", 8718: "[IU]", 8720: "ug/g", 8723: "mg/g", 8725: "ng/L", 8729: "pmol/L",
    8734: "10*12/L", 8736: "nmol/L", 8748: "ug/L", 8749: "umol/L", 8751: "mg/L", 8752: "mm/h", 8753: "mmol/L",
    8763: "U/mL", 8765: "/[LPF]", 8784: "{cells}/uL", 8785: "/uL", 8786: "/[HPF]", 8795: "mL/min",
    8799: "{copies}/mL", 8807: "g/(24.h)", 8815: "10*6/uL", 8817: "ng/dL", 8818: "ng/mg", 8820: "pg/dL",
    8837: "ug/dL", 8839: "umol/dL", 8840: "mg/dL", 8842: "ng/mL", 8843: "nmol/mL", 8845: "pg/mL", 8848: "10*3/uL",
    8859: "ug/mL", 8861: "mg/mL", 8862: "mosm/kg", 8876: "mm[Hg]", 8906: "ug/(24.h)", 8907: "umol/(24.h)",
    8909: "mg/(24.h)", 8910: "mmol/(24.h)", 8923: "[IU]/L", 8930: "mL/(24.h)", 8985: "[IU]/mL", 8990: "ug/mL{FEU}",
    9017: "mg/g{creat}", 9072: "ug/mg{creat}", 9117: "mL/min/1.73.m2", 9254: "/L", 9257: "/mL", 9289: "[degF]",
    9306: "[ft_i]", 9327: "[in_i]", 9373: "[oz_av]", 9387: "[ppm]", 9436: "10*3/mL", 9444: "10*9/L", 9448: "a",
    9486: "dL", 9514: "g/mL", 9529: "kg", 9531: "kg/m2", 9546: "m", 9562: "mg/kg", 9571: "mL/kg", 9573: "mmol",
    9575: "mmol/dL", 9579: "mmol/mol", 9580: "mo", 9586: "mol/L", 9591: "mosm/L", 9593: "ms", 9600: "ng",
    9608: "nmol/dL", 9655: "ug", 9665: "uL", 9666: "um", 9667: "umol", 9688: "ug/kg/min", 32700: "L/s",
    32707: "ng{FEU}/mL", 32995: "ukat/L", 33013: "nkat/L", 586323: "Cel", 720843: "mV", 44777590: "cm[H2O]",
    44777593: "g/(12.h)", 44777602: "kPa", 44777612: "mg/mmol", 44777613: "mL/h", 44777660: "10*9",
}  # fmt: skip
