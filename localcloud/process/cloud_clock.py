"""The clock of AWS IoT, which may be ahead of this machine's.

What AWS IoT measures by it moves: ownership tokens, claims, time-outs of jobs, creation dates, and
whether a device certificate has expired when it connects. What others measure does not: signatures
of requests and sessions of STS (the client signs by its own clock), TLS, and timers that count
seconds. Certificates are issued by this machine's clock, since TLS would refuse one of the future.
"""

import datetime as dt
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

from cryptography import x509

from localcloud.seam import Seam

_GAPS: Final = "localcloud.gaps."
ServeConnection = Callable[[Any, Any], Awaitable[None]]


class CloudClock:
    """Tells the time of the cloud."""

    def __init__(self) -> None:
        """Begin with this machine's time."""
        self.ahead_seconds = 0.0

    def advance(self, seconds: float) -> None:
        """Go ``seconds`` further ahead."""
        self.ahead_seconds += seconds

    def now(self) -> dt.datetime:
        """Return the time in UTC."""
        return dt.datetime.now(dt.UTC) + dt.timedelta(seconds=self.ahead_seconds)

    def told(self) -> dict[str, object]:
        """Return what JSON can say of it."""
        now = self.now().isoformat(timespec="seconds")
        return {"now": now, "ahead_seconds": self.ahead_seconds}


class _MovedTime:
    """The module ``time``, by another clock."""

    def __init__(self, clock: CloudClock) -> None:
        self._clock = clock

    def time(self) -> float:
        return time.time() + self._clock.ahead_seconds

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)


def _moved_datetime(clock: CloudClock) -> type[dt.datetime]:
    class MovedDatetime(dt.datetime):
        """``datetime``, by another clock."""

        @classmethod
        def now(cls, tz: dt.tzinfo | None = None) -> Any:
            return dt.datetime.now(tz) + dt.timedelta(seconds=clock.ahead_seconds)

    return MovedDatetime


def move(iot: Seam, clock: CloudClock) -> None:
    """Let MiniStack's IoT, and the gap modules, tell the time by ``clock``."""
    iot["time"] = _MovedTime(clock)
    iot["datetime"] = _moved_datetime(clock)
    for name, module in list(sys.modules.items()):
        if name.startswith(_GAPS) and hasattr(module, "time"):
            Seam(module)["time"] = _MovedTime(clock)
    iot["_mtls_serve_conn"] = _unless_expired(iot["_mtls_serve_conn"], clock)


def _unless_expired(serve: ServeConnection, clock: CloudClock) -> ServeConnection:
    async def serve_conn(reader: Any, writer: Any) -> None:
        der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        if clock.ahead_seconds and der and _end(der) < clock.now():
            writer.close()
            return
        await serve(reader, writer)

    return serve_conn


def _end(der: bytes) -> dt.datetime:
    return x509.load_der_x509_certificate(der).not_valid_after_utc
