"""The closed lists of projects, in words: stages, steps, fields, pieces, formalities."""

from __future__ import annotations


def _(message: str) -> str:
    """Marks a message for extraction."""
    return message


LIFE: dict[str, dict[str, str]] = {
    "stage": {
        "idea": _("Idea"), "letter": _("Letter of intent"), "writing": _("Request being written"),
        "submitted": _("Request submitted"), "expertise": _("Experts asked"), "committee": _("Committee called"),
        "conditions": _("Conditions to lift"), "accepted": _("Accepted"), "open": _("Under way"),
        "suspended": _("Suspended"), "closing": _("Being closed"), "closed": _("Closed"), "refused": _("Not accepted"),
        "withdrawn": _("Withdrawn"),
    },
    "lane_of_projects": {
        "idea": _("Ideas"), "request": _("Requests"), "judgement": _("Judgement"), "preparation": _("Preparation"),
        "open": _("Open projects"), "closing": _("Closing"), "ended": _("Not pursued"),
    },
    "step": {
        "propose": _("Propose a project"), "describe": _("Change title, sites or team"), "attach": _("Attach a counted cohort"),
        "write": _("Write the request"), "sign": _("Sign the charter"), "say": _("Write in the thread"),
        "intend": _("Send the letter of intent"), "preselect": _("Pre-select"), "decline": _("Do not keep the letter"),
        "submit": _("Submit the request"), "return": _("Send back for completion"), "advise": _("Give an adviser's opinion"),
        "tighten": _("Ask for an authorisation"), "ask": _("Ask an expert"), "opine": _("Give an expert's opinion"),
        "recuse": _("Stand down"), "call": _("Call the committee"), "declare": _("Declare one's interests"),
        "vote": _("Vote"), "adjourn": _("Adjourn the session"), "accept": _("Conclude: accepted"),
        "condition": _("Conclude: accepted under conditions"), "refuse": _("Conclude: not accepted"),
        "lift": _("Lift a condition"), "confirm": _("Confirm that all conditions are lifted"), "file": _("File a piece"),
        "open": _("Open the project"), "amend": _("Ask for an amendment"), "grant": _("Grant the amendment"),
        "approve": _("Approve the amendment"), "deny": _("Deny the amendment"), "staff": _("Change the team"),
        "suspend": _("Suspend the project"), "resume": _("Let the project go on"), "close": _("Close the project"),
        "output": _("Register an output"), "archive": _("Record the archive"), "destroy": _("Record the destruction"),
        "end": _("End the project"), "withdraw": _("Withdraw the project"),
    },
    "done": {
        "propose": _("proposed"), "describe": _("title, sites or team changed"), "attach": _("counted cohort attached"),
        "write": _("request written"), "sign": _("charter signed"), "say": _("message in the thread"),
        "intend": _("letter of intent sent"), "preselect": _("pre-selected"), "decline": _("letter not kept"),
        "submit": _("request submitted"), "return": _("sent back for completion"), "advise": _("adviser's opinion given"),
        "tighten": _("authorisation asked for"), "ask": _("expert asked"), "opine": _("expert's opinion given"),
        "recuse": _("expert stood down"), "call": _("committee called"), "declare": _("interests declared"),
        "vote": _("vote cast"), "adjourn": _("session adjourned"), "accept": _("project accepted"),
        "condition": _("accepted under conditions"), "refuse": _("project not accepted"), "lift": _("condition lifted"),
        "confirm": _("conditions confirmed"), "file": _("piece filed"), "open": _("project opened"),
        "amend": _("amendment asked for"), "grant": _("amendment granted"), "approve": _("amendment approved"),
        "deny": _("amendment denied"), "staff": _("team changed"), "suspend": _("project suspended"),
        "resume": _("project goes on"), "close": _("closing begun"), "output": _("output registered"),
        "archive": _("archive recorded"), "destroy": _("destruction recorded"), "end": _("project ended"),
        "withdraw": _("project withdrawn"),
    },
    "field": {
        "title": _("Title"), "kind": _("Type"), "sites": _("Sites, one per line"), "members": _("People"),
        "call": _("Call for projects"), "cohort": _("Saved cohort"), "objectives": _("Objectives"), "summary": _("What the public is told, in plain words"), "found": _("What was found, in plain words for the public"),
        "legal_basis": _("Legal basis"), "months": _("Months"), "variables": _("Variables"),
        "texts": _("De-identified texts are needed"), "persons": _("Persons involved"),
        "public_interest": _("Of public interest"), "informed": _("Patients are told"),
        "snds": _("Matched to the national claims base (SNDS)"), "national_pmsi": _("Uses the national PMSI base"),
        "partner": _("Shared with an outside partner"), "charter": _("I have read the users' charter and abide by it"),
        "text": _("Text"), "letter": _("Letter of intent"), "reason": _("Reasons"), "opinion": _("Opinion"),
        "expert": _("Expert"), "due": _("Due on"), "scores": _("Scores"), "day": _("Day"), "chair": _("Chair"),
        "quorum": _("Quorum"), "conflict": _("I have a conflict of interest with this project"), "vote": _("Ballot"),
        "conditions": _("Conditions, one per line"), "condition": _("Condition"), "proof": _("How it was lifted"),
        "piece": _("Piece"), "reference": _("Reference of the document"), "what": _("What"), "how": _("How"),
        "archive.how": _("Where"), "archive.day": _("Kept until"), "declare.reason": _("What the conflict is"),
        "propose.members": _("Team, besides oneself"), "describe.members": _("Team, besides the lead"),
        "staff.members": _("Team, besides the lead"), "call.members": _("Members called"), "call.day": _("Day of the session"),
        "output.kind": _("Output"), "output.reference": _("Reference (DOI, number, address)"),
        "opine.text": _("Opinion, in words"), "recuse.text": _("Why"), "file.day": _("Date of the document"),
    },
    "kind": {
        "research": _("Research"), "steering": _("Steering"), "practice": _("Evaluation of practice"),
        "teaching": _("Teaching"), "algorithm": _("Test of an algorithm"),
    },
    "formality": {
        "internal": _("Internal use of the warehouse"), "MR-001": "MR-001", "MR-003": "MR-003", "MR-004": "MR-004",
        "MR-005": "MR-005", "MR-006": "MR-006", "authorisation": _("Authorisation by the CNIL, through the CESREES"),
    },
    "why_formality": {
        "snds": _("A match to the national claims base is outside the reference framework of warehouses."),
        "not-public": _("What is not of public interest fits no reference methodology."),
        "not-informed": _("Patients who are not told fit no reference methodology."),
        "tightened": _("The data protection officer or a methodologist asked for it."),
        "internal": _("One site looks at its own activity."),
        "consent": _("Research that involves persons, with their consent."),
        "no-opposition": _("Research that involves persons who do not oppose."),
        "pmsi-public": _("The national PMSI base, used by a hospital."),
        "pmsi-industry": _("The national PMSI base, used with a partner."),
        "reuse": _("Data that are already there are used again; nobody is involved anew."),
        "teaching": _("Teaching is outside the reference methodologies."),
        "shared": _("Steering that is shared beyond one site is neither internal nor research."),
    },
    "piece": {
        "registry": _("Sheet of the register of processing"), "conformity": _("Declaration of conformity"),
        "directory": _("Number in the public directory of projects"), "information": _("Information of patients"),
        "impact": _("Impact assessment"), "cesrees": _("Opinion of the CESREES"), "cnil": _("Authorisation by the CNIL"),
        "snds-security": _("Security rules of the SNDS"), "hosting": _("Certificate of the host of health data"),
        "agreement": _("Agreement between the sites"), "contract": _("Contract with the partner"),
        "ethics": _("Opinion of the committee for the protection of persons"),
    },
    "legal_basis": {
        "": _("Not chosen yet"), "public-task": _("Task of public interest"),
        "legitimate-interest": _("Legitimate interest"), "consent": _("Consent"),
        "legal-obligation": _("Legal obligation"),
    },
    "persons": {
        "none": _("Nobody: data that are already there"), "consent": _("With their consent"),
        "no-opposition": _("Without their opposition"),
    },
    "opinion": {
        "favourable": _("Favourable"), "reserved": _("Reserved"), "unfavourable": _("Unfavourable"),
        "recused": _("Stood down"), "": _("Awaited"),
    },
    "vote": {
        "accept": _("Accept"), "conditions": _("Accept under conditions"), "refuse": _("Do not accept"),
        "abstain": _("Abstain"), "": _("Not shown"),
    },
    "output": {
        "publication": _("Publication"), "patent": _("Patent"), "software": _("Software"), "other": _("Other"),
        "none": _("None, and why"),
    },
    "answer": {"granted": _("granted"), "denied": _("denied"), "": _("waits")},
    "due": {
        "letter": _("Letter of intent due"), "opinion": _("Expert's opinion due"), "session": _("Session of the committee"),
        "expiry": _("End of the project"),
    },
}  # fmt: skip
