"""What a device counts and measures, as OpenMetrics text: for Prometheus, and ``device metrics``.

``device run`` writes a file from time to time; ``device metrics`` shows it, with what the storage
says now in the place of what it said then. A file that is lost, or half, costs numbers only, so it
is not synced; it takes its name in one step. (OpenMetrics 1.0, "Text format".)
"""

import logging
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from device.lifecycle import journal
from device.operation.counters import Counters
from device.runtime import facts
from device.runtime.clock import Clock
from device.storage.device_storage import DeviceStorage

_log = logging.getLogger(__name__)

FILE: Final = "metrics.prom"
_PREFIX: Final = "firstboot_"
_SAMPLE: Final = re.compile(rf"{_PREFIX}([a-z_]+) ([0-9.e+-]+)")
_MOST_BYTES: Final = 65_536

FAMILIES: Final[Mapping[str, tuple[str, str]]] = {
    "connects": ("counter", "Connections that were made since the start."),
    "reconnects": ("counter", "Connections that were made again since the start."),
    "connection_failures": ("counter", "Attempts to connect that failed."),
    "connections_lost": ("counter", "Connections that ended while the device was at work."),
    "publishes": ("counter", "Messages that were sent."),
    "messages": ("counter", "Messages that came."),
    "puback_seconds": ("summary", "Time from a message to its acknowledgement."),
    "puback_longest_seconds": ("gauge", "The longest of these times."),
    "outbox_messages": ("gauge", "Messages that wait on disk for their acknowledgement."),
    "outbox_dropped": ("counter", "Readings that had no room in the outbox."),
    "application_refused": ("counter", "Messages of an application that were refused."),
    "certificate_age_seconds": ("gauge", "Seconds since the certificate began to be valid."),
    "certificate_expiry_seconds": ("gauge", "When the certificate expires, since the epoch."),
    "storage_commits": ("counter", "Commits to the sealed storage in the device's life."),
}
"""Names, kinds and meanings, in the order in which they are written."""


def counted(counters: Counters, outbox_messages: int) -> dict[str, float]:
    """Return the samples of a device at work."""
    return {
        "connects_total": counters.connects,
        "reconnects_total": counters.reconnects,
        "connection_failures_total": counters.connection_failures,
        "connections_lost_total": counters.connections_lost,
        "publishes_total": counters.publishes,
        "messages_total": counters.messages,
        "puback_seconds_count": counters.acknowledged_publishes,
        "puback_seconds_sum": round(counters.puback_seconds, 6),
        "puback_longest_seconds": round(counters.longest_puback_seconds, 6),
        "outbox_messages": outbox_messages,
        "outbox_dropped_total": counters.readings_dropped,
        "application_refused_total": counters.application_refusals,
    }


def stored(storage: DeviceStorage, clock: Clock) -> dict[str, float]:
    """Return the samples of what the storage says.

    Raises:
        StorageError: it cannot be read.
    """
    found: dict[str, float] = {"storage_commits_total": storage.generation}
    identity = journal.load_identity(storage.ps)
    if identity is not None:
        found["certificate_age_seconds"] = round(facts.certificate_age(identity, clock))
        found["certificate_expiry_seconds"] = round(identity.not_after)
    return found


def exposition(samples: Mapping[str, float]) -> str:
    """Return ``samples`` as OpenMetrics text."""
    return "".join(f"{line}\n" for line in [*_lines(samples), "# EOF"])


def _lines(samples: Mapping[str, float]) -> Iterator[str]:
    for family, (kind, meaning) in FAMILIES.items():
        ends = {"counter": ("_total",), "summary": ("_count", "_sum")}.get(kind, ("",))
        found = [name for end in ends if (name := f"{family}{end}") in samples]
        if found:
            yield f"# HELP {_PREFIX}{family} {meaning}"
            yield f"# TYPE {_PREFIX}{family} {kind}"
        yield from (f"{_PREFIX}{name} {samples[name]:.15g}" for name in found)


def write(place: Path, samples: Mapping[str, float]) -> None:
    """Put ``samples`` into the file ``place``; where the disk refuses, say so in the log."""
    unfinished = place.with_name(f".{place.name}.new")
    try:
        if place.exists() and not place.is_file():
            raise FileExistsError(0, "something other than a regular file is there")
        unfinished.write_text(exposition(samples), encoding="ascii")
        unfinished.replace(place)
    except OSError as error:
        _log.warning("the metrics are not written: %s: %s", place, error.strerror)


def read(place: Path) -> dict[str, float]:
    """Return the samples in the file ``place``; none where it is missing or unreadable."""
    if not place.is_file():  # a pipe would be waited for
        return {}
    try:
        with place.open(encoding="ascii", errors="replace") as file:
            text = file.read(_MOST_BYTES)
    except OSError:
        return {}
    return {found[1]: float(found[2]) for found in _SAMPLE.finditer(text) if _is_number(found[2])}


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
