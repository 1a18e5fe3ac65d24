"""Handing a claim to a device."""

from typing import Final

from device.errors import ExitCode, Row
from factory.errors.base import StationError

NOBODY_WAITS: Final = Row(
    "FB-731",
    "NobodyWaitsError",
    "No device waits for a claim",
    means="No device waits for a claim at this socket.",
    causes=("The device was not started, or has ended.", "The socket is another one."),
    next_step="Start the device first and leave it waiting: device boot --wait-for-claim --config "
    "config/trusted-user.yaml --state DIR. Then run this command again.",
    sentence="no device waits for a claim at {place}: {problem}",
    exit_code=ExitCode.TRY_LATER,
    kind=StationError,
)
CLAIM_REFUSED: Final = Row(
    "FB-732",
    "ClaimRefusedError",
    "The device refused the claim",
    means="The device refused the claim, and is still waiting.",
    causes=("The clocks of device and station differ.", "The claim was damaged on the way."),
    next_step="Run the same command again to get a new claim. If the device calls a new one too "
    "old, compare the clocks of device and station.",
    sentence="the device refused the claim: {problem}",
    kind=StationError,
)
CLAIM_NAME: Final = Row(
    "FB-733",
    "ClaimNameError",
    "The claim of this name cannot be made or used",
    means="A claim that is called by its name cannot be made, or used.",
    causes=("Its time is over, or it was turned off.", "The name is misspelt, or taken already."),
    next_step="factory claim list shows the claims of this station and until when each is good. "
    "Make one: factory claim new --name NAME",
    kind=StationError,
)
