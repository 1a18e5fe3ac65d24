"""The firmware client of a simulated device for AWS IoT Core.

``from device import Device`` is the public API (docs/api.md). What it needs is loaded when it is
asked for, so that ``device --version`` loads no library, and ``device status`` no awscrt.
"""

TYPE_CHECKING = False  # as `typing` has it, which takes a tenth of `device --version`

if TYPE_CHECKING:
    from device.api import Device
    from device.errors import ExitCode, FirstbootError, StepNotReachedError, StoppedError
    from device.lifecycle.journal import Identity
    from device.lifecycle.status import Status
    from device.runtime.power import PowerCutError
    from device.runtime.timeline import Step

__version__ = "0.1.0"

__all__ = [
    "Device",
    "ExitCode",
    "FirstbootError",
    "Identity",
    "PowerCutError",
    "Status",
    "Step",
    "StepNotReachedError",
    "StoppedError",
]

_HOMES = {
    "Device": "device.api",
    "ExitCode": "device.errors",
    "FirstbootError": "device.errors",
    "Identity": "device.lifecycle.journal",
    "PowerCutError": "device.runtime.power",
    "Status": "device.lifecycle.status",
    "Step": "device.runtime.timeline",
    "StepNotReachedError": "device.errors",
    "StoppedError": "device.errors",
}


def __getattr__(name: str) -> object:
    """Load what is asked for (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415 - see TYPE_CHECKING

    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
