"""What is true without any patient: vocabularies, hierarchy, units, mapping."""
