"""python -m lossmeter."""

from lossmeter.cli import main

main()
