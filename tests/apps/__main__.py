"""Puts the applications of the gallery under test; ``nox -s apps``.

    python -m tests.apps [--latest] [--build GLOB] [--write] [--body FILE] [APPLICATION ...]
    python -m tests.apps --set-up [APPLICATION ...]

Each is installed into an interpreter of its own, recorded on the builds of the `full` profile in
both environments, and judged. Pinned versions stay installed: after --set-up, or a first run, none
of it needs a network. Prints every cell, with a star where it is not as it is kept. What cannot be
had without npm or a network is skipped by name; with --latest that counts as well.

Ends with 1 where one that passed does not pass any more, with 3 where an application cannot be had
or driven.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from harness.errors import EXIT_CANNOT_TELL, EXIT_FAIL, EXIT_OK
from tests.apps import kept, page
from tests.apps.gallery import App, gallery
from tests.apps.trying import KEPT, CannotTryError, NotHereError, install, try_out


def main(words: Sequence[str] | None = None) -> int:
    """Try the applications."""
    parser = argparse.ArgumentParser(prog="nox -s apps --", description=__doc__)
    parser.add_argument("--set-up", action="store_true", help="install, and do nothing more")
    parser.add_argument("--latest", action="store_true", help="the newest version of each package")
    parser.add_argument("--build", action="append", default=[], help="in place of the full profile")
    parser.add_argument("--write", action="store_true", help="keep the results and show them")
    parser.add_argument("--body", type=Path, help="where to write what broke, as Markdown")
    parser.add_argument("applications", nargs="*", metavar="APPLICATION", help="default: all")
    options = parser.parse_args(words)
    builds = [word for name in options.build for word in ("--build", name)]
    chosen = [a for a in gallery() if not options.applications or a.name in options.applications]
    if options.set_up:
        return _set_up(chosen)
    former = kept.load()
    found = dict(former)
    broken: list[str] = []
    untold: list[str] = []
    for app in chosen:
        began = time.monotonic()
        try:
            with _folder(app, latest=options.latest) as folder:
                installed = install(app, folder, latest=options.latest)
                tried = try_out(installed, builds or ("--profile", "full"))
        except CannotTryError as error:
            untold += _untold(app, error, latest=options.latest)
            continue
        now = kept.kept_of(tried.version, tried.results)
        found[app.name] = now
        broken += kept.broken(app.name, former.get(app.name), now)
        _show(app, former.get(app.name), now)
        sys.stdout.write(f"  {app.name}: {time.monotonic() - began:.0f} s\n")
        sys.stdout.flush()
    if options.write:
        kept.save(found)
        page.write()
    if options.body and (broken or untold):
        lines = [f"- {line}" for line in (*broken, *untold)]
        options.body.write_text("\n".join(lines) + "\n", encoding="utf-8")
    if broken:
        return EXIT_FAIL
    return EXIT_CANNOT_TELL if untold else EXIT_OK


def _set_up(apps: Sequence[App]) -> int:
    untold: list[str] = []
    for app in apps:
        try:
            installed = install(app, KEPT / app.name)
        except CannotTryError as error:
            untold += _untold(app, error, latest=False)
        else:
            sys.stdout.write(f"{app.name} {installed.version} is installed\n")
    return EXIT_CANNOT_TELL if untold else EXIT_OK


def _untold(app: App, error: CannotTryError, *, latest: bool) -> list[str]:
    """Say why an application was not tried; returns what counts of that."""
    if isinstance(error, NotHereError):
        sys.stdout.write(f"{app.name} is skipped: {error}\n")
        return [f"{app.name}: {error}"] if latest else []
    sys.stderr.write(f"{error}\n")
    return [f"{app.name}: {str(error).splitlines()[0]}"]


def _show(app: App, former: kept.Kept | None, now: kept.Kept) -> None:
    for environment, cells in now.cells.items():
        before = former.cells.get(environment, {}) if former else {}
        for build, told in cells.items():
            mark = " " if before.get(build) == told else "*"
            sys.stdout.write(f"{mark} {app.name} {now.version} {environment} {build} {told}\n")


@contextmanager
def _folder(app: App, *, latest: bool) -> Iterator[Path]:
    """Where an application is installed; what is newest today is not kept."""
    if not latest:
        yield KEPT / app.name
        return
    with tempfile.TemporaryDirectory(
        prefix=f"llama-harness-{app.name}-", ignore_cleanup_errors=True
    ) as folder:
        yield Path(folder, "app")


if __name__ == "__main__":
    sys.exit(main())
