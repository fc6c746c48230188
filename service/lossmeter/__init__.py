"""One loss, one number: losses with any reduction, the same bits over every wire."""

import os

from lossmeter.api import evaluate as evaluate
from lossmeter.api import explain as explain
from lossmeter.api import export as export
from lossmeter.api import merge as merge

__version__ = "0.1.0"
# Read by ONNX Runtime when it is imported, which ndonnx does too; nothing above imports either.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
