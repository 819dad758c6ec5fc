"""Nothing that only one system has is used outside a branch for it."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import harness

ROOT = Path(harness.__file__).resolve().parents[1]
FILES = sorted((ROOT / "harness").rglob("*.py"))

POSIX_MODULES = frozenset({"fcntl", "grp", "posix", "pty", "pwd", "resource", "termios", "tty"})
WINDOWS_MODULES = frozenset({"_winapi", "msvcrt", "winreg"})
POSIX_NAMES = frozenset(
    {
        *("os.fork", "os.forkpty", "os.getpgid", "os.getuid", "os.geteuid", "os.getgid"),
        *("os.killpg", "os.mkfifo", "os.setpgid", "os.setsid", "os.uname", "os.WNOHANG"),
        *("os.chown", "os.getpgrp", "os.waitid", "os.pidfd_open", "os.nice"),
        *("signal.SIGKILL", "signal.SIGHUP", "signal.SIGCHLD", "signal.SIGUSR1"),
        *("signal.SIGALRM", "signal.alarm", "signal.pthread_sigmask", "socket.AF_UNIX"),
        *("select.poll", "asyncio.get_child_watcher"),
    }
)
WINDOWS_NAMES = frozenset(
    {"ctypes.windll", "ctypes.WinDLL", "signal.CTRL_BREAK_EVENT", "os.startfile"}
)
GUARDS = ("os.name", "sys.platform", "hasattr", "platform.system", "getattr", "IS_WINDOWS")
"""A condition that asks one of these decides on the system."""


def single_system_uses(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Line and name of every use that no condition above it guards."""
    yield from _uses(tree.body, guarded=False)


def _uses(nodes: list[ast.stmt] | list[ast.AST], *, guarded: bool) -> Iterator[tuple[int, str]]:
    for node in nodes:
        here = guarded
        if isinstance(node, (ast.If, ast.IfExp)):
            here = guarded or _asks(node.test)
        elif isinstance(node, ast.Try):
            here = guarded or any(_handles_absence(handler) for handler in node.handlers)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            # A function that asks for the system, or is named for one, is that system's branch.
            here = (
                guarded
                or _asks(node)
                or any(word in node.name.lower() for word in ("posix", "windows", "unix"))
            )
        if not here:
            yield from _named(node)
        yield from _uses(list(ast.iter_child_nodes(node)), guarded=here)


def _asks(node: ast.AST) -> bool:
    return any(
        ast.unparse(one) in GUARDS
        for one in ast.walk(node)
        if isinstance(one, (ast.Attribute, ast.Name))
    )


def _handles_absence(handler: ast.ExceptHandler) -> bool:
    return handler.type is not None and any(
        name in ast.unparse(handler.type)
        for name in ("ImportError", "ModuleNotFoundError", "AttributeError")
    )


def _named(node: ast.AST) -> Iterator[tuple[int, str]]:
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
        names = [node.module or ""] + [f"{node.module}.{alias.name}" for alias in node.names]
    elif isinstance(node, ast.Attribute):
        names = [ast.unparse(node)]
    else:
        return
    for name in names:
        if name in POSIX_MODULES | WINDOWS_MODULES | POSIX_NAMES | WINDOWS_NAMES:
            yield node.lineno, name


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_unguarded_call_of_one_system(path: Path) -> None:
    found = list(single_system_uses(ast.parse(path.read_text(encoding="utf-8"))))
    assert found == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_text_files_name_their_encoding_and_line_ends(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            named = {keyword.arg for keyword in node.keywords}
            if node.func.attr in {"read_text", "write_text"}:
                told = "encoding" in named or len(node.args) > (node.func.attr == "write_text")
                assert told, f"line {node.lineno}"
            if node.func.attr == "write_text":
                # Else Windows writes CRLF for every line end, and CRCRLF for one that was CRLF.
                assert "newline" in named, f"line {node.lineno}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_shell_strings(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            assert name not in {"os.system", "os.popen"}, f"line {node.lineno}"
            process = name.startswith("subprocess.") or name.endswith("Popen")
            shell = [one for one in node.keywords if process and one.arg == "shell"]
            assert not shell or ast.unparse(shell[0].value) == "False", f"line {node.lineno}"


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import os\nos.killpg(1, 9)", [(2, "os.killpg")]),
        ("import fcntl", [(1, "fcntl")]),
        ("from signal import SIGKILL", [(1, "signal.SIGKILL")]),
        ("def f():\n    os.getuid()", [(2, "os.getuid")]),
        ("if os.name == 'posix':\n    os.killpg(1, 9)", []),
        ("try:\n    import fcntl\nexcept ImportError:\n    fcntl = None", []),
        ("x = signal.SIGKILL if hasattr(signal, 'SIGKILL') else 9", []),
        ("def _kill_posix():\n    os.killpg(1, 9)", []),
    ],
)
def test_the_check_itself(source: str, found: list[tuple[int, str]]) -> None:
    assert list(single_system_uses(ast.parse(source))) == found


def test_this_system_is_one_that_is_supported() -> None:
    assert sys.platform in {"linux", "darwin", "win32"}
