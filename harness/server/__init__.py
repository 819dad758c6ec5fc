"""Starting, watching and ending ``llama-server``: a launch plan in, a running server out."""

from harness.server.launch import LaunchFailedError, RunningServer, launch
from harness.server.reaper import OWNER_VARIABLE, Reaper

__all__ = ["OWNER_VARIABLE", "LaunchFailedError", "Reaper", "RunningServer", "launch"]
