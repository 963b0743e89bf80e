"""What we hold: counts, completeness, distribution, freshness; its quality; official figures; steering.

Everything here is exact and is measured once per snapshot, in a job; nobody sees any of it but through
`projects`, which decides, records and shows counts through the result gate.
"""
