#!/bin/sh
# Generates src/gen from proto/ and from google.rpc; `make setup` and `npm ci` first.
set -eu
cd "$(dirname "$0")"
python=../../.venv/bin/python
google=$($python -c 'import pathlib, google.rpc; print(pathlib.Path(google.rpc.__path__[0]).parents[1])')
rm -rf src/gen
mkdir src/gen
$python -m grpc_tools.protoc \
    --proto_path=../../proto --proto_path="$google" \
    --plugin=node_modules/.bin/protoc-gen-es \
    --es_out=src/gen --es_opt=target=ts,import_extension=js \
    lossmeter/v1/loss_service.proto lossmeter/v1/state.proto lossmeter/v1/tensor.proto \
    google/rpc/status.proto google/rpc/error_details.proto
