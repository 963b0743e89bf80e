"""Data that projects bring, where the key is: subjects found in the vault, rows kept, wishes of patients obeyed."""
