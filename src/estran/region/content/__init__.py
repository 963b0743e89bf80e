"""What hospitals, people and reports are made of, as data files; `library` reads them."""
