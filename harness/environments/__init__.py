"""The host as the application sees it: ``cpu``, ``cuda-spoof`` with its variants, and ``cuda``."""

from harness.environments.detection import DETECTION_TIMEOUT_S, detect_host
from harness.environments.environment import open_environment
from harness.environments.names import parse_environment

__all__ = ["DETECTION_TIMEOUT_S", "detect_host", "open_environment", "parse_environment"]
