"""The clinical and derived tables whose rows become one fact each."""

from __future__ import annotations

from estran.model.codes import Comparator, DocumentKind, FactStatus, Origin
from estran.sources.omop.layout import Attribute, FactTable

# drug_type_concept_id → where the drug stands, in the type vocabularies of 5.3 and of 5.4.
DRUG_STATUS = {
    38000175: FactStatus.DISPENSED, 38000176: FactStatus.DISPENSED, 581452: FactStatus.DISPENSED,
    32825: FactStatus.DISPENSED, 32869: FactStatus.DISPENSED, 38000177: FactStatus.ORDERED,
    32833: FactStatus.ORDERED, 32838: FactStatus.ORDERED, 32839: FactStatus.ORDERED,
    38000179: FactStatus.GIVEN, 38000180: FactStatus.GIVEN, 581373: FactStatus.GIVEN, 43542356: FactStatus.GIVEN,
    43542357: FactStatus.GIVEN, 43542358: FactStatus.GIVEN, 32818: FactStatus.GIVEN,
}  # fmt: skip
# condition_status_concept_id → place of the diagnosis.
PRINCIPAL, ASSOCIATED, CAUSE_OF_DEATH = "principal", "associated", "cause of death"
CONDITION_ROLE = (
    dict.fromkeys((32901, 32902, 32903, 32904), PRINCIPAL)
    | dict.fromkeys((32907, 32908, 32909, 32910), ASSOCIATED)
    | dict.fromkeys((32891, 32894, 32897, 32911), CAUSE_OF_DEATH)
)
PMSI_ROLES = frozenset({"DP", "DR", "DAS", "DAD"})  # places of a diagnosis in a French hospital stay
CONDITION_STATUS = {32899: FactStatus.PRELIMINARY}
COMPARATORS = {
    4172703: Comparator.EQ, 4171756: Comparator.LT, 4171754: Comparator.LE, 4172704: Comparator.GT,
    4171755: Comparator.GE,
}  # fmt: skip

_QUANTITY = Attribute("quantity", "quantité", "quantity")
_PROCEDURE_MODIFIER = Attribute("modifier", "modificateur", "modifier_concept_id", "concept")
_COUNT = "nombre d'épisodes"


def _ints(statuses: dict[int, FactStatus]) -> dict[int, int]:
    return {concept: int(status) for concept, status in statuses.items()}


