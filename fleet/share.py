"""Which devices are a worker's: every folder belongs to one worker, whatever the others do."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from fleet.errors import MisuseError
from fleet.limits import Allowed, refuse_too_many
from fleet.order import FleetOrder, Scenario

_DEVICES: Final = "FLEET_DEVICES"
_WORKERS: Final = "FLEET_WORKERS"
_BUNDLE: Final = "FLEET_DEVICES_A_USER"
_SCENARIO: Final = "FLEET_SCENARIO"


@dataclass(frozen=True)
class SwarmOrder:
    """What all processes of a swarm are told alike, by their environment."""

    devices: Path
    """The folder in which the devices' folders are (``factory make --out``)."""
    workers: int
    bundle: int
    """How many devices one of Locust's users drives at a time."""
    fleet: FleetOrder

    @property
    def folders(self) -> Sequence[Path]:
        """The folders of all devices, in an order that is the same for every worker."""
        return sorted(each for each in self.devices.iterdir() if (each / "fuses").is_dir())

    def refuse_too_many(self, on: int, allowed: Allowed) -> None:
        """Refuse a worker's next bundle, beside the ``on`` devices that are on.

        Raises:
            FleetError: this machine has no room for it.
        """
        both = replace(self.fleet, devices=on + self.bundle)
        refuse_too_many(both, allowed, with_local_aws=False)

    def share(self, index: int) -> Sequence[Path]:
        """Return the folders of worker ``index``, which counts from 0."""
        return self.folders[index :: self.workers] if 0 <= index < self.workers else []


def swarm_order(environment: Mapping[str, str] = os.environ) -> SwarmOrder:
    """Return what the ``FLEET_*`` variables say.

    Raises:
        MisuseError: one of them is missing, or makes no sense.
    """
    place = Path(environment.get(_DEVICES, ""))
    if not environment.get(_DEVICES) or not place.is_dir():
        raise MisuseError(
            f"{_DEVICES} does not name a folder",
            f"Make devices with factory make --serials FILE --out DIR, and set {_DEVICES}=DIR.",
        )
    workers, bundle = (_number(environment, name) for name in (_WORKERS, _BUNDLE))
    wanted = environment.get(_SCENARIO, Scenario.FIRST_BOOT)
    if wanted not in list(Scenario):
        raise MisuseError(
            f"{_SCENARIO}={wanted} is not a scenario",
            f"Set {_SCENARIO} to one of {', '.join(Scenario)}.",
        )
    order = FleetOrder(1, scenario=Scenario(wanted))
    return SwarmOrder(place, workers, bundle, order)


def _number(environment: Mapping[str, str], name: str) -> int:
    text = environment.get(name, "1" if name == _WORKERS else "50")
    if not text.isdecimal() or int(text) < 1:
        raise MisuseError(
            f"{name}={text} is not a number of 1 or more", f"Set {name} to 1 or more."
        )
    return int(text)
