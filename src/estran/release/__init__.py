"""What leaves: the one result gate."""
