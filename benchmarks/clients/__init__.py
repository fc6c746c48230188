"""The clients of every language beside their language's bare gRPC."""
