"""Statistics on project data: pure computations that know neither policy nor network.

`analysis.federated` spreads one computation over several sites: rows stay where they are, masked sums travel.
"""
