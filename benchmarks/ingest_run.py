RESULT="ingest.json"
