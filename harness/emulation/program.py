"""The emulated ``llama-server``: reads its command line, listens, and answers as a real one does.

Run with one more argument than a real server, first: the file that ``description.compiled`` made.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

from harness.emulation.command_line import ArgumentError, CommandLine, OptionRow, ServerSettings
from harness.emulation.eras import Era
from harness.emulation.faults import Fault
from harness.emulation.generation import (
    Generation,
    Implementation,
    ModelRefusedError,
    generate,
    has_mtp_head,
    implementations,
    in_use,
)
from harness.emulation.http_server import HttpServer, Response
from harness.emulation.output import (
    completion,
    generation_lines,
    generation_settings,
    metrics,
    slots,
    startup_lines,
)

DEFAULT_TOKENS = 128
_BURST = 20
_PAUSE_S = 0.002
DESCRIPTION = "server.json"
"""The file that ``harness.emulation.description.compiled`` made, beside the program."""

_HELP = frozenset({"-h", "--help", "--usage"})


def launched() -> int:
    """Run the server from the launcher that Windows needs, which lies beside the description."""
    beside = os.path.dirname(os.path.abspath(sys.argv[0]))  # noqa: PTH100, PTH120 - see main
    return main([os.path.join(beside, DESCRIPTION), *sys.argv[1:]])  # noqa: PTH118


def main(words: Sequence[str] | None = None) -> int:
    """Run the server; returns its exit status."""
    file, *argv = sys.argv[1:] if words is None else words
    with open(file, encoding="utf-8") as stream:  # noqa: PTH123 - saves the import of pathlib
        compiled = json.load(stream)
    fault = Fault(**compiled["fault"])
    if "--version" in argv:
        print(compiled["version"], file=sys.stderr)
        return 0
    if _HELP & set(argv):
        time.sleep(fault.help_delay_s)
        print(compiled["help"], file=sys.stderr if fault.help_on_stderr else sys.stdout)
        return 0
    if fault.exits_at_once:
        return 0
    line, era = command_line(compiled)
    try:
        settings = line.read(argv, os.environ)
        announced = implementations(settings, era, has_mtp=has_mtp_head(settings.model))
    except ArgumentError as error:
        print(error, file=sys.stderr)
        return 1
    except ModelRefusedError as error:
        print(f"llama_init_from_model: {error}", file=sys.stderr)
        print("main: exiting due to model loading error", file=sys.stderr)
        return 1
    return _Server(settings, era, announced, fault).run()


def command_line(compiled: Mapping[str, Any]) -> tuple[CommandLine, Era]:
    """What reads an emulated build's command line, and its era."""
    era = Era(**compiled["era"])
    return CommandLine(
        [OptionRow(**row) for row in compiled["rows"]], era, compiled["defaults"]
    ), era


class _Server:
    """The running server."""

    def __init__(
        self, settings: ServerSettings, era: Era, announced: Sequence[Implementation], fault: Fault
    ) -> None:
        self._settings = settings
        self._era = era
        self._announced = announced
        self._active = in_use(announced, settings, era)
        self._fault = fault
        self._started = time.monotonic()
        self._generation: Generation | None = None

    def run(self) -> int:
        if self._fault.survives_sigterm:
            _ignore_termination()
            subprocess.Popen([sys.executable, "-S", "-E", "-c", _STUBBORN_CHILD])
        port = 0 if self._fault.ignores_port else self._settings.port
        try:
            server = HttpServer(port, self._answer)
        except OSError:
            print("start: couldn't bind HTTP server socket", file=sys.stderr)
            return 1
        for line in startup_lines(self._settings, self._era, self._announced):
            _say(line)
        if self._fault.endless_log:
            threading.Thread(target=_chatter, daemon=True).start()
        server.serve_forever()
        return 0

    def _answer(self, method: str, path: str, body: bytes) -> Response:
        if path == "/health":
            return self._health()
        if self._fault.dies_after_health:
            os._exit(3)
        if self._fault.answer is not None:
            return Response(body=self._fault.answer.encode(), content_type=self._fault.content_type)
        return self._well_behaved(method, path, body)

    def _well_behaved(self, method: str, path: str, body: bytes) -> Response:
        match method, path:
            case "POST", "/completion":
                return _json(self._complete(body))
            case "GET", "/slots" if self._settings.slots:
                return _json(slots(self._settings, self._active))
            case "GET", "/metrics" if self._settings.metrics:
                text = metrics(self._era, self._generation)
                return Response(body=text.encode(), content_type="text/plain; version=0.0.4")
            case "GET", "/props":
                settings = generation_settings(self._settings, self._era)
                return _json({"default_generation_settings": settings, "total_slots": 1})
        return Response(status=404, body=b'{"error":{"code":404,"type":"not_found_error"}}')

    def _health(self) -> Response:
        if time.monotonic() - self._started >= self._fault.health_after_s:
            return Response(body=b'{"status":"ok"}')
        return Response(status=503, body=b'{"error":{"code":503,"message":"Loading model"}}')

    def _complete(self, body: bytes) -> Mapping[str, Any]:
        asked = json.loads(body or b"{}")
        tokens = int(asked.get("n_predict", DEFAULT_TOKENS))
        for one in self._active:
            one.lengths.clear()
        self._generation = generate(
            self._active, self._era, tokens=tokens, context=self._settings.context
        )
        for line in generation_lines(self._era, self._generation):
            _say(line)
        return completion(self._settings, self._era, self._generation, tokens)


_STUBBORN_CHILD = (
    "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\ntime.sleep(600)\n"
)


def _ignore_termination() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _chatter() -> None:
    number = 0
    while True:
        number += 1
        _say(f"0.00.000.000 I srv  update_slots: chatter {number} {'.' * 200}")
        if number % _BURST == 0:
            # As fast as it can be written it would drown the generation's own lines.
            time.sleep(_PAUSE_S)


def _json(value: object) -> Response:
    return Response(body=json.dumps(value).encode())
