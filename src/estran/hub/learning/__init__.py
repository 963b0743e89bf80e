"""Federated learning on Flower, which runs in a Python of its own: what is run there (`apps`), and who starts it."""
