package lossmeter

//go:generate ../../.venv/bin/buf generate
