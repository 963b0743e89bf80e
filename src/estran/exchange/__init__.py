"""What leaves in a foreign format: Parquet, CSV, DuckDB, OMOP and FHIR files of a datamart's tables."""
