"""Real applications, installed and driven as the gallery says: every cell is as it is kept."""

import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from tests.apps.gallery import App, gallery
from tests.apps.kept import kept_of, load
from tests.apps.trying import CannotTryError, install, try_out

pytestmark = [
    pytest.mark.live,
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="the results are those of Linux"),
]


@cache
def has_packages(kind: str) -> bool:
    """Whether a package index answers at all: for something that it has had for years."""
    npm = shutil.which("npm")
    if kind == "npm":
        words = (
            [npm, "view", "npm", "version"]
            if npm
            else [sys.executable, "-c", "raise SystemExit(1)"]
        )
    else:
        words = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "-q",
            "--no-deps",
            "-d",
            "{}",
            "packaging",
        ]
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        filled = [folder if word == "{}" else word for word in words]
        done = subprocess.run(filled, capture_output=True, check=False)
    return done.returncode == 0


@pytest.mark.parametrize("app", gallery(), ids=lambda app: app.name)
def test_an_application_does_what_is_kept_of_it(app: App, tmp_path: Path) -> None:
    for kind, wanted in (("pip", app.file.pip), ("npm", app.file.npm)):
        if wanted and not has_packages(kind):
            pytest.skip(f"no package index for {kind} is reached from here")
    try:
        installed = install(app, tmp_path / app.name)
    except CannotTryError as error:
        pytest.fail(str(error))
    tried = try_out(installed)
    assert kept_of(tried.version, tried.results) == load()[app.name], tried.said
