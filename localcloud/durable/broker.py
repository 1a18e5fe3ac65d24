"""Lets the broker answer a device only when what it changed is on disk."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any, Final

from localcloud.broker.connection import Connection
from localcloud.broker.packets import Kind
from localcloud.durable import policy_targets
from localcloud.durable.keeper import Keeper
from localcloud.durable.watched import current, working
from localcloud.seam import Seam

_RETAIN: Final = 0x01
_RESERVED: Final = b"$aws/"  # topics that ask something of the cloud


def keep_before_answers(app: Seam, iot: Seam, keeper: Keeper) -> None:
    """Wrap the broker of ``iot``, and the reset of ``app``."""
    iot["_WSSession"] = type("Connection", (_AccountedConnection, iot["_WSSession"]), {})
    iot["_mtls_serve_conn"] = _serve(iot["_mtls_serve_conn"], keeper)
    keeper.watch_part("iot", "mqtt_broker", iot["_broker_get_state"])
    keeper.write_as(*policy_targets.STORE, policy_targets.without_certificates)
    policy_targets.find_at_start(iot)
    policy_targets.look_up_targets(iot)
    app["_reset_all_state"] = _reset(app["_reset_all_state"], keeper)


class KeepingWriter:
    """The broker's writer of a connection; nothing leaves before its cause is on disk.

    What is written in one turn of the loop leaves in one TLS record.
    """

    def __init__(self, writer: Any, keeper: Keeper) -> None:
        """Write by ``writer`` what ``keeper`` has on disk."""
        self._writer = writer
        self._keeper = keeper
        self._leaving: list[bytes] = []

    def write(self, data: bytes) -> None:
        """Let ``data`` leave at the end of this turn."""
        self._keeper.keep()
        if not self._leaving:
            asyncio.get_running_loop().call_soon(self._leave)
        self._leaving.append(data)

    def close(self) -> None:
        """Write what is left, and close."""
        self._leave()
        self._writer.close()

    def _leave(self) -> None:
        data, self._leaving = b"".join(self._leaving), []
        if data and not self._writer.is_closing():
            self._writer.write(data)

    def __getattr__(self, name: str) -> Any:
        """Be a writer in all else."""
        return getattr(self._writer, name)


def _serve(
    serve: Callable[[Any, Any], Awaitable[None]], keeper: Keeper
) -> Callable[[Any, Any], Awaitable[None]]:
    async def serve_conn(reader: Any, writer: Any) -> None:
        with working(alters=False):
            await serve(reader, KeepingWriter(writer, keeper))

    return serve_conn


class _AccountedConnection(Connection):
    """Tells the keeper which packets change something."""

    async def handle_packet(self, kind: int, flags: int, body: bytes) -> bool:
        """Note whether the packet may change what is saved, then serve it."""
        work = current()
        work.alters = kind == Kind.CONNECT or (
            kind == Kind.PUBLISH and (bool(flags & _RETAIN) or body[2:].startswith(_RESERVED))
        )
        work.is_changed = work.is_changed or work.alters
        return await super().handle_packet(kind, flags, body)


def _reset(reset: Callable[[], None], keeper: Keeper) -> Callable[[], None]:
    @wraps(reset)
    def reset_all_state() -> None:
        reset()
        keeper.note_reset()

    return reset_all_state
