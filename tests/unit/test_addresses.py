"""Arguments and variables under which a server listens on loopback."""

import pytest

from harness.processes.loopback import on_loopback


@pytest.mark.parametrize(
    ("address", "used"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("127.0.0.2", "127.0.0.1"),
        ("::1", "127.0.0.1"),
        ("localhost", "127.0.0.1"),
        ("/run/server.sock", "127.0.0.1"),
        ("0.0.0.0", "127.0.0.1"),
        ("::", "127.0.0.1"),
        ("0", "127.0.0.1"),
        ("", "127.0.0.1"),
        ("http://127.0.0.1", "http://127.0.0.1"),
        ("127.0.0.1:8080", "127.0.0.1:8080"),
        ("[::1]", "[::1]"),
        ("example.org", "127.0.0.1"),
        ("127.0.0.1,::1", "127.0.0.1,::1"),
        ("127.0.0.1,0.0.0.0", "127.0.0.1,::1"),
    ],
)
def test_addresses(address: str, used: str) -> None:
    argv, env, replaced = on_loopback(["--host", address], {"LLAMA_ARG_HOST": address})
    assert argv == ("--host", used)
    assert env == {"LLAMA_ARG_HOST": used}
    assert len(replaced) == (0 if address == used else 2)


def test_what_is_fine_stays_as_it_is() -> None:
    argv = ("-m", "x", "--port", "1")
    assert on_loopback(argv, {"A": "b"}) == (argv, {"A": "b"}, ())
    assert on_loopback(["--host"], {})[0] == ("--host",)
    another = ("--alias", "--host", "-c", "512")
    assert on_loopback(another, {})[0] == another


@pytest.mark.parametrize("words", [["--models-preset", "x.ini"], ["--models_preset", "x.ini"], []])
def test_a_preset_gets_an_address_that_it_cannot_change(words: list[str]) -> None:
    env = {} if words else {"LLAMA_ARG_MODELS_PRESET": "x.ini"}
    assert on_loopback(words, env)[0][:2] == ("--host", "127.0.0.1")
