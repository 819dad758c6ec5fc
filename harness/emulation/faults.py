"""What an emulated build can do wrong: faults that no real build shows on demand."""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True, kw_only=True)
class Fault:
    """Deviations from a well-behaved server.

    Attributes:
        health_after_s: Seconds until ``/health`` answers 200; None for never.
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

    health_after_s: float | None = 0.0
    dies_after_health: bool = False
    answer: bytes | None = None
    content_type: str = "application/json; charset=utf-8"
    endless_log: bool = False
    ignores_port: bool = False
    survives_sigterm: bool = False
    exits_at_once: bool = False
    help_on_stderr: bool = False
    help_delay_s: float = 0.0


NO_FAULT: Final = Fault()

FAULTS: Final = MappingProxyType(
    {
        "never-healthy": Fault(health_after_s=None),
        "slow-health": Fault(health_after_s=20.0),
        "dies-after-health": Fault(dies_after_health=True),
        "garbage-json": Fault(answer=b'{"content": "aaa", "timings": {"predicted_n"'),
        "wrong-content-type": Fault(
            answer=b"<html><body>It works!</body></html>", content_type="text/html"
        ),
        "endless-log": Fault(endless_log=True),
        "ignores-port": Fault(ignores_port=True),
        "survives-sigterm": Fault(survives_sigterm=True),
        "exits-zero": Fault(exits_at_once=True),
        "help-on-stderr": Fault(help_on_stderr=True),
        "slow-help": Fault(help_delay_s=10.0),
    }
)
