"""Stand-ins for a llama-server: small scripts that qualify, or fail in one way."""

import shlex
import sys
from pathlib import Path

_SCRIPT = """\
#!/bin/sh
# {version}
exec {python} -S -E {source} "$@"
"""

_SOURCE = """\
import json, os, signal, sys, time
from http.server import BaseHTTPRequestHandler, HTTPServer

argv = sys.argv[1:]
{fault}
if "--version" in argv:
    sys.exit(print({version!r}, file=sys.stderr))
if "--help" in argv:
    sys.exit(print("-m,    --model FNAME      model path\\n--port PORT               port"))


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({{"status": "ok", "content": "aaaa"}}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, *_):
        pass


port = int(argv[argv.index("--port") + 1])
HTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""

FAULTS = {
    "": "",
    "illegal-instruction": "os.kill(os.getpid(), signal.SIGILL)",
    "illegal-instruction-by-a-shell": "os._exit(128 + signal.SIGILL)",
    "missing-library": (
        "print('llama-server: error while loading shared libraries: libggml.so.9: cannot open "
        "shared object file: No such file or directory'); sys.exit(127)"
    ),
    "old-glibc": (
        "print(\"llama-server: /lib/libc.so.6: version `GLIBC_2.99' not found (required by "
        'llama-server)"); sys.exit(1)'
    ),
    "killed": 'if "--port" in argv: os.kill(os.getpid(), signal.SIGKILL)',
    "no-memory": (
        "if '--port' in argv: sys.exit(print('ggml_aligned_malloc: insufficient memory (attempted "
        "to allocate 19.73 MB)') or 1)"
    ),
    "never-generates": 'json.dumps = lambda _, real=json.dumps: real({"status": "ok"})',
    "no-server": 'sys.exit(print("hello"))',
}
"""What a stand-in does first, by the name of its fault."""


def write_server(path: Path, fault: str = "", *, version: str = "version: 5 (script)") -> Path:
    """Write a stand-in that is started as a program, and return it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if fault == "other-architecture":
        path.write_bytes(OTHER_ARCHITECTURE)
    elif fault == "no-loader":
        path.write_text("#!/no/such/interpreter\n")
    else:
        source = path.with_suffix(".py")
        source.write_text(_SOURCE.format(fault=FAULTS[fault], version=version), encoding="utf-8")
        python, quoted = shlex.quote(sys.executable), shlex.quote(str(source))
        path.write_text(
            _SCRIPT.format(python=python, source=quoted, version=version), encoding="utf-8"
        )
    path.chmod(0o755)
    return path


OTHER_ARCHITECTURE = (
    b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00" + b"\x16\x00" + b"\x01\x00\x00\x00" + bytes(400)
)
"""The head of an ELF program for s390, which nobody tests on."""


def local_text(build_id: str, *paths: Path, number: int = 20000) -> str:
    """A catalogue file whose sources are local programs."""
    sources = "".join(
        f'\n[[sources]]\nkind = "local"\npath = {str(path)!r}\n'.replace("'", '"') for path in paths
    )
    return f'id = "{build_id}"\nnumber = {number}\n{sources}'
