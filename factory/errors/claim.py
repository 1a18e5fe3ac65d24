"""Handing a claim to a waiting device."""

from pathlib import Path

from device.errors import ExitCode
from factory.errors.base import StationError


class NobodyWaitsError(StationError):
    """No device waits for a claim at this socket."""

    exit_code = ExitCode.TRY_LATER

    def __init__(self, place: Path, problem: str) -> None:
        """Name the ``place``, and what was seen there."""
        super().__init__(f"no device waits for a claim at {place}: {problem}")
        self.place = place
        self.next_step = (
            "Start the device first and leave it waiting: device boot --wait-for-claim --config "
            "config/trusted-user.yaml --state DIR. Then run this command again."
        )


class ClaimRefusedError(StationError):
    """The device refused the claim, and is still waiting."""

    next_step = (
        "Run the same command again to get a new claim. If the device calls a new one too old, "
        "compare the clocks of device and station."
    )

    def __init__(self, problem: str) -> None:
        """Keep the device's own words."""
        super().__init__(f"the device refused the claim: {problem}")
        self.problem = problem


class ClaimNameError(StationError):
    """A claim that is called by its name cannot be made, or used."""

    next_step = (
        "factory claim list shows the claims of this station and until when each is good. Make "
        "one: factory claim new --name NAME"
    )
