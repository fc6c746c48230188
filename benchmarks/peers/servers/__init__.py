"""The peers' servers: `NAME.py` serves the loss, `NAME.txt` says what it needs.

Each runs as `python -m servers.NAME HTTP_PORT GRPC_PORT` in an environment of its own, written as
its documentation writes one: one worker, no log of requests, no limit of size that can be lifted.
"""
