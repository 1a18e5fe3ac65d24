"""How much a device's storage holds, and what stays free for steps that must not fail.

A commit is judged as a whole: what it removes makes room for what it adds. Three limits, so
that what was accepted can always be brought to its end:

- the station leaves room for a certificate with its key, CSR and token (``PROVISIONING_ROOM``);
- the device fills ``CAPACITY`` and no more with what it accepts;
- registration and promotion, which only move what was accepted, have ``RESERVE`` beyond it.

What comes from the cloud is bounded on arrival (`device.provisioning.limits`); a test adds the
bounds up and compares them with these.
"""

from typing import Final

from device.errors.storage import CAPACITY_EXCEEDED
from device.storage.lifecycle import Lifecycle

CAPACITY: Final = 64 * 1024
"""Bytes of data that ITS and PS hold together; each commit writes all of it, twice."""

PROVISIONING_ROOM: Final = 24 * 1024
"""Bytes of ``CAPACITY`` that a device still has free when the station lets it go."""

RESERVE: Final = 24 * 1024
"""Bytes beyond ``CAPACITY`` for commits that finish what was accepted."""

_AT_THE_STATION: Final = (Lifecycle.ASSEMBLY_AND_TEST, Lifecycle.PSA_ROT_PROVISIONING)


def limit_of(lifecycle: Lifecycle, *, finishing: bool) -> int:
    """Return how many bytes may be stored after a commit in this state."""
    if finishing:
        return CAPACITY + RESERVE
    return CAPACITY - PROVISIONING_ROOM if lifecycle in _AT_THE_STATION else CAPACITY


def check_capacity(before: int, after: int, limit: int) -> None:
    """Check that ``after`` bytes may be stored where ``before`` bytes were.

    Raises:
        CapacityExceededError: over the ``limit``, and not less than before.
    """
    if after > limit and after >= before:
        raise CAPACITY_EXCEEDED.error(needed=after, capacity=limit)
