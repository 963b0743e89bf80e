"""Names of modalities and body parts, and the attributes that become facts.

Modalities are codes of DCM (PS3.16 CID 29); body parts are those of PS3.16 Annex L with their SNOMED CT
codes, as DICOM publishes them.
"""

from __future__ import annotations

MODALITIES = {
    "CR": "Radiographie sur plaque", "CT": "Scanner", "DX": "Radiographie numérique", "ECG": "Électrocardiogramme",
    "EPS": "Électrophysiologie cardiaque", "ES": "Endoscopie", "GM": "Microscopie", "HD": "Hémodynamique",
    "IO": "Radiographie intra-orale", "IVUS": "Échographie intravasculaire", "KO": "Sélection d'images",
    "MG": "Mammographie", "MR": "IRM", "NM": "Médecine nucléaire", "OCT": "Tomographie par cohérence optique",
    "OP": "Photographie ophtalmologique", "OPT": "Tomographie ophtalmologique", "OT": "Autre modalité",
    "PR": "Présentation d'images", "PT": "Tomographie par émission de positons", "PX": "Panoramique dentaire",
    "REG": "Recalage", "RF": "Radioscopie", "RTDOSE": "Dose de radiothérapie", "RTIMAGE": "Image de radiothérapie",
    "RTPLAN": "Plan de radiothérapie", "RTRECORD": "Séance de radiothérapie", "RTSTRUCT": "Contours de radiothérapie",
    "SC": "Capture secondaire", "SEG": "Segmentation", "SM": "Lame numérisée", "SR": "Compte rendu structuré",
    "US": "Échographie", "XA": "Angiographie", "XC": "Photographie", "DOC": "Document", "BDUS": "Densitométrie",
    "BMD": "Densitométrie osseuse", "RWV": "Valeurs réelles", "PLAN": "Plan",
}  # fmt: skip
# Body Part Examined (0018,0015): (SNOMED CT, French name).
BODY_PARTS = {
    "ABDOMEN": ("818981001", "Abdomen"), "ABDOMENPELVIS": ("818982008", "Abdomen et pelvis"),
    "ANKLE": ("70258002", "Cheville"), "AORTA": ("15825003", "Aorte"), "ARM": ("40983000", "Bras"),
    "BLADDER": ("89837001", "Vessie"), "BRAIN": ("12738006", "Encéphale"), "BREAST": ("76752008", "Sein"),
    "CHEST": ("816094009", "Thorax"), "CHESTABDOMEN": ("416550000", "Thorax et abdomen"),
    "CHESTABDPELVIS": ("416775004", "Thorax, abdomen et pelvis"), "CLAVICLE": ("51299004", "Clavicule"),
    "COLON": ("71854001", "Côlon"), "CORONARYARTERY": ("41801008", "Artère coronaire"),
    "CSPINE": ("122494005", "Rachis cervical"), "ELBOW": ("16953009", "Coude"), "EXTREMITY": ("66019005", "Membre"),
    "EYE": ("81745001", "Œil"), "FEMUR": ("71341001", "Fémur"), "FOOT": ("56459004", "Pied"),
    "FOREARM": ("14975008", "Avant-bras"), "HAND": ("85562004", "Main"), "HEAD": ("69536005", "Tête"),
    "HEADNECK": ("774007", "Tête et cou"), "HEART": ("80891009", "Cœur"), "HIP": ("29836001", "Hanche"),
    "JAW": ("91609006", "Mandibule"), "KIDNEY": ("64033007", "Rein"), "KNEE": ("72696002", "Genou"),
    "LEG": ("30021000", "Jambe"), "LIVER": ("10200004", "Foie"), "LSPINE": ("122496007", "Rachis lombaire"),
    "LUNG": ("39607008", "Poumon"), "MAXILLA": ("70925003", "Maxillaire"), "NECK": ("45048000", "Cou"),
    "NECKCHEST": ("417437006", "Cou et thorax"), "PANCREAS": ("15776009", "Pancréas"), "PELVIS": ("816092008", "Pelvis"),
    "PROSTATE": ("41216001", "Prostate"), "RIB": ("113197003", "Côte"), "SHOULDER": ("16982005", "Épaule"),
    "SKULL": ("89546000", "Crâne"), "SPINE": ("421060004", "Rachis"), "SSPINE": ("54735007", "Sacrum"),
    "STOMACH": ("69695003", "Estomac"), "THIGH": ("68367000", "Cuisse"), "THYROID": ("69748006", "Thyroïde"),
    "TIBIA": ("12611008", "Tibia"), "TSPINE": ("122495006", "Rachis thoracique"), "UTERUS": ("35039007", "Utérus"),
    "WHOLEBODY": ("38266002", "Corps entier"), "WRIST": ("74670003", "Poignet"),
}  # fmt: skip
LATERALITY = {"L": "gauche", "R": "droite", "B": "bilatérale", "U": "impaire"}
# What the images of one series share: (keyword, label, UCUM unit).
OF_A_SERIES = (
    ("KVP", "Tension du tube", "kV"),
    ("SliceThickness", "Épaisseur de coupe", "mm"),
    ("MagneticFieldStrength", "Champ magnétique", "T"),
    ("ObjectiveLensPower", "Grossissement de l'objectif", "1"),
)
# What belongs to one exposure: read from objects that are a document by themselves.
OF_AN_EXPOSURE = (
    ("Exposure", "Exposition", "mA.s"),
    ("ExposureTime", "Temps d'exposition", "ms"),
    ("XRayTubeCurrent", "Courant du tube", "mA"),
    ("ImageAndFluoroscopyAreaDoseProduct", "Produit dose-surface", "dGy.cm2"),
    ("EntranceDoseInmGy", "Dose à l'entrée", "mGy"),
    ("OrganDose", "Dose glandulaire moyenne", "dGy"),
    ("CTDIvol", "Indice de dose scanographique volumique", "mGy"),
    ("CompressionForce", "Force de compression", "N"),
    ("BodyPartThickness", "Épaisseur comprimée", "mm"),
    ("HeartRate", "Fréquence cardiaque", "/min"),
)
# DCM codes (PS3.16 Annex D) of the same quantities in the same unit.
DCM_OF = {"CTDIvol": ("113830", "Mean CTDIvol"), "KVP": ("113733", "KVP")}
