"""CORS: the pages of which origins may ask over REST."""

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

# Keys and tokens are headers that a page sets; cookies play no part.
SENT = (
    "authorization",
    "content-encoding",
    "inference-header-content-length",
    "timeout",
    "traceparent",
    "tracestate",
)
SHOWN = ("inference-header-content-length", "retry-after", "www-authenticate")


def with_origins(app: ASGIApp, origins: str) -> ASGIApp:
    """The application, open to pages of these origins; as it is where there are none."""
    if not origins:
        return app
    return CORSMiddleware(
        app,
        allow_origins=origins.split(),
        allow_methods=("GET", "POST"),
        allow_headers=SENT,
        expose_headers=SHOWN,
    )
