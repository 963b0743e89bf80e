"""The cohort being built: an editable tree, its edits, and its translation to and from a question."""