FACT_TABLES = {
    table.name: table
    for table in (
        FactTable(
            "observation_period", "observation_period_id", DocumentKind.COVERAGE, "Période d'observation", "other",
            start="observation_period_start_date", end="observation_period_end_date", visit=False,
        ),
        FactTable(
            "condition_occurrence", "condition_occurrence_id", DocumentKind.DIAGNOSIS, "Diagnostic", "diagnosis",
            concept="condition_concept_id", source_concept="condition_source_concept_id",
            source_value="condition_source_value", start="condition_start_date",
            start_time="condition_start_datetime", end="condition_end_date", end_time="condition_end_datetime",
            status=("condition_status_concept_id", _ints(CONDITION_STATUS), int(FactStatus.FINAL)),
            role=("condition_status_concept_id", CONDITION_ROLE), role_words=("condition_status_source_value", PMSI_ROLES),
        ),
        FactTable(
            "drug_exposure", "drug_exposure_id", DocumentKind.PRESCRIPTION, "Médicament", "drug",
            concept="drug_concept_id", source_concept="drug_source_concept_id", source_value="drug_source_value",
            start="drug_exposure_start_date", start_time="drug_exposure_start_datetime",
            end="drug_exposure_end_date", end_time="drug_exposure_end_datetime",
            status=("drug_type_concept_id", _ints(DRUG_STATUS), int(FactStatus.FINAL)),
            attributes=(
                _QUANTITY, Attribute("days_supply", "durée en jours", "days_supply"),
                Attribute("refills", "renouvellements", "refills"),
                Attribute("route", "voie", "route_concept_id", "concept"), Attribute("sig", "posologie", "sig", "text"),
            ),
        ),
        FactTable(
            "procedure_occurrence", "procedure_occurrence_id", DocumentKind.PROCEDURE, "Acte", "procedure",
            concept="procedure_concept_id", source_concept="procedure_source_concept_id",
            source_value="procedure_source_value", start="procedure_date", start_time="procedure_datetime",
            end="procedure_end_date", end_time="procedure_end_datetime", attributes=(_QUANTITY, _PROCEDURE_MODIFIER),
        ),
        FactTable(
            "measurement", "measurement_id", DocumentKind.MEASUREMENT, "Mesure", "laboratory",
            concept="measurement_concept_id", source_concept="measurement_source_concept_id",
            source_value="measurement_source_value", start="measurement_date", start_time="measurement_datetime",
            number="value_as_number", value_concept="value_as_concept_id", texts=("value_source_value",),
            operator="operator_concept_id", unit_concept="unit_concept_id", unit_source="unit_source_value",
            low="range_low", high="range_high",
        ),
        FactTable(
            "observation", "observation_id", DocumentKind.OBSERVATION, "Observation", "observation",
            concept="observation_concept_id", source_concept="observation_source_concept_id",
            source_value="observation_source_value", start="observation_date", start_time="observation_datetime",
            number="value_as_number", value_concept="value_as_concept_id",
            texts=("value_as_string", "value_source_value"), unit_concept="unit_concept_id",
            unit_source="unit_source_value",
            attributes=(Attribute("qualifier", "qualificatif", "qualifier_concept_id", "concept"),),
        ),
        FactTable(
            "device_exposure", "device_exposure_id", DocumentKind.DEVICE, "Dispositif médical", "device",
            concept="device_concept_id", source_concept="device_source_concept_id",
            source_value="device_source_value", start="device_exposure_start_date",
            start_time="device_exposure_start_datetime", end="device_exposure_end_date",
            end_time="device_exposure_end_datetime", attributes=(_QUANTITY,),
        ),
        FactTable(
            "specimen", "specimen_id", DocumentKind.LABORATORY, "Prélèvement", "other", concept="specimen_concept_id",
            source_value="specimen_source_value", start="specimen_date", start_time="specimen_datetime",
            number="quantity", unit_concept="unit_concept_id", unit_source="unit_source_value", visit=False,
            attributes=(Attribute("site", "site anatomique", "anatomic_site_concept_id", "concept"),),
        ),
        FactTable(
            "episode", "episode_id", DocumentKind.OBSERVATION, "Épisode", "observation", concept="episode_concept_id",
            source_concept="episode_source_concept_id", source_value="episode_source_value",
            start="episode_start_date", start_time="episode_start_datetime", end="episode_end_date",
            end_time="episode_end_datetime", value_concept="episode_object_concept_id", visit=False,
            attributes=(Attribute("episode_number", "rang de l'épisode", "episode_number"),),
        ),
        FactTable(
            "condition_era", "condition_era_id", DocumentKind.DIAGNOSIS, "Période de maladie (calculée)", "diagnosis",
            concept="condition_concept_id", start="condition_era_start_date", end="condition_era_end_date",
            visit=False, origin=Origin.DERIVED,
            attributes=(Attribute("occurrence_count", _COUNT, "condition_occurrence_count"),),
        ),
        FactTable(
            "drug_era", "drug_era_id", DocumentKind.PRESCRIPTION, "Période de traitement (calculée)", "drug",
            concept="drug_concept_id", start="drug_era_start_date", end="drug_era_end_date", visit=False,
            origin=Origin.DERIVED, attributes=(Attribute("occurrence_count", _COUNT, "drug_exposure_count"),),
        ),
        FactTable(
            "dose_era", "dose_era_id", DocumentKind.PRESCRIPTION, "Période de dose (calculée)", "drug",
            concept="drug_concept_id", start="dose_era_start_date", end="dose_era_end_date", number="dose_value",
            unit_concept="unit_concept_id", visit=False, origin=Origin.DERIVED,
        ),
    )
}  # fmt: skip
