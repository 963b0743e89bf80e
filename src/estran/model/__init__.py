"""Types shared by every room: errors, codes, moments and the tables of the warehouse."""
