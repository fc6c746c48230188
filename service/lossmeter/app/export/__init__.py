"""Losses as ONNX graphs that run elsewhere."""

import warnings

with warnings.catch_warnings():
    # Without ONNX Runtime, ndonnx warns that ONNX's own reference folds its constants, to the same.
    warnings.filterwarnings("ignore", "onnxruntime is not installed")
    import ndonnx  # noqa: F401
