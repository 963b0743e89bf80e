"""The site's side of a network: it asks its hub for jobs, does those its own rules allow, and hands answers in."""
