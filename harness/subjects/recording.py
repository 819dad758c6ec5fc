"""``recording:FILE`` and ``recording:FILE#N``: what an application asked for, played again."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.errors import SubjectError
from harness.model import LaunchPlan, LaunchTarget, LoadRequest
from harness.shim.recordings import Launch, Recording, load_recording
from harness.subjects.command_lines import fit_to_cell
from harness.subjects.plans import checked_plan


@contextmanager
def open(rest: str) -> Iterator["RecordingSubject"]:  # noqa: A001 - every subject module has it
    """Open the subject.

    Args:
        rest: ``FILE`` or ``FILE#N``, N counting the recorded starts from 1.

    Raises:
        SubjectError: The file is no recording, or holds several different starts and N is
            missing.
    """
    where, _, number = rest.partition("#")
    recording = load_recording(Path(where).expanduser())
    yield RecordingSubject(f"recording:{rest}", _choose(recording, number, where))


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


class RecordingSubject:
    """A recorded start, the same for every load request but for model and port."""

    def __init__(self, name: str, launch: Launch) -> None:
        self.name = name
        self._launch = launch

    @property
    def words(self) -> tuple[str, ...]:
        """The arguments as they were recorded."""
        return tuple(self._launch.argv)

    def plan(
        self,
        request: LoadRequest,  # noqa: ARG002 - a recording asks for what it asked for
        target: LaunchTarget,
    ) -> LaunchPlan:
        """The recorded arguments and variables, fitted to the cell's model and port.

        Raises:
            SubjectError: They need a file that the cell does not have.
        """
        argv = fit_to_cell(self._launch.argv, target.model, target.port, self.name)
        return checked_plan(self.name, argv, env=self._launch.env)
