"""``recording:FILE`` and ``recording:FILE#N``: what an application asked for, played again."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.errors import SubjectError
from harness.shim.recordings import Launch, Recording, load_recording
from harness.subjects.command_lines import CommandLine, StaticSubject


@contextmanager
def open(rest: str) -> Iterator[StaticSubject]:  # noqa: A001 - every subject module has it
    """Open the subject.

    Args:
        rest: ``FILE`` or ``FILE#N``, N counting the recorded starts from 1.

    Raises:
        SubjectError: The file is no recording, or holds several different starts and N is
            missing.
    """
    where, _, number = rest.partition("#")
    recording = load_recording(Path(where).expanduser())
    launch = _choose(recording, number, where)
    line = CommandLine(words=tuple(launch.argv), env=launch.env)
    yield StaticSubject(f"recording:{rest}", line)


def _choose(recording: Recording, number: str, where: str) -> Launch:
    launches = recording.launches
    if not launches:
        raise SubjectError(f"recording:{where}: the application started no server")
    if not number:
        if len({tuple(launch.argv) for launch in launches}) > 1:
            raise SubjectError(
                f"recording:{where}: which of {len(launches)} starts? Write recording:{where}#N"
            )
        return launches[0]
    if not number.isdigit() or not 1 <= int(number) <= len(launches):
        raise SubjectError(
            f"recording:{where}#{number}: there is no such start; it has {len(launches)}"
        )
    return launches[int(number) - 1]
