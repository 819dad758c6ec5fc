"""Everything one does with this repository: ``nox -l`` lists it."""

from pathlib import Path

import nox

nox.needs_version = ">=2024.10"
nox.options.sessions = ["lint", "types", "tests"]
nox.options.default_venv_backend = "virtualenv"

PYTHON_PATHS = ("harness", "tests", "benchmarks", "examples", "noxfile.py")
GROUPS = nox.project.load_toml("pyproject.toml")["dependency-groups"]


@nox.session
def matrix(session: nox.Session) -> None:
    """Run the matrix on real builds; arguments after ``--`` go to ``llama-harness matrix``."""
    session.install("-e", ".")
    session.run("llama-harness", "matrix", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """Run all tests, the live ones on real builds included; arguments go to pytest."""
    session.install("-e", ".[image]", *GROUPS["test"])
    session.run("pytest", "-n", "auto", *session.posargs)


@nox.session
def slow(session: nox.Session) -> None:
    """Run the tests that take too long for every change: conformance over thousands of launches."""
    session.install("-e", ".[image]", *GROUPS["test"])
    session.run("pytest", "-m", "slow", *session.posargs)


@nox.session
def mutants(session: nox.Session) -> None:
    """Plant mistakes and see which check finds each; prints the rate and every survivor."""
    session.install("-e", ".", *GROUPS["test"])
    session.run("python", "-m", "tests.mutants")


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and formatting."""
    session.install(*GROUPS["lint"])
    session.run("ruff", "check", *PYTHON_PATHS)
    session.run("ruff", "format", "--check", *PYTHON_PATHS)


@nox.session
def types(session: nox.Session) -> None:
    """Check types, strictly."""
    session.install("-e", ".[image]", *GROUPS["types"], "nox")
    session.run("mypy")


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation; a warning is an error."""
    session.install(*GROUPS["docs"])
    session.run("sphinx-build", "-W", "-E", "-b", "html", "docs", "docs/_build")


@nox.session
def bench(session: nox.Session) -> None:
    """Run every benchmark, or those named after ``--``."""
    session.install("-e", ".[image]")
    names = session.posargs or sorted(path.stem for path in Path("benchmarks").glob("*.py"))
    for name in names:
        # -P: benchmarks/bisect.py must not stand in for the standard library's module.
        session.run("python", "-P", f"benchmarks/{name}.py")
