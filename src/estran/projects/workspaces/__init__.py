"""One isolated process space per project: JupyterLab without network, its datamart read-only."""
