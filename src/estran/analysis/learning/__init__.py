"""Learning over several sites: what a site sums up of its rows, and how a model goes on from the mean of such sums.

Pure numpy, and nothing of the rest of Estran: these files travel in the signed bundle that Flower runs at the sites.
"""
