"""Installs the harness from the bundle that this file lies in, without any network.

    python3 install.py DIRECTORY

makes a virtual environment there, installs the wheels of the bundle into it, and puts the bundle's
builds and sources into the harness's store. It needs Python with its standard library, not pip.
"""

import subprocess
import sys
import venv
from pathlib import Path

_HERE = Path(__file__).resolve().parent


def main(arguments: list[str]) -> int:
    """Install, and return the exit code."""
    if len(arguments) != 1 or arguments[0].startswith("-"):
        print(__doc__, file=sys.stderr)
        return 2
    home = Path(arguments[0]).resolve()
    venv.create(home, with_pip=False, symlinks=sys.platform != "win32")
    scripts = home / ("Scripts" if sys.platform == "win32" else "bin")
    python = scripts / ("python.exe" if sys.platform == "win32" else "python")
    (pip,) = (_HERE / "wheels").glob("pip-*.whl")
    # A wheel is a zip file that Python imports from; --isolated keeps the user's pip settings out.
    install = ["--isolated", "install", "--quiet", "--no-index", "--find-links", "wheels"]
    code = subprocess.call([python, pip / "pip", *install, "llama-harness"], cwd=_HERE)
    # -P: a checkout in the working directory is not what was installed.
    return code or subprocess.call(
        [python, "-P", "-m", "harness", "builds", "import", "."], cwd=_HERE
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
