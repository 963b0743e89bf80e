#!/bin/sh
# Pictures of every page on an invented hospital, into docs/images/.
set -eu
.venv/bin/python -m tests.browser.screenshots docs/images
