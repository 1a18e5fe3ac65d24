"""A power cut on purpose: a boot that ends at a named step as if the plug was pulled."""

from typing import Final

from device.errors import FirstbootError
from device.runtime.timeline import CONNECTED, STEPS

NAMED_STEPS: Final = tuple(
    dict.fromkeys([
        "storage opened", *STEPS.values(), *CONNECTED.values(), "claim destroyed",
        "certificate promoted", "operating", "telemetry acknowledged",
    ])
)  # fmt: skip
"""The steps at which the power can be cut."""


class PowerCutError(BaseException):
    """The plug was pulled. Not an Exception, so that no handler swallows it.

    What was committed to the storage is there, and nothing else; no DISCONNECT was sent.
    """

    def __init__(self, step: str) -> None:
        """Name the ``step`` that was the last one."""
        super().__init__(f"the power was cut after {step!r}")
        self.step = step


class StepNotReachedError(FirstbootError):
    """The boot ended before it came to the step after which the power was to be cut."""

    def __init__(self, step: str, seen: list[str]) -> None:
        """Name the ``step``, and those that were ``seen``."""
        super().__init__(f"the device never came to {step!r}; it went through {', '.join(seen)}")
        self.step = step
        self.next_step = "Name one of the steps that this device goes through from here on."


def check_step(step: str) -> None:
    """Refuse a step that no device has.

    Raises:
        ValueError: it is one.
    """
    if step not in NAMED_STEPS:
        raise ValueError(f"there is no step {step!r}; one of {', '.join(NAMED_STEPS)}")
