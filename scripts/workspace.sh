#!/bin/sh
# Workspaces run JupyterLab with Python and R inside bubblewrap. As root they are installed from Debian's packages.
set -eu
if ! command -v bwrap >/dev/null 2>&1 || ! command -v R >/dev/null 2>&1; then
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
        echo "Workspaces need bubblewrap and R: install them first (on Debian: apt-get install bubblewrap r-base-core r-cran-irkernel r-cran-survival)." >&2
        exit 0
    fi
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends bubblewrap r-base-core r-cran-irkernel r-cran-survival r-cran-data.table r-cran-rsqlite >/dev/null
fi
