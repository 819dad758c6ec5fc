"""How the user's pip reaches package indexes, so that the package source does the same.

Read from pip's configuration files and ``PIP_*`` variables in pip's order of precedence: site over
user over global; ``PIP_CONFIG_FILE`` over all files and in place of the user's; variables over
files. That way it holds too where the running interpreter has no pip. None of it is ever written to
a catalogue or a manifest.
"""

import configparser
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.config.paths import home, is_file
from harness.errors import UsageError

DEFAULT_INDEX = "https://pypi.org/simple/"
DEFAULT_TIMEOUT_S = 15.0
_SECTIONS = ("global", "install", "download")
"""Weakest first; a command's section beats ``global`` whichever file it stands in."""


@dataclass(frozen=True, kw_only=True)
class PipSettings:
    """What pip was told about the network.

    Attributes:
        indexes: Index addresses, the main one first; may be ``file:`` addresses.
        find_links: Further places with files: directories, ``file:`` or web addresses.
        proxy: Proxy address; None leaves the usual variables in force.
        ca_bundle: File or directory of certificates to trust; None for the default.
        client_certificate: PEM file with the client's certificate and key.
        trusted_hosts: ``host`` or ``host:port`` whose certificates are not checked.
        timeout_s: Seconds without an answer before a try is given up.
        retries: Tries after the first.
    """

    indexes: tuple[str, ...] = (DEFAULT_INDEX,)
    find_links: tuple[str, ...] = ()
    proxy: str | None = None
    ca_bundle: str | None = None
    client_certificate: str | None = None
    trusted_hosts: tuple[str, ...] = ()
    timeout_s: float = DEFAULT_TIMEOUT_S
    retries: int = 5


def read_pip_settings(
    env: Mapping[str, str] | None = None, files: tuple[Path, ...] | None = None
) -> PipSettings:
    """Read the user's settings.

    Args:
        env: Variables; this process's own if None.
        files: Configuration files, weakest first; pip's own places if None.

    Raises:
        UsageError: A configuration file or a number in it cannot be read.
    """
    env = os.environ if env is None else env
    sections: dict[str, dict[str, str]] = {section: {} for section in _SECTIONS}
    for file in configuration_files(env) if files is None else files:
        for section, name, value in _options_of(file):
            sections[section][name] = value
    options = {name: value for each in sections.values() for name, value in each.items()}
    options.update(_options_of_variables(env))

    def words(name: str) -> tuple[str, ...]:
        return tuple(options.get(name, "").split())

    def number(names: tuple[str, ...], default: float) -> float:
        for name in names:
            if text := options.get(name):
                try:
                    return float(text)
                except ValueError as error:
                    raise UsageError(
                        f"pip's setting {name} is {text!r}, not a number: correct it in pip's "
                        "configuration or variables"
                    ) from error
        return default

    indexes = (options.get("index-url", DEFAULT_INDEX), *words("extra-index-url"))
    no_index = options.get("no-index", "").lower() in ("1", "true", "yes", "on")
    return PipSettings(
        indexes=() if no_index else tuple(dict.fromkeys(indexes)),
        find_links=words("find-links"),
        proxy=options.get("proxy") or None,
        ca_bundle=options.get("cert") or None,
        client_certificate=options.get("client-cert") or None,
        trusted_hosts=words("trusted-host"),
        timeout_s=number(("timeout", "default-timeout"), DEFAULT_TIMEOUT_S),
        retries=int(number(("retries",), 5)),
    )


def configuration_files(env: Mapping[str, str]) -> tuple[Path, ...]:
    """Return the files that pip reads, weakest first; not all of them need exist."""
    chosen = env.get("PIP_CONFIG_FILE")
    if chosen == os.devnull:
        return ()
    import platformdirs

    name = "pip.ini" if sys.platform == "win32" else "pip.conf"
    shared = platformdirs.site_config_dir("pip", appauthor=False, multipath=True)
    files = [Path(part) / name for part in reversed(shared.split(os.pathsep))]
    if sys.platform != "win32":
        files.append(Path("/etc") / name)
    if not chosen or not is_file(Path(chosen)):
        files += _user_files(name)
    files.append(Path(sys.prefix) / name)
    if chosen:
        files.append(Path(chosen))
    return tuple(files)


def _user_files(name: str) -> Iterator[Path]:
    import platformdirs

    own = home()
    if own is None:
        return
    yield own / ("pip" if sys.platform == "win32" else ".pip") / name
    if sys.platform == "darwin":
        yield own / ".config" / "pip" / name
    yield Path(platformdirs.user_config_dir("pip", appauthor=False, roaming=True)) / name


def _options_of(file: Path) -> Iterator[tuple[str, str, str]]:
    if not is_file(file):
        return
    parser = configparser.RawConfigParser()
    try:
        parser.read_string(file.read_text(encoding="utf-8"), source=str(file))
    except (OSError, UnicodeDecodeError, configparser.Error) as error:
        raise UsageError(f"pip's configuration file {file} cannot be read: {error}") from error
    for section in _SECTIONS:
        if parser.has_section(section):
            for name, value in parser.items(section):
                yield section, name.replace("_", "-"), value.strip()


def _options_of_variables(env: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for name, value in env.items():
        if name.startswith("PIP_") and value:
            yield name.removeprefix("PIP_").lower().replace("_", "-"), value
