"""Every rule of the airlock: what it says, in both languages, what to do next, and where it comes from."""

from __future__ import annotations

from dataclasses import dataclass

OPENSAFELY = "OpenSAFELY, https://docs.opensafely.org/outputs/sdc/"
RELEASE = "OpenSAFELY, https://docs.opensafely.org/outputs/requesting-file-release/"
ACRO = "ACRO, https://github.com/AI-SDC/ACRO"
SDC = "Handbook on Statistical Disclosure Control for Outputs 1.0 (2019)"
HOUSE = "Estran"


@dataclass(frozen=True)
class Rule:
    """`refuses` tells a refusal from a question to a human. Sentences take words in braces."""

    code: str
    refuses: bool
    source: str
    fr: str
    en: str
    next_fr: str
    next_en: str

    def what(self, language: str) -> str:
        return self.fr if language == "fr" else self.en

    def next(self, language: str) -> str:
        return self.next_fr if language == "fr" else self.next_en


_ALL = (
    # Files
    Rule("kind", True, RELEASE, "Ce genre de fichier ne sort pas.", "This kind of file does not leave.",
         "Rendez un tableau CSV, une figure PNG ou SVG, ou un rapport HTML sans script.",
         "Hand in a CSV table, a PNG or SVG figure, or an HTML report without script."),
    Rule("disguised", True, HOUSE, "Le contenu du fichier n'est pas de ce que dit son nom.",
         "The content of the file is not what its name says.", "Donnez-lui l'extension de son format.",
         "Give it the extension of its format."),
    Rule("columnar", True, HOUSE, "Un fichier Parquet est tenu pour des données individuelles.",
         "A Parquet file is taken for individual data.", "Rendez le tableau de résultats en CSV.",
         "Hand in the table of results as CSV."),
    Rule("pickle", True, HOUSE, "Un fichier pickle exécute du code quand on l'ouvre.", "A pickle runs code when it is opened.",
         "Enregistrez le modèle en skops ou en ONNX.", "Save the model as skops or ONNX."),
    Rule("size", True, HOUSE, "Le fichier pèse {size} octets ; la limite de ce genre est {most}.",
         "The file has {size} bytes; the limit of this kind is {most}.", "Ne gardez que ce qui sert.", "Keep what is needed only."),
    Rule("rows", True, RELEASE, "Le tableau a {rows} lignes ; la limite est {most}.", "The table has {rows} rows; the limit is {most}.",
         "Agrégez, ou ne gardez que les lignes utiles.", "Aggregate, or keep the rows that are needed."),
    Rule("unreadable", True, HOUSE, "Le fichier ne peut pas être lu en entier.", "The file cannot be read whole.",
         "Enregistrez-le de nouveau (UTF-8 pour un texte).", "Save it again (UTF-8 for a text)."),
    Rule("ragged", True, HOUSE, "La ligne n'a pas le nombre de colonnes de l'en-tête.",
         "The row does not have as many columns as the heading.", "Donnez un nom à chaque colonne, et une valeur à chaque cellule.",
         "Name every column, and fill every cell."),
    Rule("hidden", True, HOUSE, "Quelque chose ne se voit pas à l'écran : {what}.", "Something does not show on a screen: {what}.",
         "Retirez-le.", "Take it out."),
    Rule("long", True, HOUSE, "Une ligne a {length} caractères ; la limite est {most}.",
         "A line has {length} characters; the limit is {most}.", "Coupez-la, ou résumez-la.", "Break it, or sum it up."),
    Rule("code", True, HOUSE, "Une suite de {length} caractères sans espace peut cacher des données.",
         "A run of {length} characters without a space may hide data.", "Retirez-la.", "Take it out."),
    Rule("digits", True, HOUSE, "Un nombre de {digits} chiffres significatifs dit plus que le résultat.",
         "A number of {digits} significant digits says more than the result.", "Arrondissez à {most} chiffres significatifs au plus.",
         "Round to at most {most} significant digits."),
    Rule("text", False, RELEASE, "Un texte est relu par une personne.", "A text is read by a person.",
         "Un tableau CSV se vérifie plus vite.", "A CSV table is checked faster."),
    # Counts
    Rule("small", True, OPENSAFELY, "L'effectif {count} est inférieur à {floor}.", "The count {count} is less than {floor}.",
         "Masquez la cellule ([REDACTED]), regroupez des catégories, puis recalculez les totaux.",
         "Redact the cell ([REDACTED]) or merge categories, then work the totals out again."),
    Rule("unrounded", True, OPENSAFELY, "L'effectif {count} n'est pas un multiple de {step}.", "The count {count} is not a multiple of {step}.",
         "Masquez les petits effectifs, arrondissez à {step} près, puis recalculez les totaux.",
         "Redact small counts, round to the nearest {step}, then work the totals out again."),
    Rule("deduced", True, OPENSAFELY, "La valeur masquée se déduit des totaux : {count}.", "The redacted value follows from the totals: {count}.",
         "Recalculez les totaux après le masquage, ou masquez une cellule de plus.",
         "Work the totals out after redaction, or redact one more cell."),
    Rule("together", True, SDC, "Les {cells} cellules masquées de cette {line} font ensemble {count}.",
         "The {cells} redacted cells of this {line} make {count} together.",
         "Recalculez les totaux après le masquage.", "Work the totals out after redaction."),
    Rule("differencing", True, OPENSAFELY, "La différence avec « {other} » est de {count} patients.",
         "The difference with “{other}” is {count} patients.", "Arrondissez les deux tableaux, ou n'en sortez qu'un.",
         "Round both tables, or release one of them only."),
    Rule("zero", False, OPENSAFELY, "Un effectif nul peut en dire long sur un groupe entier.", "A count of zero may tell of a whole group.",
         "Dites pourquoi il peut être montré.", "Say why it may be shown."),
    Rule("everybody", False, OPENSAFELY, "L'effectif est celui de tout le groupe : ce qui vaut pour tous vaut pour chacun.",
         "The count is that of the whole group: what holds for all holds for each.", "Regroupez des catégories, ou dites pourquoi.",
         "Merge categories, or say why it may be shown."),
    Rule("group", True, OPENSAFELY, "Cette statistique décrit {count} patients, moins de {floor}.",
         "This statistic describes {count} patients, fewer than {floor}.", "Masquez-la, ou regroupez.", "Redact it, or merge groups."),
    Rule("extreme", False, OPENSAFELY, "Un minimum ou un maximum est souvent la valeur d'une seule personne.",
         "A minimum or a maximum is often one person's value.", "Remplacez-le par un percentile.", "Give a percentile instead."),
    Rule("uncounted", False, OPENSAFELY, "Des statistiques sans effectif : rien ne dit combien de patients elles décrivent.",
         "Statistics without counts: nothing says how many patients they describe.", "Ajoutez une colonne « n », arrondie.",
         "Add a column “n”, rounded."),
    Rule("wordy", False, HOUSE, "Un texte de {length} caractères dans une cellule.", "A text of {length} characters in a cell.",
         "Mettez une étiquette courte.", "Use a short label."),
    # Contributions
    Rule("nk", True, ACRO, "Les {n} plus gros contributeurs font {share} % du total ; la limite est {most} %.",
         "The {n} largest contributors make {share}% of the total; the limit is {most}%.", "Masquez la cellule ou regroupez.",
         "Redact the cell or merge groups."),
    Rule("p-ratio", True, ACRO, "Sans les deux plus gros contributeurs il reste {share} % du plus gros ; il en faut {least} %.",
         "Without the two largest contributors {share}% of the largest is left; {least}% is needed.",
         "Masquez la cellule ou regroupez.", "Redact the cell or merge groups."),
    Rule("negative", False, ACRO, "Des contributions négatives : les règles de dominance ne disent rien.",
         "Negative contributions: the rules of dominance say nothing.", "Expliquez-les à la personne qui vérifie.",
         "Explain them to the checker."),
    Rule("unproved", False, ACRO, "Des sommes ou des moyennes sans preuve de dominance.",
         "Sums or means without evidence on dominance.", "Joignez NOM.evidence.csv (estran.evidence le fait).",
         "Add NAME.evidence.csv (estran.evidence makes it)."),
    Rule("dof", True, ACRO, "Le modèle a {dof} degrés de liberté résiduels ; il en faut {least}.",
         "The model has {dof} residual degrees of freedom; {least} are needed.", "Simplifiez le modèle, ou prenez plus de patients.",
         "Simplify the model, or take more patients."),
    Rule("no-dof", False, RELEASE, "Des coefficients sans degrés de liberté résiduels.", "Coefficients without residual degrees of freedom.",
         "Ajoutez une colonne « dof ».", "Add a column “dof”."),
    # People
    Rule("identifier", True, OPENSAFELY, "La colonne désigne des personnes : {what}.", "The column names people: {what}.",
         "Retirez-la.", "Take it out."),
    Rule("pseudonym", True, OPENSAFELY, "Cela ressemble au pseudonyme d'un patient.", "This looks like a patient's pseudonym.",
         "Retirez-le.", "Take it out."),
    Rule("identity", True, OPENSAFELY, "Cela ressemble à une identité : {what}.", "This looks like an identity: {what}.",
         "Retirez-la.", "Take it out."),
    Rule("birth", True, OPENSAFELY, "Une date de naissance.", "A date of birth.", "Donnez une tranche d'âge.", "Give an age band."),
    Rule("dates", False, OPENSAFELY, "Des dates au jour près : une date peut désigner un patient.",
         "Dates to the day: a date may point to a patient.", "Donnez le mois ou l'année.", "Give the month or the year."),
    Rule("microdata", True, HOUSE, "Une ligne par personne : {k} ligne(s) pour la combinaison la plus rare de {columns} ; il en faut {least}.",
         "One row per person: {k} row(s) for the rarest combination of {columns}; {least} are needed.",
         "Comptez, au lieu de lister.", "Count instead of listing."),
    Rule("rowwise", False, HOUSE, "Le tableau n'a pas d'effectif et ressemble à des données individuelles.",
         "The table has no count and looks like individual data.", "Comptez, au lieu de lister.", "Count instead of listing."),
    # Figures, reports, notebooks, models
    Rule("figure", False, OPENSAFELY, "Une figure est regardée par une personne, avec les effectifs qu'elle montre.",
         "A figure is looked at by a person, with the counts it shows.", "Joignez le tableau de ses effectifs.",
         "Add the table of its counts."),
    Rule("metadata", True, HOUSE, "Des métadonnées : {what}.", "Metadata: {what}.", "Enregistrez la figure sans métadonnées.",
         "Save the figure without metadata."),
    Rule("trailing", True, HOUSE, "{size} octets suivent la fin du fichier.", "{size} bytes follow the end of the file.",
         "Enregistrez-le de nouveau.", "Save it again."),
    Rule("archive", True, HOUSE, "Une archive est cachée dans le fichier.", "An archive is hidden in the file.",
         "Enregistrez-le de nouveau.", "Save it again."),
    Rule("least-bits", True, HOUSE, "Les bits faibles des pixels ont l'air tirés au sort ({share} %) : une image peut en cacher.",
         "The least bits of the pixels look drawn at random ({share}%): a picture can hide data there.",
         "Tracez la figure en SVG, ou sans bruit ni dégradé.", "Draw the figure as SVG, or without noise or gradients."),
    Rule("noise", True, HOUSE, "Une partie de l'image est du bruit : des octets peuvent y être écrits en pixels.",
         "A part of the picture is noise: bytes can be written there as pixels.",
         "Tracez des surfaces unies, ou une figure SVG.", "Draw plain areas, or an SVG figure."),
    Rule("lossy", False, HOUSE, "Un JPEG ne se vérifie pas bit à bit.", "A JPEG cannot be checked bit by bit.",
         "Préférez PNG ou SVG.", "Prefer PNG or SVG."),
    Rule("active", True, RELEASE, "Le document contient quelque chose d'actif : {what}.", "The document holds something active: {what}.",
         "Retirez-le.", "Take it out."),
    Rule("outside", True, HOUSE, "Le document appelle une autre adresse.", "The document calls another address.",
         "Mettez tout dans le document.", "Put everything in the document."),
    Rule("report", False, RELEASE, "Un rapport est relu par une personne.", "A report is read by a person.",
         "Rendez aussi ses tableaux en CSV.", "Hand in its tables as CSV too."),
    Rule("notebook", False, RELEASE, "Les sorties d'un notebook sont relues par une personne.", "The outputs of a notebook are read by a person.",
         "Effacez les sorties qui ne servent pas.", "Clear the outputs that are not needed."),
    Rule("attachment", True, HOUSE, "Une pièce jointe dans une cellule.", "An attachment in a cell.", "Retirez-la.", "Take it out."),
    Rule("trace", False, OPENSAFELY, "Un message d'erreur peut citer des données.", "An error message may quote data.",
         "Effacez la sortie de la cellule {cell}.", "Clear the output of cell {cell}."),
    Rule("model", False, HOUSE, "Un modèle peut avoir retenu des patients.", "A model may remember patients.",
         "Dites sur combien de patients il a appris, et joignez ses performances.", "Say how many patients it learnt from, and add its performance."),
    Rule("memory", True, HOUSE, "Ce modèle garde les patients sur lesquels il a appris : {what}.",
         "This model keeps the patients it learnt from: {what}.", "Prenez un modèle qui ne garde que des coefficients.",
         "Use a model that keeps coefficients only."),
)  # fmt: skip
RULES = {rule.code: rule for rule in _ALL}


def markdown() -> str:
    """The table of the reference page."""
    lines = ["| Rule | Then | What it says | What to do next | Source |", "|---|---|---|---|---|"]
    for rule in _ALL:
        then = "refused" if rule.refuses else "to a human"
        lines.append(f"| `{rule.code}` | {then} | {rule.en} | {rule.next_en} | {rule.source} |")
    return "\n".join(lines) + "\n"
