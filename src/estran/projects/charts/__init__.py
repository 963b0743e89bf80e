"""Chart review: lists of patients to judge, forms to fill, spans to mark in texts, agreement, and what comes of it."""
