"""The life of a project, from an idea to its closing.

`machine` is the table of steps; `project` adds the steps up; `desk` lets people take them; `opening` tells those who
build something for a project whether it is open.
"""

from estran.projects.life.desk import ProjectsDesk
from estran.projects.life.opening import OpenProject, open_project

__all__ = ["OpenProject", "ProjectsDesk", "open_project"]
