"""Emulated builds: the harness's own server, run on what a description says of it."""

import hashlib
import shlex
import sys
from pathlib import Path

from harness.builds.catalogue import Build, EmulatedServer, Origin, pinned_directory
from harness.builds.locations import user_catalogue_directory
from harness.builds.sources.base import Delivery, Workspace
from harness.errors import SourceUnavailableError

_PACKAGE = Path(__file__).resolve().parent.parent.parent
_PROGRAM = "program.py"

_SCRIPT = """\
#!/bin/sh
exec {python} -S -E "${{0%/*}}/{program}" "${{0%/*}}/{server}" "$@"
"""
_PROGRAM_TEXT = """\
import sys

sys.path.insert(0, {root!r})
from harness.emulation.program import main

sys.exit(main())
"""


class EmulatedSource:
    """Writes a program that runs the emulation with this interpreter."""

    def deliver(self, build: Build, origin: Origin, workspace: Workspace) -> Delivery:
        """Write the program; errors as in ``Source``."""
        from harness.emulation.description import compiled, read_description
        from harness.emulation.program import DESCRIPTION

        assert isinstance(origin, EmulatedServer)
        description = read_description(_found(origin))
        (workspace.output / DESCRIPTION).write_bytes(compiled(description))
        if workspace.platform.system == "windows":
            binary = _write_launcher(workspace.output)
        else:
            (workspace.output / _PROGRAM).write_text(
                _PROGRAM_TEXT.format(root=str(_PACKAGE.parent)), encoding="utf-8", newline="\n"
            )
            binary = workspace.output / workspace.platform.server_name
            script = _SCRIPT.format(
                python=shlex.quote(sys.executable), program=_PROGRAM, server=DESCRIPTION
            )
            binary.write_text(script, encoding="utf-8", newline="\n")
            binary.chmod(0o755)
        return Delivery(
            binary=binary,
            asset=origin.description,
            sha256=fingerprint(origin),
            details={"emulates": description.era, "fault": description.fault, "for": build.id},
        )


def fingerprint(origin: EmulatedServer) -> str:
    """Digest of all that an emulated build is made of; it is made anew when this changes.

    Raises:
        SourceUnavailableError: The description is not there.
    """
    digest = hashlib.sha256()
    for file in (_found(origin), *sorted((_PACKAGE / "emulation").glob("*.*"))):
        digest.update(file.read_bytes())
    digest.update(f"{sys.executable}\n{_PACKAGE}\n".encode())
    return digest.hexdigest()


def _found(origin: EmulatedServer) -> Path:
    for directory in (pinned_directory(), user_catalogue_directory()):
        file = directory / origin.description
        if file.is_file():
            return file
    raise SourceUnavailableError(
        f"no description {origin.description} beside the catalogue files; correct the field "
        "description"
    )


def _write_launcher(directory: Path) -> Path:
    from distlib.scripts import ScriptMaker

    maker = ScriptMaker(None, str(directory), add_launchers=True)
    maker.executable = sys.executable
    maker.variants = {""}
    (program,) = maker.make("llama-server = harness.emulation.program:launched")
    return Path(program)
