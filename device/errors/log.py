"""The device's loggers for code that logs rarely: `logging` is a twelfth of `device status`."""

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from logging import Logger


@cache
def logger(name: str) -> "Logger":
    """Return the logger ``name``, below ``device``.

    A program that has not set logging up gets no words of the device on its standard error.
    """
    import logging  # noqa: PLC0415 - 4 ms, and most commands log nothing

    device = logging.getLogger("device")
    if not device.handlers:
        device.addHandler(logging.NullHandler())
    return logging.getLogger(name)
