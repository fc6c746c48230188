"""Generated from proto/inference by tools/generate.py; not edited by hand."""
