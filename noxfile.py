"""Everything one does with this repository: ``nox -l`` lists it."""

import hashlib
import shutil
import sys
from pathlib import Path

import nox

nox.needs_version = ">=2024.10"
nox.options.sessions = ["lint", "types", "tests"]
nox.options.default_venv_backend = "virtualenv"

PYTHON_PATHS = ("harness", "tests", "benchmarks", "examples", "noxfile.py", "hatch_build.py")
ACTION = "action.yml"
EXAMPLE_WORKFLOW = "examples/upgrade.yml"
SHELL_SCRIPTS = (".ci/run", "examples/subject.sh")
LIVE_ON_WINDOWS = Path("tests", "windows", "live.txt").read_text("utf-8").split()
GROUPS = nox.project.load_toml("pyproject.toml")["dependency-groups"]


def install_once(session: nox.Session, *words: str) -> None:
    """Install, unless this very environment has had the same installed before.

    For sessions that reuse their environment: pip takes seconds to find that there is nothing to
    do. ``--reuse-venv never`` makes a new environment, and so installs.
    """
    wanted = "\n".join([str(Path.cwd()), *words, Path("pyproject.toml").read_text("utf-8")])
    digest = hashlib.sha256(wanted.encode()).hexdigest()
    stamp = Path(session.virtualenv.location, "installed.sha256")
    if stamp.is_file() and stamp.read_text("ascii") == digest:
        return
    stamp.unlink(missing_ok=True)
    session.install(*words)
    stamp.write_text(digest, "ascii")


@nox.session(reuse_venv=True)
def matrix(session: nox.Session) -> None:
    """Run the matrix on real builds; arguments after ``--`` go to ``llama-harness matrix``."""
    install_once(session, "-e", ".")
    session.run("llama-harness", "matrix", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """Run all tests, the live ones on real builds included; arguments go to pytest.

    On Windows those live ones that were seen to pass there, under Wine.
    """
    session.install("-e", ".[image]", *GROUPS["test"])
    seen = ["tests/unit", *LIVE_ON_WINDOWS] if sys.platform == "win32" else []
    session.run("pytest", "-n", "auto", *(session.posargs or seen))


@nox.session
def slow(session: nox.Session) -> None:
    """Run the tests that take too long for every change: conformance over thousands of launches."""
    session.install("-e", ".[image]", *GROUPS["test"])
    session.run("pytest", "-m", "slow", "-n", "2", "--dist", "loadfile", *session.posargs)


@nox.session(python="3.11")
def windows(session: nox.Session) -> None:
    """Run unit tests and live ones on Windows, as Wine has it; needs wine64, mingw-w64, lld."""
    session.install("-e", ".", *GROUPS["test"], "build")
    missing = session.run("python", "-m", "tests.windows", "--missing", silent=True)
    if missing:
        session.skip(f"needs {str(missing).strip()}")
    session.run("python", "-m", "tests.windows", *session.posargs)


@nox.session
def mutants(session: nox.Session) -> None:
    """Plant mistakes and see which check finds each; prints the rate and every survivor."""
    session.install("-e", ".", *GROUPS["test"])
    session.run("python", "-m", "tests.mutants")


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and formatting, the workflows, and the shell in them."""
    session.install(*GROUPS["lint"])
    session.run("ruff", "check", *PYTHON_PATHS)
    session.run("ruff", "format", "--check", *PYTHON_PATHS)
    session.run("lint-imports", env={"PYTHONPATH": "."})
    workflows = sorted(map(str, Path(".github", "workflows").glob("*.yml")))
    workflows.append(EXAMPLE_WORKFLOW)
    session.run("zizmor", "--offline", "--no-progress", *workflows, ACTION)
    for schema, files in (
        ("github-workflows", workflows),
        ("github-actions", [ACTION]),
        ("renovate", ["examples/renovate.json"]),
    ):
        session.run("check-jsonschema", "--builtin-schema", f"vendor.{schema}", *files)
    session.run("python", "-m", "tests.workflow_scripts", *workflows, ACTION)
    session.run("shellcheck", *SHELL_SCRIPTS)


@nox.session
def types(session: nox.Session) -> None:
    """Check types, strictly, as each of the three systems sees them."""
    session.install("-e", ".[image]", *GROUPS["types"], "nox")
    for platform in ("linux", "darwin", "win32"):
        session.run("mypy", "--platform", platform)


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation; a warning is an error."""
    session.install(*GROUPS["docs"])
    session.run("sphinx-build", "-W", "-E", "-b", "html", "docs", "docs/_build")


@nox.session
def settings(session: nox.Session) -> None:
    """Make those parts of docs/settings.md that come from the code and from real builds."""
    session.install("-e", ".", *GROUPS["test"])
    session.run("python", "-m", "tests.settings_page")


@nox.session
def wheels(session: nox.Session) -> None:
    """Build the plain wheel, and on Linux those that bring the spoof's libraries compiled."""
    session.install("build")
    session.run("python", "-m", "build", "--outdir", "dist")
    targets = ["linux"] if sys.platform.startswith("linux") else []
    targets += ["windows"] if shutil.which("x86_64-w64-mingw32-gcc") else []
    for target in targets:
        compiled = {"LLAMA_HARNESS_PREBUILT": target}
        session.run("python", "-m", "build", "--wheel", "--outdir", "dist", env=compiled)


@nox.session
def packages(session: nox.Session) -> None:
    """Say which releases on the package index carry a build that the harness cannot number yet."""
    session.install("-e", ".")
    session.run("python", "-m", "tests.package_releases")


@nox.session
def atlas(session: nox.Session) -> None:
    """Take the atlas further from newly offered builds; ``-- --write`` keeps what is new."""
    session.install("-e", ".")
    session.run("python", "-m", "tests.atlas", *session.posargs)


@nox.session(reuse_venv=True)
def history(session: nox.Session) -> None:
    """Run the smoke matrix on builds of the whole history, and write ``docs/history.md``.

    ``-- --resume`` goes on where a run was stopped, ``-- --most N`` makes N more builds at most;
    other words go to ``llama-harness matrix``.
    """
    install_once(session, "-e", ".")
    session.run("python", "-m", "tests.history", *session.posargs)


@nox.session(reuse_venv=True)
def apps(session: nox.Session) -> None:
    """Put real applications under test, all or those named; ``--latest``: newest versions."""
    install_once(session, "-e", ".")
    session.run("python", "-m", "tests.apps", *session.posargs)


@nox.session(reuse_venv=True)
def bench(session: nox.Session) -> None:
    """Run every benchmark, or those named after ``--``."""
    install_once(session, "-e", ".[image]", "selenium>=4.27")
    every = sorted(path.stem for path in Path("benchmarks").glob("[!_]*.py"))
    names = session.posargs or every
    for name in names:
        # 3: it needs what this host has not, such as an NVIDIA card.
        session.run("python", f"benchmarks/{name}.py", success_codes=[0, 3])
