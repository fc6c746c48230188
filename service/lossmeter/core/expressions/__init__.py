"""A loss of one's own, as an expression over its inputs."""
