"""What ``localcloud`` prints with ``--json``, a type a line."""

from typing import Annotated, Any, Final, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from localcloud.faults.kinds import AnyFault
from scripts.schemas.device_lines import Explained

By = Literal["device", "cloud"]
Port = Annotated[int, Meta(ge=1, le=65535)]
Number = Annotated[int, Meta(ge=1)]


class Up(Struct, frozen=True):
    """It answers."""

    state: str
    pid: int
    api_port: Port
    mqtt_port: Port


class NotRunning(Struct, frozen=True):
    """Nothing runs on this folder."""

    state: str
    running: bool


class Running(Struct, frozen=True):
    """It runs."""

    running: bool
    state: str
    pid: int
    faults: Annotated[int, Meta(description="How many are switched on.")]
    rude_percent: int
    seed: int
    clock_now: str
    clock_ahead_seconds: float
    api_port: Port
    mqtt_port: Port


class Line(Struct, frozen=True):
    """A line of the server's log."""

    line: str


class Opened(Struct, frozen=True):
    """A connection is open."""

    number: Number
    connection: Number
    ms: float
    by: By
    event: Literal["opened"]
    tls: str | None
    server_name: str | None
    certificate_id: str | None


class Closed(Struct, frozen=True):
    """A connection was closed."""

    number: Number
    connection: Number
    ms: float
    by: By
    event: Literal["closed"]


class Refused(Struct, frozen=True):
    """The broker refuses something, and why."""

    number: Number
    connection: Number
    ms: float
    by: By
    event: Literal["refused"]
    reason: str


class Packet(Struct, frozen=True):
    """An MQTT packet."""

    number: Number
    connection: Number
    ms: float
    by: By
    packet: str
    bytes: int
    version: int | UnsetType = UNSET
    client_id: str | UnsetType = UNSET
    topics: list[str] | UnsetType = UNSET
    qos: Annotated[int, Meta(ge=0, le=3)] | UnsetType = UNSET
    fields: Annotated[list[str], Meta(description="The names of the payload's fields.")] | (
        UnsetType
    ) = UNSET
    reason_codes: list[int] | UnsetType = UNSET
    hex: Annotated[str, Meta(description="All of it, if the setting wire_contents is on.")] | (
        UnsetType
    ) = UNSET
    reason: Annotated[str, Meta(description="The words of AWS in a rejection.")] | UnsetType = UNSET


class Address(Struct, frozen=True):
    """The page is served here."""

    address: str


class Cleared(Struct, frozen=True):
    """The events are forgotten."""

    cleared: bool


class FaultOn(Struct, frozen=True):
    """A fault is switched on."""

    id: Number


class TokensAged(Struct, frozen=True):
    """Ownership tokens are older."""

    tokens: int


class FaultOff(Struct, frozen=True):
    """A fault, or all of them, is switched off."""

    off: str


class Clock(Struct, frozen=True):
    """The cloud's clock."""

    now: str
    ahead_seconds: float


class WasReset(Struct, frozen=True):
    """It is empty."""

    state: str
    reset: bool


class Down(Struct, frozen=True):
    """It is stopped."""

    state: str
    stopped: Annotated[bool, Meta(description="Whether it ran before.")]


WIRE: Final = (Opened, Closed, Refused, Packet)
LINES: Final[dict[str, tuple[Any, ...]]] = {
    "up": (Up,),
    "env": (dict[str, str],),
    "status": (NotRunning, Running),
    "logs": (Line,),
    "watch": (*WIRE, Address),
    "fault": (FaultOn, TokensAged, FaultOff, AnyFault),
    "wire": (*WIRE, Cleared),
    "clock": (Clock,),
    "reset": (WasReset,),
    "down": (Down,),
    "explain": (Explained,),
}
