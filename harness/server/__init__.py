"""Starting, watching and ending ``llama-server``: a launch plan in, a running server out."""

from harness.processes.reaper import OWNER_VARIABLE, Reaper
from harness.server.launch import LaunchFailedError, RunningServer, launch

__all__ = ["OWNER_VARIABLE", "LaunchFailedError", "Reaper", "RunningServer", "launch"]
