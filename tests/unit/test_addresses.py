"""Arguments and variables under which a server listens on loopback."""

import pytest

from harness.processes.loopback import is_loopback, on_loopback


@pytest.mark.parametrize(
    ("address", "fine"),
    [
        ("127.0.0.1", True),
        ("127.0.0.2", True),
        ("::1", True),
        ("localhost", True),
        ("/run/server.sock", True),
        ("127.0.0.1,::1", True),
        ("127.0.0.1,0.0.0.0", False),
        ("0.0.0.0", False),
        ("::", False),
        ("0", False),
        ("192.168.1.5", False),
        ("example.org", False),
        ("localhost.example.org", False),
        ("", False),
    ],
)
def test_addresses(address: str, fine: bool) -> None:
    assert is_loopback(address) is fine
    argv, env, replaced = on_loopback(["--host", address], {"LLAMA_ARG_HOST": address})
    assert argv == ("--host", address if fine else "127.0.0.1")
    assert env == {"LLAMA_ARG_HOST": address if fine else "127.0.0.1"}
    assert len(replaced) == (0 if fine else 2)


def test_what_is_fine_stays_as_it_is() -> None:
    argv = ("-m", "x", "--port", "1")
    assert on_loopback(argv, {"A": "b"}) == (argv, {"A": "b"}, ())
    assert on_loopback(["--host"], {})[0] == ("--host",)


@pytest.mark.parametrize("variable", [False, True])
def test_a_preset_gets_an_address_that_it_cannot_change(variable: bool) -> None:
    words = [] if variable else ["--models-preset", "x.ini"]
    env = {"LLAMA_ARG_MODELS_PRESET": "x.ini"} if variable else {}
    assert on_loopback(words, env)[0][-2:] == ("--host", "127.0.0.1")
