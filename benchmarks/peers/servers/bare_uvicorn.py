"""uvicorn with its fast loop and parser."""

import sys

import uvicorn

from servers.asgi import app

uvicorn.run(app, port=int(sys.argv[1]), log_level="warning", loop="uvloop", http="httptools")
