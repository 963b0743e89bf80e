#!/bin/sh
# Runs a command whose temporary files lie in memory where there is room, and on the disk where there is not. Sites force
# each of their thousands of small files to the disk: a test would wait for that longer than for anything else.
set -eu
NEEDED=4000000   # KiB: twice what all tests together leave behind
SPARED=6000000   # KiB of memory that is free before: what the files leave must do for the tests and the browser
room=$(df -Pk /dev/shm 2>/dev/null | awk 'NR == 2 { print $4 }')
free=$(awk '/^MemAvailable:/ { print $2 }' /proc/meminfo 2>/dev/null || true)
granted=$(awk 'NR == 1 && $1 != "max" { printf "%d", $1 / 1024 }' /sys/fs/cgroup/memory.max 2>/dev/null || true)
if [ -n "$granted" ] && [ "$granted" -lt "${free:-0}" ]; then free=$granted; fi  # a container may have less than its machine
if [ "${room:-0}" -gt $NEEDED ] && [ "${free:-0}" -gt $SPARED ] && TMPDIR=$(mktemp -d /dev/shm/estran-tests.XXXXXX); then
    export TMPDIR
    trap 'rm -rf "$TMPDIR"' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
fi
"$@"
