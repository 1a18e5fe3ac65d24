"""A power cut on purpose: a boot that ends at a named step as if the plug was pulled."""

from typing import Final

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


def check_step(step: str) -> None:
    """Refuse a step that no device has.

    Raises:
        ValueError: no device has it.
    """
    if step not in NAMED_STEPS:
        raise ValueError(f"there is no step {step!r}; the steps are: {', '.join(NAMED_STEPS)}")
