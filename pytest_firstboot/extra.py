"""Whether the packages of an extra are installed, asked before any of them is imported."""

from importlib.util import find_spec
from typing import Final

STATION: Final = ("boto3", "rich")
"""What the station needs beyond what a device needs."""
LOCAL_AWS: Final = ("ministack", "hypercorn", "cbor2")
"""What the local AWS needs beyond that."""


class ExtraMissingError(Exception):
    """Packages are missing; says which extra brings them, and the command."""


def check_installed(extra: str, *packages: str) -> None:
    """Find the ``packages`` that the ``extra`` of Firstboot brings; none of them is loaded.

    Raises:
        ExtraMissingError: not all are installed.
    """
    missing = [name for name in packages if find_spec(name) is None]
    if missing:
        raise ExtraMissingError(
            f"the extra '{extra}' is not installed: no {', '.join(missing)}. Install it: "
            f"pip install 'firstboot[{extra}]'"
        )
