"""FHIR R4: Bulk Data, Bundles and single resources, in JSON and XML."""

from estran.sources.fhir.reader import BATCH_RESOURCES, FhirReader

__all__ = ["BATCH_RESOURCES", "FhirReader"]
