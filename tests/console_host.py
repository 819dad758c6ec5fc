"""Runs a command in a console of its own, where another process presses Ctrl-C.

For Windows, where Ctrl-C goes to every process of a console: the one that a test starts must not
share the test's own.
"""

import ctypes
import os
import signal
import subprocess
import sys

_POLL_MS = 50


def main() -> int:
    """Run the command that the arguments are, and return its exit status."""
    if sys.platform != "win32":
        raise OSError("consoles with Ctrl-C events are Windows' own")
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    kernel = ctypes.WinDLL("kernel32", use_last_error=True)
    kernel.CreateEventW.restype = ctypes.c_void_p
    event = ctypes.c_void_p(kernel.CreateEventW(None, True, False, event_name(os.getpid())))
    with subprocess.Popen(sys.argv[1:]) as command:
        while command.poll() is None:
            if kernel.WaitForSingleObject(event, _POLL_MS) == 0:
                kernel.ResetEvent(event)
                kernel.GenerateConsoleCtrlEvent(signal.CTRL_C_EVENT, 0)
        return command.returncode


def event_name(pid: int) -> str:
    """The name of the event by which the process is told."""
    return f"llama-harness-interrupt-{pid}"


def press_ctrl_c(pid: int) -> None:
    """Tell a process that runs ``main``."""
    if sys.platform != "win32":
        raise OSError("consoles with Ctrl-C events are Windows' own")
    may_set = 2
    kernel = ctypes.WinDLL("kernel32", use_last_error=True)
    kernel.OpenEventW.restype = ctypes.c_void_p
    event = ctypes.c_void_p(kernel.OpenEventW(may_set, False, event_name(pid)))
    assert event, f"process {pid} runs no console: error {ctypes.get_last_error()}"
    kernel.SetEvent(event)
    kernel.CloseHandle(event)


if __name__ == "__main__":
    sys.exit(main())
