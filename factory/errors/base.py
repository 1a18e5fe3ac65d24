"""The base of the station's errors."""

from device.errors import FirstbootError


class StationError(FirstbootError):
    """The station cannot do what it was asked to."""
