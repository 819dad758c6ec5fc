"""Takes the atlas further from builds that the package index newly offers; ``nox -s atlas``.

    python -m tests.atlas [--write] [--most N] [--body FILE]

Asks the newest build for its ``--help``, and others only where something changed in between or a
window can be made narrower. Prints what is new in ten lines.
"""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.builds import Build
from harness.builds.catalogue import ReleaseAsset
from harness.builds.offers import Offer, package_offers
from harness.cells.qualification import open_store
from harness.errors import EXIT_CANNOT_TELL
from harness.flags.atlas import load_atlas, pinned_file
from harness.flags.capabilities import Capabilities, probe
from harness.terminal import open_progress
from tests.atlas.extension import file_text
from tests.atlas.survey import Ask, Survey, summary

_MOST = 12
"""Builds asked in one run: each is a download, or a compile of minutes."""


def asker(offers: Mapping[int, Offer]) -> Ask:
    """Asks builds, from a release where there is one, else from the packages that offer them."""
    store = open_store()
    plain = {name: value for name, value in os.environ.items() if not name.startswith("LLAMA_")}

    def ask(number: int) -> Capabilities:
        release = ReleaseAsset(tag=f"b{number}")
        build = Build(id=f"b{number}", number=number, sources=(release, *offers[number].origins))
        with open_progress() as progress:
            acquired = store.acquire(build, progress=progress)
        return probe(acquired.binary, {**plain, **acquired.env})

    return ask


def main(words: Sequence[str] | None = None) -> int:
    """Run the survey."""
    parser = argparse.ArgumentParser(prog="nox -s atlas --", description=__doc__)
    parser.add_argument("--write", action="store_true", help="write the atlas")
    parser.add_argument("--most", type=int, default=_MOST, help="builds to ask (%(default)s)")
    parser.add_argument("--body", type=Path, help="where to write the ten lines as well")
    options = parser.parse_args(words)
    offers = package_offers()
    before = load_atlas().data
    survey = Survey(
        file=before,
        offered={number: offer.date for number, offer in offers.builds.items()},
        ask=asker(offers.builds),
        most=options.most,
    )
    after = survey.run()
    lines = summary(before, after, [*offers.problems, *survey.problems])
    sys.stdout.write("\n".join(lines) + "\n")
    if options.body:
        options.body.write_text("\n".join(lines) + "\n", encoding="utf-8")
    if options.write and after != before:
        pinned_file().write_text(file_text(after), encoding="utf-8")
    return EXIT_CANNOT_TELL if not offers.builds else 0


if __name__ == "__main__":
    sys.exit(main())
