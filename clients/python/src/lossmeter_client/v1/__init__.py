"""Generated from proto/lossmeter/v1 by tools/generate.py; not edited by hand."""
