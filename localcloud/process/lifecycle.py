"""Start, stop and empty the server process of a state folder, from another process."""

import datetime as dt
import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Final

from localcloud.door.callers import ADMIN, LOOPBACK
from localcloud.door.signing import Call, signed_headers
from localcloud.errors import (
    CATALOGUE,
    START,
    STOP,
    LocalCloudError,
    NoAnswerError,
    NotRunningError,
)
from localcloud.process.state_folder import Ports, Server, StateFolder

_START_SECONDS: Final = 60.0
_STOP_SECONDS: Final = 20.0
_POLL_SECONDS: Final = 0.05
_CALL_SECONDS: Final = 30.0
_LOG_TAIL_LINES: Final = 12


def start_detached(folder: StateFolder, ports: Ports, more: Sequence[str]) -> Server:
    """Start a server process that outlives this one, with ``more`` options of ``up``.

    Returns when it answers.

    Raises:
        StartError: it ended, or did not answer within a minute.
    """
    command = [sys.executable, "-m", "localcloud", "up", "--state", str(folder.path)]
    command += ["--api-port", str(ports.api), "--mqtt-port", str(ports.mqtt)]
    command += more
    handle = os.open(folder.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as log:
        process = subprocess.Popen(  # noqa: S603  (our own interpreter and arguments)
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    server = wait_until_ready(folder, lambda: process.poll() is not None)
    process.returncode = 0  # it is meant to outlive this object: no ResourceWarning for that
    return server


def wait_until_ready(
    folder: StateFolder, ended: Callable[[], bool], seconds: float = _START_SECONDS
) -> Server:
    """Return the server of ``folder`` once its API and its MQTT listener answer.

    Raises:
        StartError: ``ended`` says that there is none any more, or the time has passed.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        server = folder.server()
        if server and _api_answers(folder, server) and _mqtt_answers(folder, server):
            return server
        if server is None and ended():
            raise _not_started("the process ended", folder)
        time.sleep(_POLL_SECONDS)
    raise _not_started(f"it did not answer in {seconds:.0f} s", folder)


def _not_started(reason: str, folder: StateFolder) -> LocalCloudError:
    return START.error(f"{reason}\n{_log_tail(folder)}".rstrip(), log=folder.log)


def stop(folder: StateFolder, server: Server, seconds: float = _STOP_SECONDS) -> None:
    """Ask ``server`` to save and end; return when it has.

    Raises:
        StopError: it is still there when the time has passed.
    """
    os.kill(server.pid, signal.SIGTERM)
    deadline = time.monotonic() + seconds
    while folder.server() is not None:
        if time.monotonic() > deadline:
            raise STOP.error(pid=server.pid)
        time.sleep(_POLL_SECONDS)


def reset(folder: StateFolder) -> None:
    """Let the server of ``folder`` forget everything; return when it answers again.

    Raises:
        NoAnswerError: it did not do as it was asked.
    """
    call(folder, "POST", "reset")
    wait_until_ready(folder, lambda: folder.server() is None)


def call(folder: StateFolder, method: str, path: str, document: object = None) -> object:
    """Call an admin path of the server of ``folder``, with its key; return what it answered.

    Raises:
        NotRunningError: nothing serves the folder.
        NoAnswerError: nothing, or nothing of ours, answers there.
        StateFolderError: the folder has no key.
        LocalCloudError: it refused; the error is the one that it told.
    """
    server = folder.server()
    if server is None:
        raise NotRunningError(path=folder.path)
    api_port, body = server.ports.api, json.dumps(document).encode()
    asked = Call(method, f"{LOOPBACK}:{api_port}", ADMIN + path, body)
    headers = signed_headers(folder.access_key(), asked, dt.datetime.now(dt.UTC))
    connection = http.client.HTTPConnection(LOOPBACK, api_port, timeout=_CALL_SECONDS)
    try:
        connection.request(method, asked.path, body, headers)
        response = connection.getresponse()
        answer: object = json.loads(response.read())
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise NoAnswerError(f"no answer on port {api_port}: {error}") from error
    finally:
        connection.close()
    if response.status != http.HTTPStatus.OK:
        raise _told(answer) or NoAnswerError(f"{method} {path} was refused: {answer}")
    return answer


def _told(answer: object) -> LocalCloudError | None:
    match answer:
        case {"code": str(code), "error": str(problem), "next_step": str(next_step)}:
            row = CATALOGUE.get(code)
            if row is not None and row.sentence == "{problem}":
                return row.error(problem, next_step=next_step)
    return None


def _api_answers(folder: StateFolder, server: Server) -> bool:
    try:
        status = call(folder, "GET", "status")
    except (NoAnswerError, NotRunningError):
        return False
    match status:
        case {"state": state, "pid": pid}:
            return (state, pid) == (str(folder.path), server.pid)
    return False


def _mqtt_answers(folder: StateFolder, server: Server) -> bool:
    """Whether a TLS handshake with the root CA succeeds; the first also warms the listener up."""
    try:
        context = ssl.create_default_context(cafile=folder.root_ca)
        with (
            socket.create_connection((LOOPBACK, server.ports.mqtt), timeout=_CALL_SECONDS) as raw,
            context.wrap_socket(raw, server_hostname="localhost"),
        ):
            return True
    except OSError:
        return False


def _log_tail(folder: StateFolder) -> str:
    try:
        lines = folder.log.read_text(errors="replace").splitlines()
    except OSError:
        return ""
    return "\n".join(lines[-_LOG_TAIL_LINES:])
