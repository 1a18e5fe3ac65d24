"""The firmware client of a simulated device for AWS IoT Core."""

from typing import Final

__version__: Final = "0.1.0"
