"""What docs/screenshots.md says of each page."""

from __future__ import annotations

from collections.abc import Callable

HEAD = """# Screenshots

Each page of the portal on an invented hospital, then of a hub on an invented network: `make screenshots` takes the
pictures and writes this text. The pages of every day are shown in both languages and themes, the others in French and
light, and in English and dark. Nobody in these pictures exists.
"""
SAID: dict[str, tuple[str, str]] = {
    "/": (
        "What the site holds · Ce que contient le site",
        "Patients, stays and documents by year and by source, and where to go from here.",
    ),
    "/sign-in": (
        "Sign in · Connexion",
        "Password, passkey or the hospital's identity provider; the language and theme are the browser's.",
    ),
    "/transparency": (
        "Transparency · Transparence",
        "The public page: what is held and for how long, the projects, and the form with which anybody refuses or asks.",
    ),
    "/search": (
        "Search · Recherche",
        "Words in the de-identified reports, marked where they were found, with filters by kind, ward and year.",
    ),
    "/cohort": (
        "Cohort builder · Constructeur de cohorte",
        "Criteria as a tree, each with its live count through the result gate.",
    ),
    "/cohort/patients": (
        "Patients of a cohort · Patients d’une cohorte",
        "Who was found, and for each the reason why.",
    ),
    "/cohort/portrait": (
        "Portrait of a cohort · Portrait d’une cohorte",
        "Ages, where people live, and the words that set them apart.",
    ),
    "/cohorts": (
        "Saved cohorts · Cohortes enregistrées",
        "Versions, stars, shares with colleagues, and questions that are asked again by themselves.",
    ),
    "/cohorts/compare": (
        "Two versions compared · Deux versions comparées",
        "What changed in the question, and in the count.",
    ),
    "/lists": (
        "Lists of numbers · Listes de numéros",
        "Patient numbers handed in as a file, read by the holder of the key alone, and told as counts.",
    ),
    "/notices": (
        "Notices · Notifications",
        "What a person was told: shares, questions that found somebody new, projects.",
    ),
    "/documents/{document_id}": (
        "Document · Document",
        "A de-identified report with the facts that were read in it, and its neighbours in time.",
    ),
    "/patients/{patient_id}": (
        "Patient timeline · Parcours patient",
        "A whole course on one screen, with the words of the reports and the family tree.",
    ),
    "/documents/{document_id}/original": (
        "An original, asked for · Un original, demandé",
        "A document with its names is opened for care only, with a reason that is written down first.",
    ),
    "/originals/{number}": (
        "An original, awaited · Un original, attendu",
        "The holder of the key opens it for this browser alone, for fifteen minutes.",
    ),
    "/care": (
        "Opening a record for care · Ouvrir un dossier pour les soins",
        "A record outside one's perimeter is opened for a time, with the reason, and the officer is told.",
    ),
    "/reviews": ("Chart reviews · Relectures de dossiers", "The lists that were given to me, and how far I am."),
    "/reviews/new": (
        "A review list · Une liste de relecture",
        "Patients drawn from a cohort and outside it, readers and their shares, who settles.",
    ),
    "/reviews/forms": (
        "Review forms · Formulaires de relecture",
        "What is asked of each patient, versioned, filled in from the facts.",
    ),
    "/reviews/{list_id}": (
        "My patients to review · Mes patients à relire",
        "Decisions and comments, patient by patient.",
    ),
    "/reviews/{list_id}/patients/{patient}": (
        "A patient reviewed · Un patient relu",
        "Timeline, texts and form side by side; one key per decision.",
    ),
    "/reviews/{list_id}/documents/{document}": (
        "A text marked · Un texte annoté",
        "Spans and labels by keyboard or by mouse.",
    ),
    "/reviews/{list_id}/settle": ("To settle · À arbitrer", "Where two blind readers differ."),
    "/reviews/{list_id}/settle/{patient}": (
        "A patient settled · Un patient arbitré",
        "What each reader said, side by side.",
    ),
    "/reviews/{list_id}/settle-text/{document}": (
        "A text settled · Un texte arbitré",
        "The marks of each reader, differences first.",
    ),
    "/reviews/{list_id}/figures": (
        "Figures of a review · Chiffres d’une relecture",
        "Progress, kappa with its interval, predictive value and sensitivity of the question.",
    ),
    "/projects": (
        "Projects · Projets",
        "The board, from ideas to closed projects, with the committee's agenda and the calls.",
    ),
    "/projects/new": ("A project proposed · Un projet proposé", "An idea is enough; the request is written later."),
    "/projects/outputs": ("Outputs · Productions", "The register of what projects published."),
    "/projects/{number}": (
        "A project · Un projet",
        "Where it stands, what it asks for and why, and the next step of whoever looks.",
    ),
    "/projects/{number}/committee": (
        "Committee room · Salle du comité",
        "Interests declared before anything is voted; votes seen by those who vote.",
    ),
    "/projects/{number}/datamart": (
        "Asking for a datamart · Demander un datamart",
        "Of what the project was granted and nothing more; built where the key is.",
    ),
    "/projects/{number}/data": (
        "Data that a project brings · Données apportées",
        "Declared, accepted, handed in; read, linked and set aside, counted row by row.",
    ),
    "/projects/{number}/data/files/{file}": (
        "A file described · Un fichier décrit",
        "What each column is, said without seeing a value.",
    ),
    "/datamarts": ("Datamarts · Entrepôts de projet", "What was made for whom, and until when."),
    "/datamarts/{number}": (
        "A datamart · Un entrepôt de projet",
        "Tables, variables with their reasons, protections, files and fingerprints.",
    ),
    "/spaces": ("Workspaces · Espaces de travail", "The notebooks of my projects."),
    "/spaces/{project}": (
        "A workspace · Un espace de travail",
        "Start it, open the notebook, hand files in to the airlock.",
    ),
    "/airlock": ("Airlock · Sas", "Files that wait to leave, with the verdict of the checks."),
    "/airlock/{number}": (
        "A file at the airlock · Un fichier au sas",
        "What the checks found, cell by cell, and the decision of a second person.",
    ),
    "/catalogue": ("Catalogue · Catalogue", "Sources, kinds of documents and variables, with what is known of each."),
    "/catalogue/{kind}/{key:path}": (
        "A variable · Une variable",
        "How often, since when, in which units, from where; and what people noted about it.",
    ),
    "/quality": ("Quality · Qualité", "The checks, what failed since the last run, and how it goes over time."),
    "/quality/curves": ("Curves · Courbes", "Volumes by source and ward, with the breaks found in them."),
    "/quality/checks/{key}": ("A check · Un contrôle", "Its history, and the rows behind a failure."),
    "/official": (
        "Official figures · Chiffres officiels",
        "The hospital's own monthly figures against the warehouse, with the stays behind a difference.",
    ),
    "/steering": ("Steering · Pilotage", "Beds, lengths of stay and ways through the hospital."),
    "/feeds": ("Feeds · Flux", "Health of the feeds, loads, quarantine, and the work that was asked for."),
    "/audit": ("Audit · Audit", "Who read a patient, what is unusual, and the proof that the trail is whole."),
    "/rights": (
        "Rights of patients · Droits des patients",
        "Requests, and who holds a copy that must follow a refusal.",
    ),
    "/rights/{request_id}": ("A request · Une demande", "Found by the holder of the key, carried out, answered."),
    "/registry": (
        "Reference framework · Référentiel",
        "Each requirement of the CNIL's framework, and how the site stands.",
    ),
    "/people": ("People · Personnes", "Accounts, roles, second factors."),
    "/people/{login}": ("A person · Une personne", "Role, perimeter, sessions, ways in."),
    "/account/security": (
        "Security of my account · Sécurité de mon compte",
        "Password, one-time codes, passkeys, sessions, tokens.",
    ),
}

