"""The security lifecycle of the device, and the only ways through it.

Values are those of the PSA Certified Attestation API (also RFC 9783, section 4.3.1): the
high byte is the state, the low byte is free for sub-states and unused here.
"""

from collections.abc import Mapping
from enum import IntEnum
from typing import Final

from device.errors.storage import LifecycleError


class Lifecycle(IntEnum):
    """Where the device is between the assembly line and the scrap yard."""

    UNKNOWN = 0x0000
    ASSEMBLY_AND_TEST = 0x1000
    PSA_ROT_PROVISIONING = 0x2000
    SECURED = 0x3000
    NON_PSA_ROT_DEBUG = 0x4000
    RECOVERABLE_PSA_ROT_DEBUG = 0x5000
    DECOMMISSIONED = 0x6000


TRANSITIONS: Final[Mapping[Lifecycle, frozenset[Lifecycle]]] = {
    Lifecycle.UNKNOWN: frozenset(),
    Lifecycle.ASSEMBLY_AND_TEST: frozenset({Lifecycle.PSA_ROT_PROVISIONING}),
    Lifecycle.PSA_ROT_PROVISIONING: frozenset({Lifecycle.SECURED}),
    Lifecycle.SECURED: frozenset(
        {
            Lifecycle.NON_PSA_ROT_DEBUG,
            Lifecycle.RECOVERABLE_PSA_ROT_DEBUG,
            Lifecycle.DECOMMISSIONED,
        }
    ),
    Lifecycle.NON_PSA_ROT_DEBUG: frozenset({Lifecycle.SECURED, Lifecycle.DECOMMISSIONED}),
    Lifecycle.RECOVERABLE_PSA_ROT_DEBUG: frozenset({Lifecycle.SECURED, Lifecycle.DECOMMISSIONED}),
    Lifecycle.DECOMMISSIONED: frozenset(),
}
"""From each state, the states that may follow; all else is refused."""

STORAGE_AVAILABLE: Final = frozenset(
    {
        Lifecycle.ASSEMBLY_AND_TEST,
        Lifecycle.PSA_ROT_PROVISIONING,
        Lifecycle.SECURED,
        Lifecycle.NON_PSA_ROT_DEBUG,
    }
)
"""The states in which the storage keys may be derived (PSA Secure Storage API, section 3)."""

WRITE_ONCE_ENFORCED: Final = frozenset({Lifecycle.SECURED, Lifecycle.NON_PSA_ROT_DEBUG})
"""The states in which a WRITE_ONCE entry is final; the station may still correct itself before."""


def check_transition(current: Lifecycle, to: Lifecycle) -> None:
    """Raise unless ``to`` may follow ``current``.

    Raises:
        LifecycleError: ``to`` may not follow ``current``.
    """
    if to not in TRANSITIONS[current]:
        allowed = ", ".join(state.name for state in sorted(TRANSITIONS[current])) or "nothing"
        raise LifecycleError(f"{to.name} cannot follow {current.name} (allowed: {allowed})")
