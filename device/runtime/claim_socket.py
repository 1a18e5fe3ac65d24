"""A claim that comes over a local socket: one line of JSON, and one line back.

Clients are served side by side, so that one that is slow, or says nothing, keeps nobody waiting.
Each has a deadline, and a limit of bytes. The app connects before it asks AWS for a claim, so
a client may be silent at first.
"""

import json
import os
import selectors
import socket
import stat
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from device.config.socket_path import socket_path
from device.errors import ConfigurationError
from device.errors.provisioning import ClaimExpiredError, ClaimUnusableError
from device.runtime.claim_file import MAX_DELIVERY_BYTES, Take
from device.runtime.clock import Clock
from device.runtime.credentials import BorrowedClaim
from device.storage.ownership import give_to_owner_of

SILENCE_SECONDS: Final = 120.0
"""How long a client may be connected before it says anything."""

DELIVERY_SECONDS: Final = 5.0
"""How long a delivery may take, from its first byte to its last."""

MAX_CLIENTS: Final = 16
_CHUNK: Final = 16_384
_PAUSE_SECONDS: Final = 0.1


@dataclass(eq=False)
class _Client:
    connection: socket.socket
    deadline: float
    """On the monotonic clock."""
    content: bytearray = field(default_factory=bytearray, repr=False)


class ClaimSocket:
    """A socket at ``path``, for its owner alone, as long as it is entered."""

    def __init__(self, path: Path, clock: Clock, take: Take, refuse: Callable[[str], None]) -> None:
        """Tell ``refuse``, and the client, what is wrong with a delivery."""
        self._path: Final = path
        self._clock: Final = clock
        self._take: Final = take
        self._refuse: Final = refuse
        self._selector: Final = selectors.DefaultSelector()
        self._clients: Final[list[_Client]] = []

    def __enter__(self) -> Self:
        """Listen.

        Raises:
            ConfigurationError: no socket can be made there.
        """
        self._server = listening_at(self._path)
        self._selector.register(self._server, selectors.EVENT_READ)
        return self

    def __exit__(self, *_: object) -> None:
        for client in list(self._clients):
            self._drop(client)
        self._selector.close()
        self._server.close()
        with suppress(OSError):
            self._path.unlink(missing_ok=True)

    def poll(self, seconds: float) -> BorrowedClaim | None:
        """Serve the clients for ``seconds`` at most; return a claim if one has handed one over."""
        claim = None
        for key, _ in self._selector.select(seconds):
            if key.data is None:
                self._accept()
            elif claim is None:
                claim = self._served(key.data)
        self._end_overdue()
        return claim

    def _accept(self) -> None:
        if len(self._clients) >= MAX_CLIENTS:
            self._turn_away(self._clients[0], "too many clients at once")
        try:
            connection, _ = self._server.accept()
        except OSError:  # the client is gone again, or we have no descriptor left
            time.sleep(_PAUSE_SECONDS)
            return
        connection.settimeout(0.0)
        client = _Client(connection, self._clock.monotonic() + SILENCE_SECONDS)
        self._clients.append(client)
        self._selector.register(connection, selectors.EVENT_READ, client)

    def _served(self, client: _Client) -> BorrowedClaim | None:
        try:
            chunk = client.connection.recv(_CHUNK)
        except BlockingIOError:
            return None
        except OSError:
            self._drop(client)
            return None
        if not client.content:
            client.deadline = self._clock.monotonic() + DELIVERY_SECONDS
        client.content += chunk
        if len(client.content) > MAX_DELIVERY_BYTES:
            self._turn_away(client, "what was handed over is too long to be a claim")
        elif not chunk or chunk.endswith(b"\n"):
            return self._judged(client)
        return None

    def _judged(self, client: _Client) -> BorrowedClaim | None:
        if not client.content:  # it only looked whether someone waits
            self._drop(client)
            return None
        try:
            claim = self._take(bytes(client.content))
        except (ClaimUnusableError, ClaimExpiredError) as error:
            self._turn_away(client, f"{error.code}: {error}")
            return None
        self._answer(client, {"accepted": True})
        self._drop(client)
        return claim

    def _end_overdue(self) -> None:
        now = self._clock.monotonic()
        for client in [each for each in self._clients if now >= each.deadline]:
            self._turn_away(client, "the claim was not handed over in time")

    def _turn_away(self, client: _Client, problem: str) -> None:
        self._refuse(problem)
        self._answer(client, {"accepted": False, "problem": problem})
        self._drop(client)

    def _answer(self, client: _Client, document: dict[str, Any]) -> None:
        with suppress(OSError):  # whoever brought it does not wait for the answer
            client.connection.sendall(json.dumps(document).encode() + b"\n")

    def _drop(self, client: _Client) -> None:
        """Close, and first read a little of what is still coming: else the answer is lost."""
        with suppress(OSError):
            for _ in range(MAX_DELIVERY_BYTES // _CHUNK):
                if not client.connection.recv(_CHUNK):
                    break
        self._selector.unregister(client.connection)
        self._clients.remove(client)
        client.connection.close()


def listening_at(place: Path, setting: str = "--wait-for-claim") -> socket.socket:
    """Return a socket that listens at ``place``; it appears there only when it is ready.

    Raises:
        ConfigurationError: none can be made there; it names the ``setting`` that asked for it.
    """
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _check_free(place)
        _listen(server, place)
    except OSError as error:
        server.close()
        problem = f"no socket can be made at {place}: {error.strerror or error}"
        raise ConfigurationError(setting, "", problem) from None
    server.settimeout(0.0)
    return server


def _check_free(place: Path) -> None:
    """A socket that a killed device left is replaced, and nothing else."""
    with suppress(FileNotFoundError):
        if not stat.S_ISSOCK(place.lstat().st_mode):
            raise FileExistsError(0, "something other than a socket is there")


def _listen(server: socket.socket, place: Path) -> None:
    unready = place.with_name(place.name + ".new")
    unready.unlink(missing_ok=True)
    before = os.umask(0o177)
    try:
        with socket_path(unready) as path:
            server.bind(path)
    finally:
        os.umask(before)
    give_to_owner_of(place.parent, unready)
    server.listen(MAX_CLIENTS)
    unready.replace(place)
