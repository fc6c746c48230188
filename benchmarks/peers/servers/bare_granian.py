"""granian, one worker."""

import sys

from granian import Granian

Granian("servers.asgi:app", port=int(sys.argv[1]), interface="asgi", log_access=False).serve()
