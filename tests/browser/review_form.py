"""The form that reviews of the browser tests are filled in with."""

FORM = """
name = "Insuffisance cardiaque"
documents = ["discharge"]

[[item]]
id = "failure"
label = "Insuffisance cardiaque confirmée"
label_en = "Confirmed heart failure"
type = "yes_no"
required = true
fill = { concept = "CIM10:I50" }

[[item]]
id = "nyha"
label = "Classe NYHA"
label_en = "NYHA class"
type = "choice"
choices = ["I", "II", "III", "IV"]
visible_if = { item = "failure", is = ["yes"] }

[[item]]
id = "creatinine"
label = "Créatinine la plus haute"
label_en = "Highest creatinine"
type = "number"
unit = "umol/L"
min = 10
max = 2000
fill = { concept = "LOINC:2160-0", take = "max", days = [-30, 30] }

[[label]]
id = "diagnosis"
label = "Diagnostic"
label_en = "Diagnosis"
key = "d"

[[label]]
id = "sign"
label = "Signe"
label_en = "Sign"
key = "s"

[[attribute]]
id = "negated"
label = "Nié"
label_en = "Negated"
key = "n"
"""
