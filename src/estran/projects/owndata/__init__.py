"""Data that a project brings: declared by its responsible, accepted, linked in the vault, kept beside the warehouse.

`recipe` says how a file is read, `desk` what people do, `store` where the rows lie, `ending` how they go, `joining` how a
datamart gets them. Whose a row is, is found where the key is (`keeping.owndata`).
"""

from estran.projects.owndata.desk import OwnData
from estran.projects.owndata.ending import end

__all__ = ["OwnData", "end"]
