"""Statistics over several sites without a row leaving any of them.

Every method is played in rounds. `start(spec)` checks a question and gives the parameters of the first round; each
site answers `local(params, table, here)` with a few arrays; whoever leads sums them up over the sites and calls
`step(params, sums)`, which gives the parameters of the next round, or the result. `methods` lists them; `masking`
makes what a site sends unreadable but for the sum of all sites; `safeguards` says what a site refuses to send;
`rehearsal` plays all rounds in one process. Formulas and sources: docs/reference/federated-statistics.md.
"""
