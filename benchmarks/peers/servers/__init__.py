"""The peers' servers: `NAME.py` serves the loss, `NAME.txt` says what it needs.

Each runs as `python -m servers.NAME HTTP_PORT GRPC_PORT`, in an environment of its own, as its own
documentation writes one: one worker, logs of requests off, no limit of size where there is a setting.
"""
