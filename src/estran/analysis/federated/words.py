"""The words of tables and drawings, in English and in French."""

from __future__ import annotations

FRENCH = {
    "term": "terme", "estimate": "estimation", "standard error": "erreur type", "95 % interval": "intervalle à 95 %",
    "odds_ratio": "rapport de cotes", "rate_ratio": "rapport de taux", "hazard_ratio": "rapport de risques instantanés",
    "patients": "patients", "events": "évènements", "sites": "sites", "excluded": "exclus", "missing": "manquants",
    "variable": "variable", "mean": "moyenne", "deviation": "écart type", "range": "étendue protégée",
    "level": "modalité", "all": "total", "group": "groupe", "median": "médiane", "until": "suivi jusqu’au jour",
    "probability": "probabilité", "from": "de", "to": "à", "error": "erreur au plus", "site": "site", "weight": "poids",
    "fixed effect": "effet fixe", "random effects": "effets aléatoires", "prediction": "prédiction",
    "deviance": "déviance", "fewer than": "moins de", "log-rank": "log-rank", "chi-square": "khi-deux",
    "degrees of freedom": "degrés de liberté", "survival": "survie", "day": "jour", "at risk": "à risque",
    "Survival by group, in days": "Survie par groupe, en jours",
    "Estimate of each site with its 95 % interval, and pooled":
        "Estimation de chaque site avec son intervalle à 95 %, et d’ensemble",
    "suppressed": "masqué", "heterogeneity": "hétérogénéité", "likelihood": "log-vraisemblance",
}  # fmt: skip


class Words:
    """Words in one language: "en" or "fr"."""

    def __init__(self, language: str = "en") -> None:
        self.french = language == "fr"

    def __call__(self, word: str) -> str:
        """The word in the language."""
        return FRENCH[word] if self.french else word.replace("_", " ")

    def fact(self, name: str, told: str) -> str:
        """A name and what is told of it, with the colon of the language."""
        return f"{name}\u00a0: {told}" if self.french else f"{name}: {told}"

    def number(self, value: float | None, digits: int = 4) -> str:
        """A number with so many significant digits; a dash when it is not told."""
        if value is None:
            return "–"
        text = f"{value:.{digits}g}"
        text = text if "e" in text and abs(value) < 1e-4 else f"{float(text):,.10g}" if abs(value) < 1e15 else text
        if not self.french:
            return text.replace("-", "−", 1) if value < 0 else text
        return text.replace(",", "\u202f").replace(".", ",").replace("-", "−", 1 if value < 0 else 0)

    def count(self, value: int | dict[str, int] | None) -> str:
        """A count, or that it is below the floor, or that it is suppressed."""
        if value is None:
            return self("suppressed")
        if isinstance(value, dict):
            return f"{self('fewer than')} {value['below']}"
        return f"{value:,}".replace(",", "\u202f") if self.french else f"{value:,}"

    def p(self, value: float) -> str:
        """A probability; small ones by their class."""
        return "< " + self.number(0.0001) if value < 0.0001 else self.number(value, 2)
