"""The data that a study brings: delimited files, eCRF exports with their dictionary, CDISC ODM. One reader per form.

A reader gives *sheets*: rows of one table as text, each with its line, the subject it is of and its key. Nothing here
knows a patient.
"""
