"""The manufacturing station: prepares the cloud for a method and fills devices.

``from factory import Station`` is the public API (docs/api.md); what it needs is loaded when it is
asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from factory.account.registry import Certificate, Registry, Thing
    from factory.api import Station
    from factory.errors import StationError
    from factory.making.device_orders import OrderOptions
    from factory.making.line_orders import BatchOrder
    from factory.methods.method import Choices
    from factory.methods.products import MadeDevice, RetiredDevice

__all__ = [
    "BatchOrder",
    "Certificate",
    "Choices",
    "MadeDevice",
    "OrderOptions",
    "Registry",
    "RetiredDevice",
    "Station",
    "StationError",
    "Thing",
]

_HOMES: Final = {
    "BatchOrder": "factory.making.line_orders",
    "Certificate": "factory.account.registry",
    "Choices": "factory.methods.method",
    "MadeDevice": "factory.methods.products",
    "OrderOptions": "factory.making.device_orders",
    "Registry": "factory.account.registry",
    "RetiredDevice": "factory.methods.products",
    "Station": "factory.api",
    "StationError": "factory.errors",
    "Thing": "factory.account.registry",
}


def __getattr__(name: str) -> object:
    """Load what is asked for (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
