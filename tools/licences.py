"""docs/licences.md: what the image is made of, by pip-licenses, from the environment it runs in."""

import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "licences.md"
TOOL = "pip-licenses==5.5.5"
# Under these a user owes no more than the notices, which the image has beside each package.
FREE = ("Apache", "BSD", "CC0", "ISC", "MIT", "MPL-2.0", "PSF", "Python Software", "Zlib")
# Told by the file LICENSE of the package, and not by its metadata.
UNTOLD = {"pysimdjson": "MIT"}
HEAD = """# Licences

Of the packages that the image for the CPU installs, as they tell it themselves. Lossmeter is under
Apache-2.0. `make licences` writes this page, and fails on a licence that is not on its list. The
image for the GPU adds NVIDIA's libraries, which are under NVIDIA's own terms.

| package | version | licence |
|---------|---------|---------|
"""


def names() -> list[str]:
    """The packages that the service is locked to."""
    return re.findall(r"^([a-z0-9._-]+)==", (ROOT / "requirements.lock").read_text(), re.MULTILINE)


def main() -> int:
    """Write the page; 1 where a package has a licence that was not expected."""
    uv = Path(sys.executable).with_name("uv")
    run = [str(uv), "tool", "run", "--quiet", "--from", TOOL, "pip-licenses"]
    flags = ["--python", sys.executable, "--format", "json", "--packages", *names()]
    told = subprocess.run([*run, *flags], capture_output=True, text=True, check=True).stdout
    packages = [
        (found["Name"], found["Version"], UNTOLD.get(found["Name"], found["License"]))
        for found in json.loads(told)
    ]
    PAGE.write_text(HEAD + "".join(f"| {' | '.join(row)} |\n" for row in packages))
    strange = [name for name, _, licence in packages if not any(w in licence for w in FREE)]
    if strange:
        print("look at the licences of", *strange, file=sys.stderr)
    return 1 if strange else 0


if __name__ == "__main__":
    sys.exit(main())
