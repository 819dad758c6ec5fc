"""Fetching files over HTTP: tried again, resumed, and kept only when their digest is right."""

import random
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import requests

from harness.builds.digest import sha256_of
from harness.config.paths import take_place
from harness.errors import DigestMismatchError, SourceUnavailableError
from harness.processes.running import CancelledError
from harness.terminal import Progress

_CHUNK_BYTES = 1 << 18
_LONGEST_WAIT_S = 30.0
"""No wait is longer; a server that asks for more ends the tries."""
_WORTH_ANOTHER_TRY = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long to go on when a server does not answer well.

    Attributes:
        tries: All tries together.
        timeout_s: Seconds of silence that end a try.
        first_wait_s: Wait before the second try; doubled for each further one.
        sleep: How to wait.
    """

    tries: int = 5
    timeout_s: float = 15.0
    first_wait_s: float = 0.5
    sleep: Callable[[float], None] = field(default=time.sleep)

    def wait_before(self, attempt: int) -> float:
        """Return the seconds before a try (the second is 1), with some jitter."""
        wait = min(self.first_wait_s * 2.0 ** (attempt - 1), _LONGEST_WAIT_S)
        return wait * random.uniform(0.75, 1.25)


def redacted(url: str) -> str:
    """Return an address without any user name, password or query, fit for a message."""
    parts = urlsplit(url)
    host = (parts.hostname or "") + (f":{parts.port}" if parts.port else "")
    return urlunsplit((parts.scheme, host, parts.path, "", ""))


def get(
    session: requests.Session,
    url: str,
    *,
    patience: Patience,
    headers: Mapping[str, str] | None = None,
) -> requests.Response:
    """Open an address, with further tries where one may help; the caller closes the answer.

    Answers of any status that no further try would better are returned as they are.

    Raises:
        SourceUnavailableError: Nothing answered.
    """
    problem = "no answer"
    for attempt in range(patience.tries):
        if attempt:
            patience.sleep(patience.wait_before(attempt))
        try:
            response = session.get(
                url, stream=True, timeout=patience.timeout_s, headers=dict(headers or {})
            )
        except requests.exceptions.SSLError as error:
            raise SourceUnavailableError(
                f"{redacted(url)}: the certificate was not accepted ({brief(error)}); tell pip's "
                "settings (cert) or REQUESTS_CA_BUNDLE which authority to trust"
            ) from error
        except (requests.exceptions.ConnectionError, requests.exceptions.Timeout) as error:
            problem = brief(error)
            continue
        except requests.exceptions.RequestException as error:
            raise SourceUnavailableError(f"{redacted(url)}: {brief(error)}") from error
        if response.status_code not in _WORTH_ANOTHER_TRY:
            return response
        problem = f"HTTP status {response.status_code}"
        asked = response.headers.get("Retry-After", "")
        if attempt + 1 == patience.tries or (asked.isdigit() and int(asked) > _LONGEST_WAIT_S):
            return response
        response.close()
        if asked.isdigit():
            patience.sleep(float(asked))
    raise SourceUnavailableError(
        f"{redacted(url)}: cannot be reached after {patience.tries} tries ({problem}); check the "
        "network, the proxy and the index settings"
    )


def fetch_file(
    session: requests.Session,
    url: str,
    target: Path,
    *,
    sha256: str | None,
    progress: Progress,
    patience: Patience,
    label: str | None = None,
    cancelled: threading.Event | None = None,
) -> str:
    """Fetch an address into a file and return the file's SHA-256.

    A partial file beside the target (``.part``) is resumed, also after the process was killed.

    Args:
        session: What to ask with.
        url: The address; ``file:`` addresses are copied.
        target: The file, complete and checked when this returns.
        sha256: The digest it must have; None where nobody knows.
        progress: Where to show it.
        patience: How long to go on.
        label: What to call it; the file's name if None.
        cancelled: Ends it when set; what has come is kept.

    Raises:
        SourceUnavailableError: It cannot be had, or only a part of it.
        DigestMismatchError: It is not the file that was pinned; nothing is kept.
        CancelledError: ``cancelled`` was set.
    """
    label = label or target.name
    part = target.with_name(f"{target.name}.part")
    target.parent.mkdir(parents=True, exist_ok=True)
    problem = ""
    with progress.task(f"download {label}", "bytes") as task:
        for attempt in range(patience.tries):
            if attempt:
                patience.sleep(patience.wait_before(attempt))
            have = part.stat().st_size if part.is_file() else 0
            headers = {"Accept-Encoding": "identity"}
            if have:
                headers["Range"] = f"bytes={have}-"
            response = get(session, url, patience=patience, headers=headers)
            with response:
                if response.status_code == 416:  # noqa: PLR2004
                    part.unlink(missing_ok=True)
                    problem = "the server had no such range"
                    continue
                if not response.ok:
                    raise SourceUnavailableError(
                        f"{redacted(url)}: HTTP status {response.status_code} {response.reason}"
                    )
                resumed = response.status_code == 206  # noqa: PLR2004

                def reach(done: int, total: int | None) -> None:
                    if cancelled is not None and cancelled.is_set():
                        raise CancelledError
                    task.reach(done, total)

                problem = _receive(response, part, have if resumed else 0, reach)
            if not problem:
                break
        else:
            raise SourceUnavailableError(
                f"{redacted(url)}: only a part arrived in {patience.tries} tries ({problem}); the "
                "next call resumes it"
            )
    found = sha256_of(part)
    if sha256 and found != sha256:
        part.unlink()
        raise DigestMismatchError(
            f"{label}: its SHA-256 is {found}, pinned is {sha256}; nothing was kept. Fetch again, "
            "and correct the pin only if you know why the file changed"
        )
    take_place(part, target)
    return found


def _receive(
    response: requests.Response, part: Path, start: int, reach: Callable[[int, int | None], None]
) -> str:
    length = response.headers.get("Content-Length", "")
    total = start + int(length) if length.isdigit() else None
    done = start
    try:
        with part.open("ab" if start else "wb") as out:
            for chunk in response.iter_content(_CHUNK_BYTES):
                out.write(chunk)
                done += len(chunk)
                reach(done, total)
    except requests.exceptions.RequestException as error:
        return f"{brief(error)} after {done} bytes"
    if total is not None and done != total:
        return f"truncated: {done} of {total} bytes"
    return ""


def brief(error: BaseException) -> str:
    """Return the innermost reason, without the addresses that outer layers quote."""
    reason: object = error
    seen: set[int] = set()
    while isinstance(reason, BaseException) and id(reason) not in seen:
        seen.add(id(reason))
        inner = getattr(reason, "reason", None) or reason.__cause__ or reason.__context__
        if inner is None and reason.args and isinstance(reason.args[0], BaseException):
            inner = reason.args[0]
        if not isinstance(inner, BaseException):
            break
        reason = inner
    text = " ".join(str(reason).split())
    with suppress(IndexError):
        text = text.split("object at 0x")[1].split(": ", 1)[1] if "object at 0x" in text else text
    return text or type(reason).__name__
