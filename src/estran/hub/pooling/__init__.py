"""Pooling for one project: datamarts of several sites, re-keyed twice, checked, put together, destroyed with certificates."""
