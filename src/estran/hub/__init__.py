"""One question to many sites: a queue of signed jobs that sites pull, and what their answers make together."""
