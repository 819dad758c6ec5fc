"""What every test process needs, side by side or alone."""

import signal


def pytest_configure() -> None:
    """Let the programs under test be interrupted.

    A shell starts background jobs with SIGINT ignored, and children inherit that: a test run in
    the background would find that no Ctrl-C ever arrives.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
