"""What is ordered: how many devices, by which method, and what happens to them."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

METHODS: Final = ("claim", "claim-aws-keys", "claim-own-ca", "jitp", "jitr")
"""The methods that need nothing for a single device but what ``factory make`` does offline."""


class Scenario(StrEnum):
    """What happens to the fleet."""

    FIRST_BOOT = "first-boot"
    STEADY = "steady"
    RECONNECT_STORM = "reconnect-storm"
    RENEWAL_STORM = "renewal-storm"
    POWER_CUTS = "power-cuts"


WORDS: Final = {
    Scenario.FIRST_BOOT: "every device is switched on once, and off when its identity is proven",
    Scenario.STEADY: "after that, every device publishes telemetry for --seconds",
    Scenario.RECONNECT_STORM: "after that, every connection is cut in the same instant",
    Scenario.RENEWAL_STORM: "after that, every device is told in the same instant to renew",
    Scenario.POWER_CUTS: "the power of every device is cut up to three times before it is proven",
}
STORMS: Final = frozenset({Scenario.RECONNECT_STORM, Scenario.RENEWAL_STORM})
OPERATING: Final = STORMS | {Scenario.STEADY}
"""Scenarios in which a proven device goes to work and stays connected."""


@dataclass(frozen=True)
class FleetOrder:
    """A fleet, as it is ordered."""

    devices: int
    method: str = "claim"
    scenario: Scenario = Scenario.FIRST_BOOT
    seed: int = 1
    """Of the devices' jitter and of the steps at which power is cut; threads are not seeded."""
    name: str = "FLEET"
    """How serial numbers begin."""
    in_memory: bool = True
    """Whether what a device writes stays in memory; else its folder is written and synced."""
    spread: float = 0.0
    """``first_connect_spread`` of every device, in seconds."""
    rate: float = 20.0
    """Devices that are switched on a second; 0 for all at once, which measures this machine."""
    at_once: int | None = None
    """So many devices are on at the same time, and no more; None for as many as there are."""
    seconds: float = 30.0
    """How long a steady fleet works."""
    interval: float = 5.0
    """Seconds between two messages of a device at work."""
    limit: float = 1800.0
    """After so many seconds the fleet is stopped, proven or not."""

    @property
    def most_on(self) -> int:
        """How many devices can be on at the same time: the machine must have room for these."""
        return min(self.devices, self.at_once or self.devices)

    @property
    def connections_a_device(self) -> int:
        """A renewal proves the new certificate on a second connection."""
        return 2 if self.renews else 1

    @property
    def renews(self) -> bool:
        """Whether the account must be prepared for renewals."""
        return self.scenario is Scenario.RENEWAL_STORM

    @property
    def serials(self) -> Sequence[str]:
        """The serial numbers."""
        return [f"{self.name}-{number:06}" for number in range(self.devices)]

    @property
    def environment(self) -> dict[str, str]:
        """The ``DEVICE_*`` variables that every device has."""
        return {
            "DEVICE_CONNECTION__FIRST_CONNECT_SPREAD": str(self.spread),
            "DEVICE_TELEMETRY__INTERVAL": str(self.interval),
        }