HUB_SAID: dict[str, tuple[str, str]] = {
    "/network": (
        "The network · Le réseau",
        "At a hub: a question to all hospitals, and those that were put before.",
    ),
    "/network/{question}": (
        "One question, many hospitals · Une question, plusieurs établissements",
        "Each hospital's protected answer as it comes, and the distinct total with its error.",
    ),
    "/network/statistics": (
        "Statistics over the network · Statistiques du réseau",
        "Tables, regressions, survival, without a row leaving a hospital.",
    ),
    "/network/statistics/{study}": (
        "A statistic · Une statistique",
        "Its result over all hospitals, who took part, and each round.",
    ),
    "/network/linkages": (
        "Linkages of the network · Appariements du réseau",
        "Which records of several hospitals are of one person, for one project: what was asked for, and the form that asks.",
    ),
    "/network/linkages/{run}": (
        "A linkage · Un appariement",
        "From the hospitals to the linkage unit and back: the protected counts, and each hospital's part.",
    ),
    "/network/learning": (
        "Learning over the network · Apprentissage en réseau",
        "Models that hospitals learn together, each at home.",
    ),
    "/network/learning/{name}": (
        "A model learned together · Un modèle appris ensemble",
        "Whether it was released and why, what protects the patients, each round, each hospital's figures.",
    ),
    "/network/catalogue": (
        "Catalogue of the network · Catalogue du réseau",
        "What each hospital holds, side by side, as far as the network's rules let one see.",
    ),
    "/network/catalogue/{kind}/{key:path}": (
        "A code in the network · Un code dans le réseau",
        "Who holds it, how much, since when.",
    ),
    "/network/sites/{member}": (
        "A hospital of the network · Un établissement du réseau",
        "Its catalogue, its services and prices, and what came of each harvest.",
    ),
    "/network/rules": (
        "Rules and charters · Règles et chartes",
        "Who sees whose numbers, who has signed what, how long a hospital may be silent.",
    ),
    "/network/audit": (
        "Audit of the network · Audit du réseau",
        "Every question of everybody, with the line of the trail that let it pass.",
    ),
    "/network/oppositions": (
        "Oppositions in the network · Oppositions dans le réseau",
        "What patients refused of data that was sent, obeyed within a day or an alarm.",
    ),
    "/pools": ("Pools · Pools", "Datamarts of several hospitals put together for one project."),
    "/pools/{pool}": (
        "A pool · Un pool",
        "Who sent, how the hospitals differ, every copy with its certificate; a hospital that is silent is told of.",
    ),
    "/transparency/network": (
        "Public page of the network · Page publique du réseau",
        "For everybody: the hospitals, the projects, and how to refuse.",
    ),
}


def document(pictures: Callable[[str], list[tuple[str, str, str]]]) -> str:
    """The text, with the pictures of each route: language, theme, name of the file."""
    parts = [HEAD]
    for route, (title, said) in (SAID | HUB_SAID).items():
        spoken = title.partition(" · ")[0]
        lines = [f"![{spoken}, {language}, {theme}](images/{name})" for language, theme, name in pictures(route)]
        parts.append("\n".join([f"## {title}", "", said, "", *lines, ""]))
    return "\n".join(parts)
