#!/bin/sh
# Checks the format and the code.
set -eu
cd "$(dirname "$0")"
unformatted=$(gofmt -l .)
if [ -n "$unformatted" ]; then
	echo "gofmt -w" $unformatted
	exit 1
fi
go mod tidy -diff
go vet ./...
go tool -modfile=lint.mod staticcheck ./...
