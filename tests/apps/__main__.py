"""Puts the applications of the gallery under test; ``nox -s apps``.

    python -m tests.apps [--latest] [--build GLOB] [--write] [--body FILE] [APPLICATION ...]

Each is installed into an interpreter of its own, recorded on the builds of the `full` profile in
both environments, and judged. Prints every cell that is not as it is kept. Ends with 1 where one
that passed does not pass any more, with 3 where an application cannot be had or driven.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from harness.errors import EXIT_CANNOT_TELL, EXIT_FAIL, EXIT_OK
from tests.apps import kept, page
from tests.apps.gallery import gallery
from tests.apps.trying import CannotTryError, install, try_out


def main(words: Sequence[str] | None = None) -> int:
    """Try the applications."""
    parser = argparse.ArgumentParser(prog="nox -s apps --", description=__doc__)
    parser.add_argument("--latest", action="store_true", help="the newest version of each package")
    parser.add_argument("--build", action="append", default=[], help="in place of the full profile")
    parser.add_argument("--write", action="store_true", help="keep the results and show them")
    parser.add_argument("--body", type=Path, help="where to write what broke, as Markdown")
    parser.add_argument("applications", nargs="*", metavar="APPLICATION", help="default: all")
    options = parser.parse_args(words)
    builds = [word for name in options.build for word in ("--build", name)]
    former = kept.load()
    found = dict(former)
    broken: list[str] = []
    untold: list[str] = []
    for app in gallery():
        if options.applications and app.name not in options.applications:
            continue
        try:
            with tempfile.TemporaryDirectory(
                prefix=f"llama-harness-{app.name}-", ignore_cleanup_errors=True
            ) as folder:
                installed = install(app, Path(folder), latest=options.latest)
                tried = try_out(installed, builds or ("--profile", "full"))
        except CannotTryError as error:
            untold.append(f"{app.name}: {str(error).splitlines()[0]}")
            sys.stderr.write(f"{error}\n")
            continue
        now = kept.kept_of(tried.version, tried.results)
        found[app.name] = now
        broken += kept.broken(app.name, former.get(app.name), now)
        for environment, cells in now.cells.items():
            before = former[app.name].cells.get(environment, {}) if app.name in former else {}
            for build, told in cells.items():
                mark = " " if before.get(build) == told else "*"
                sys.stdout.write(f"{mark} {app.name} {now.version} {environment} {build} {told}\n")
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


if __name__ == "__main__":
    sys.exit(main())
