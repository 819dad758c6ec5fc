"""What an emulated build can do wrong: faults that no real build shows on demand.

``faults.toml`` holds them by name.
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Fault:
    """Deviations from a well-behaved server.

    Attributes:
        health_after_s: Seconds until ``/health`` answers 200; infinite for never.
        dies_after_health: Exit as soon as anything but ``/health`` is asked.
        answer: Body of every answer but ``/health``'s, in place of the right one.
        content_type: Of every answer.
        endless_log: Write to the log without end.
        ignores_port: Listen on a port of its own choice.
        survives_sigterm: Ignore the polite request to end, and leave a child that does so too.
        exits_at_once: Exit with status 0 before anything else.
        help_on_stderr: Print the help text to the other output.
        help_delay_s: Seconds before the help text.
    """

    health_after_s: float = 0.0
    dies_after_health: bool = False
    answer: str | None = None
    content_type: str = "application/json; charset=utf-8"
    endless_log: bool = False
    ignores_port: bool = False
    survives_sigterm: bool = False
    exits_at_once: bool = False
    help_on_stderr: bool = False
    help_delay_s: float = 0.0
