"""JupyterLab inside a workspace: on a socket alone, behind the portal's door, with nothing that leaves."""

import os

c = get_config()  # type: ignore[name-defined]  # noqa: F821 (Jupyter gives it)
c.ServerApp.sock = "/work/run/lab.sock"
c.ServerApp.sock_mode = "0600"
c.ServerApp.base_url = os.environ["ESTRAN_BASE"]
c.ServerApp.root_dir = "/work/home"
c.ServerApp.open_browser = False
c.ServerApp.allow_remote_access = True  # the door has checked who asks, and from where
c.ServerApp.disable_check_xsrf = True  # the door refuses what does not come from its own pages
c.ServerApp.terminals_enabled = False
c.ServerApp.quit_button = False
c.IdentityProvider.token = ""
c.ContentsManager.allow_hidden = False
c.LabApp.news_url = None
c.LabApp.check_for_updates_class = "jupyterlab.NeverCheckForUpdate"
c.LabApp.extension_manager = "readonly"
c.KernelSpecManager.ensure_native_kernel = True
