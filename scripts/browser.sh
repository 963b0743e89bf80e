#!/bin/sh
# The browser tests drive a real Chromium. As root it is installed from Debian's packages.
set -eu
for name in chromium chromium-browser google-chrome chromium-headless-shell; do
    command -v "$name" >/dev/null 2>&1 && exit 0
done
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    echo "The browser tests need Chromium: install it first (on Debian: apt-get install chromium-headless-shell)." >&2
    exit 1
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends chromium-headless-shell >/dev/null
