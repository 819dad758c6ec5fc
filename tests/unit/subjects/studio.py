"""A checkout in the shape of Studio's, for tests of the driver; the server is a stand-in."""

import sys
import textwrap
from pathlib import Path

OLDER = """
import os, shutil, subprocess, time
from loggers import get_logger
logger = get_logger(__name__)

class LlamaCppBackend:
    def __init__(self):
        self._process = None
        self._spec_draft_n_max = None
        self._speculative_type = None
        self._requested_spec_mode = None
        self._kill_orphaned_servers()

    @staticmethod
    def _kill_orphaned_servers():
        raise AssertionError("would have killed the servers of other cells")

    @staticmethod
    def _find_free_port():
        return 1

    @property
    def is_loaded(self):
        return self._process is not None and self._process.poll() is None

    def load_model(self, *, gguf_path=None, model_identifier, n_ctx=4096, speculative_type=None,
                   spec_draft_n_max=None, cache_type_kv=None, chat_template_override=None,
                   extra_args=None):
        if self._already_in_target_state(model_identifier=model_identifier,
                                         spec_draft_n_max=spec_draft_n_max):
            return True
        self.unload_model()
        binary = os.environ["LLAMA_SERVER_PATH"]
        help_text = subprocess.run([binary, "--help"], capture_output=True, text=True).stdout
        gpus = shutil.which("nvidia-smi") is not None
        self._model = model_identifier
        self._spec_draft_n_max = spec_draft_n_max
        self._requested_spec_mode = speculative_type
        self._speculative_type = "draft-mtp"
        argv = ["-m", gguf_path, "--port", str(self._find_free_port()), "--threads", "-1",
                "--n", str(spec_draft_n_max or (2 if gpus else 3))]
        if "draft-mtp" not in help_text:
            logger.warning("no %s here; speculation stays off", "MTP")
            self._speculative_type = None
        env = dict(os.environ, CUDA_VISIBLE_DEVICES="0")
        for attempt in (argv + list(extra_args or ()), argv):
            self._process = subprocess.Popen([binary, *attempt], env=env,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            time.sleep(0.05)
            if self._process.poll() is None:
                return True
        raise RuntimeError("no start succeeded")

    def _already_in_target_state(self, *, model_identifier, spec_draft_n_max, is_vision=False):
        return (self.is_loaded and self._model == model_identifier
                and spec_draft_n_max in (None, self._spec_draft_n_max))

    def unload_model(self):
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None
        return True
"""

NEWER = (
    """
from __future__ import annotations
from dataclasses import dataclass
"""
    + OLDER.replace("class LlamaCppBackend", "class _Old")
    + """

@dataclass(frozen=True)
class GgufLoadIntent:
    model_identifier: str
    gguf_path: str | None = None
    n_ctx: int = 4096
    speculative_type: str | None = None
    spec_draft_n_max: int | None = None
    extra_args: tuple | None = None

class LlamaCppBackend(_Old):
    def load_model(self, intent: GgufLoadIntent, load_cancel_event=None) -> bool:
        self._intent = intent
        return super().load_model(**vars(intent))

    _old_guard = _Old._already_in_target_state

    def _runtime_matches_intent(self, intent: GgufLoadIntent, effective_extra_args):
        return intent == self._intent

    def __getattribute__(self, name):
        if name == "_already_in_target_state" and "_intent" not in vars(self):
            raise AttributeError(name)
        return super().__getattribute__(name)
"""
)

SERVER = """\
#!{python}
import http.server, os, sys, time
argv = sys.argv[1:]
if "--help" in argv:
    print("--spec-type none,draft-mtp")
    sys.exit()
if "--refused" in argv:
    sys.exit("error: invalid argument: --refused")
if "--hangs" in argv:
    time.sleep(600)
open({seen!r}, "a").write(repr((argv, os.environ.get("LLAMA_ARG_THREADS"))) + chr(10))
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()
http.server.HTTPServer(
    ("127.0.0.1", int(argv[argv.index("--port") + 1])), Handler
).serve_forever()
"""


def write_checkout(root: Path, source: str = OLDER) -> Path:
    """A checkout; returns its root."""
    module = root / "studio" / "backend" / "core" / "inference" / "llama_cpp.py"
    module.parent.mkdir(parents=True)
    module.write_text(textwrap.dedent(source))
    return root


def write_server(directory: Path) -> Path:
    """A program that starts like a server; what it was given is in ``seen`` beside it."""
    program = directory / "llama-server"
    program.write_text(SERVER.format(python=f"{sys.executable} -S", seen=str(directory / "seen")))
    program.chmod(0o755)
    return program
