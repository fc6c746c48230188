"""The service beside its peers: the same loss, the same arrays, the same cheap client."""
