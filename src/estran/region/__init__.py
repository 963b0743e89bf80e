"""A synthetic region: hospitals that emit raw feeds, and the truth that no loader sees.

`plan.Plan` says how large and from which seed, `run.make` writes it. Everything is invented; nothing
comes from a patient.
"""
