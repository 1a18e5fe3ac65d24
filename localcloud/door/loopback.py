"""Every listener is on 127.0.0.1.

A local AWS must not be reachable from the network. MiniStack's ``BIND_HOST`` moves its HTTP port
only; its MQTT listener binds every interface.
"""

import asyncio
import errno
import sys

from localcloud.door.callers import LOOPBACK
from localcloud.seam import Seam


def listen_on_loopback(iot: Seam) -> None:
    """Bind the MQTT listener to loopback, and say so if that fails."""

    async def start_on_loopback() -> None:
        if iot["_mtls_server"] is not None:
            return
        loop = asyncio.get_running_loop()
        # Made at the first connection, which is the default, it can cost that connection its
        # first bytes: Python 3.11.2 reads from a transport that was paused as it was made.
        await iot["_mtls_context"]()
        iot["_mtls_server"] = await loop.create_server(
            iot["_MtlsAcceptor"], host=LOOPBACK, port=iot["_mtls_port"]()
        )
        iot["_mtls_loop"] = loop

    iot["_mtls_start_locked"] = start_on_loopback


def refuse_other_addresses() -> None:
    """Let this process bind internet sockets to 127.0.0.1 only, whatever code asks.

    It is the second lock on the same door: whatever part of MiniStack, or of a library below
    it, opens a listener elsewhere gets a PermissionError. An audit hook cannot be removed, so
    this is for the server process only.
    """
    sys.addaudithook(refuse)


def refuse(event: str, arguments: tuple[object, ...]) -> None:
    """Raise PermissionError if an audit ``event`` is the binding of another address."""
    if event != "socket.bind":
        return
    address = arguments[1]
    host = address[0] if isinstance(address, tuple) else None  # else a path: no internet socket
    if isinstance(host, str | bytes) and host not in {LOOPBACK, "localhost"}:
        reason = f"the local AWS binds to {LOOPBACK} only, not to {host!r}"
        raise PermissionError(errno.EACCES, reason)
