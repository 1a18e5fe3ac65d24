"""What a test does to a device: boot it, cut its power, disturb its network, look at the wire."""

from collections.abc import Callable
from pathlib import Path
from secrets import token_hex
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from device import Device, Identity
    from factory import Station
    from pytest_firstboot.local_aws import Fault, LocalAWS

QUICK: Final = {
    "DEVICE_CONNECTION__RETRY__LONGEST": "1",
    "DEVICE_CONNECTION__RETRY__GIVE_UP_REFUSED_AFTER": "10",
    "DEVICE_CONNECTION__RETRY__GIVE_UP_UNREACHABLE_AFTER": "30",
}
"""How a device under test tries again: soon, and not for minutes."""

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


class Maker:
    """Makes devices, each method prepared once; a device is made, and not booted."""

    def __init__(self, station: "Station", folder: Path) -> None:
        """Make the devices of ``station`` in ``folder``."""
        self.devices: Final[list[Device]] = []
        """All that were made, the latest last."""
        self._station: Final = station
        self._folder: Final = folder

    def __call__(
        self,
        serial: str | None = None,
        *,
        method: str = "claim",
        environment: dict[str, str] | None = None,
        **options: Any,
    ) -> "Device":
        """Make a device.

        Args:
            serial: its serial number; default: a new one.
            method: how it provisions itself; `factory.Station.prepare` is run for it.
            environment: ``DEVICE_*`` variables with which it boots.
            options: what else it is to be, as `factory.OrderOptions` has it.

        Raises:
            StationError, StorageError: as for `factory.Station.make`.
        """
        from device import Device  # noqa: PLC0415 - not every test run needs it
        from factory import OrderOptions  # noqa: PLC0415

        prepare(self._station, method)
        serial = serial or f"SN-{token_hex(4).upper()}"
        wanted = OrderOptions(method, **options) if options else None
        made = self._station.make(method, serial, self._folder / serial, options=wanted)
        device = Device(made.state, environment={**QUICK, **(environment or {})})
        self.devices.append(device)
        return device


_PREPARED: Final[set[tuple[Path, str]]] = set()


def prepare(station: "Station", method: str) -> None:
    """Prepare ``method``, unless this test run has done so with this station.

    Raises:
        StationError, StorageError: as for `factory.Station.prepare`.
    """
    place = (station.folder, method)
    if place not in _PREPARED:
        station.prepare(method)
        _PREPARED.add(place)


class Boot:
    """Boots the device of a test, or another one."""

    def __init__(self, own: "Callable[[], Device]") -> None:
        """Boot ``own()`` unless a device is named."""
        self._own: Final = own

    def __call__(self, device: "Device | None" = None) -> "Identity":
        """Boot, and return who the device is.

        Raises:
            FirstbootError, PowerCutError: as for `device.Device.boot`.
        """
        return (device or self._own()).boot()


class PowerCut:
    """Cuts the power of a device in its next boot."""

    def __init__(self, own: "Callable[[], Device]") -> None:
        """Cut that of ``own()`` unless a device is named."""
        self._own: Final = own
        self._armed: Final[list[Device]] = []

    def __call__(self, *, after: str, device: "Device | None" = None) -> "ExpectedCut":
        """Let the next boot end after the step ``after``, such as ``certificate staged``.

        In a ``with`` statement the cut is expected: whatever boots inside ends there.

        Raises:
            ValueError: no device has such a step; the text names those that there are.
        """
        chosen = device or self._own()
        chosen.cut_power(after=after)
        self._armed.append(chosen)
        return ExpectedCut(chosen)

    def check(self) -> None:
        """Raise AssertionError if a cut that was ordered never came."""
        left = [f"{each.state.name}: {each.last_step}" for each in self._armed if each.last_step]
        if left:
            raise AssertionError(f"power cuts were ordered, and nothing booted: {', '.join(left)}")


class ExpectedCut:
    """A ``with`` block in which the power is cut."""

    def __init__(self, device: "Device") -> None:
        """Expect that ``device`` loses its power."""
        self._device: Final = device

    def __enter__(self) -> "Device":
        return self._device

    def __exit__(
        self,
        _: type[BaseException] | None,
        error: BaseException | None,
        __: TracebackType | None,
    ) -> bool:
        """Take the cut for what was wanted; a boot that was not cut has raised already."""
        from device import PowerCutError  # noqa: PLC0415 - not every test run needs it

        return isinstance(error, PowerCutError)


class Network:
    """Disturbs the network between devices and the local AWS; all is well again after the test."""

    def __init__(self, local_aws: "LocalAWS") -> None:
        """Disturb that of ``local_aws``."""
        self._local_aws: Final = local_aws

    def fault(self, kind: str, **fields: object) -> "Fault":
        """Switch a fault on; kinds and fields are in docs/local-aws.md.

        Raises:
            LocalAWSError: there is no such kind or field; the text names it.
        """
        return self._local_aws.fault(kind, **fields)

    def clear(self) -> None:
        """Switch every fault off."""
        self._local_aws.clear_faults()


class CloudClock:
    """The cloud's clock; it is right again after the test."""

    def __init__(self, local_aws: "LocalAWS") -> None:
        """Set that of ``local_aws``."""
        self._local_aws: Final = local_aws
        self.is_ahead = False
        """Whether it was advanced."""

    def now(self) -> str:
        """Return the cloud's time, in UTC, as ISO 8601 has it."""
        return str(self._local_aws.clock()["now"])

    def advance(self, by: float | str) -> None:
        """Set it ahead by seconds, or by a duration such as ``90d``, ``15m`` or ``2w``.

        Raises:
            ValueError: it is no duration.
        """
        self.is_ahead = True
        self._local_aws.advance_clock(by if isinstance(by, int | float) else _seconds(by))


class Wire:
    """What devices and broker said to each other since the test began."""

    def __init__(self, local_aws: "LocalAWS") -> None:
        """Begin now."""
        self._local_aws: Final = local_aws
        self._begun: Final = max((each["number"] for each in local_aws.wire()), default=0)

    @property
    def events(self) -> list[dict[str, Any]]:
        """Every packet, connection and refusal, the oldest first (docs/local-aws.md)."""
        return self._local_aws.wire(self._begun)

    def packets(self, name: str, *, by: str | None = None) -> list[dict[str, Any]]:
        """Return the packets called ``name``, such as CONNECT, ``by`` device or cloud."""
        return [
            each
            for each in self.events
            if each.get("packet") == name and by in {None, each.get("by")}
        ]


def _seconds(text: str) -> float:
    number, unit = text[:-1], text[-1:]
    if unit not in _UNITS:
        raise ValueError(f"{text!r} is not a duration such as 90d or 15m")
    return float(number) * _UNITS[unit]
