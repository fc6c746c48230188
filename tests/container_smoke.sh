#!/usr/bin/env bash
# Asks a running container over its published ports, and its command line within it.
#
# HOST_PORT_8080 and HOST_PORT_8081 are where the ports are published on 127.0.0.1, CONTAINER is its name.
set -Eeuo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Without a .venv here the image itself asks, from the network of this machine.
if [[ -x .venv/bin/python ]]; then
    client=(.venv/bin/python)
else
    client=(docker run --rm --network host --volume "$PWD:/project:ro" --workdir /project
        --entrypoint python "$(docker inspect --format '{{.Image}}' "$CONTAINER")")
fi
"${client[@]}" tests/container_smoke.py "$HOST_PORT_8080" "$HOST_PORT_8081"

[[ -n ${CONTAINER:-} ]] || exit 0

# What was left out of the image is nothing that the service imports.
docker exec -i "$CONTAINER" python - <<'PYTHON'
import importlib, pkgutil, lossmeter
names = [m.name for m in pkgutil.walk_packages(lossmeter.__path__, "lossmeter.")]
for name in names:
    if not name.endswith("__main__"):
        importlib.import_module(name)
print(len(names), "modules imported")
PYTHON

# The command line says by its status how it went, and a mistake in one line.
expect() {
    local status=$1 code=0 told
    shift
    told=$(docker exec "$CONTAINER" "$@" 2>&1) || code=$?
    if [[ $code != "$status" || $told == *Traceback* ]]; then
        echo "$*: exit status $code, not $status: $told" >&2
        exit 1
    fi
    echo "$*: exit status $code"
}
expect 0 lossmeter losses huber
expect 1 lossmeter losses hubr
expect 1 lossmeter evaluate /absent.csv --loss huber
expect 2 lossmeter no-such-command
# A graph of one's own is checked and tried in processes of their own, which have yet fewer rights.
expect 0 lossmeter export huber --reduction none --output /tmp/own.onnx
expect 0 lossmeter losses own --losses /tmp
