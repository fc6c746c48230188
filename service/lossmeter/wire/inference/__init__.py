"""The Open Inference Protocol: its requests and answers as JSON, as binary bodies, as messages."""
