"""What must stay: the identity vault, its key, merges, and the de-identification of texts."""
