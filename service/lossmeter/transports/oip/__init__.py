"""The Open Inference Protocol over REST and gRPC: every loss is a model."""
