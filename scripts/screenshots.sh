#!/bin/sh
# Pictures of every page on an invented hospital, into docs/images/, and docs/screenshots.md.
set -eu
.venv/bin/python -m tests.browser.screenshots docs
