"""How time and memory grow with rows, and requests with workers and callers."""
