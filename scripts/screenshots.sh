#!/bin/sh
# Pictures of every page on the demo site, in both languages and themes, into docs/images/.
set -eu
bin=.venv/bin
port=8765
site=$(mktemp -d)/demo
trap 'kill "$server" 2>/dev/null || true; rm -rf "$(dirname "$site")"' EXIT
ESTRAN_PASSWORD=$(head -c 18 /dev/urandom | base64)
export ESTRAN_PASSWORD
"$bin/estran" demo "$site" --no-serve
words='"insuffisance rénale"'
document=$("$bin/estran" search "$site" "$words" --limit 1 --json |
    "$bin/python" -c 'import json, sys; print(json.load(sys.stdin)["hits"][0]["document_id"])')
"$bin/estran" serve "$site" --port "$port" &
server=$!
until "$bin/python" -c "import urllib.request; urllib.request.urlopen('http://127.0.0.1:$port/healthz')" 2>/dev/null; do sleep 0.5; done
"$bin/python" -m tests.browser.screenshots "http://127.0.0.1:$port" demo "$ESTRAN_PASSWORD" docs/images \
    --words "$words" --document "$document" --patient 1500 --name "Hémorragie digestive sous AINS" \
    --question 'OMOP:192671 (OMOP:1118084 OU OMOP:1124300) âge>=40 SAUF OMOP:4329847'
