"""How a question is written: versioned JSON, text, and sentences that explain it."""
