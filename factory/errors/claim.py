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
    next_step="Start the device first and leave it waiting: device boot --wait-for-claim --state "
    "DIR. Then run this command again.",
    sentence="no device waits for a claim at {place}: {problem}",
    exit_code=ExitCode.TRY_LATER,
    kind=StationError,
    reproduce=(
        ("factory claim --trusted-user --template firstboot-claim --device {code}  # {code}"),
    ),
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
    reproduce=(
        "factory make --method trusted-user --serial {code} --out {code}",
        (
            'python -c "import time; now = time.time; time.time = lambda: now() + 600; '
            "from device.cli import main; "
            "main(['boot', '--state', '{code}', '--wait-for-claim'])\" &"
        ),
        "until [ -S {code}/claim ]; do sleep 0.1; done",
        (
            "factory claim --trusted-user --template firstboot-claim --device {code} "
            "--own-credentials  # {code}"
        ),
        "kill $!",
    ),
)
CLAIM_NAME: Final = Row(
    "FB-733",
    "ClaimNameError",
    "The claim of this name cannot be made or used",
    means="The station cannot make, or use, the claim of this name.",
    causes=("The claim has ended or was turned off.", "The name is misspelt, or already in use."),
    next_step="factory claim list shows this station's claims and when each one ends. To make one: "
    "factory claim new --name NAME",
    kind=StationError,
    reproduce=("factory claim expire --name {code}  # {code}",),
)
