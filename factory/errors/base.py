"""The base of the station's errors, and of those that concern one device of many."""

from device.errors import FirstbootError


class StationError(FirstbootError):
    """The station cannot do what it was asked to."""


class OneDeviceError(StationError):
    """Something is wrong with one device; a batch continues with the others."""
