"""What ``scripts/demo --json`` prints, a type a line."""

from typing import Annotated, Final

from msgspec import UNSET, Meta, Struct, UnsetType

from scripts.demonstration.comparison import Row
from scripts.schemas.device_lines import CertificateId


class Step(Struct, frozen=True):
    """Something that the device did."""

    name: str
    ms: Annotated[float, Meta(ge=0)]


class Published(Struct, frozen=True):
    """A device that did all that was promised."""

    method: str
    serial: str
    thing_name: str
    certificate_id: CertificateId
    key_store: str
    steps: list[Step]
    published: bool


class Failed(Struct, frozen=True):
    """A method that failed, and what its command said; ``code`` if that is an error of ours."""

    method: str
    published: bool
    error: str
    command: str
    message: str
    next_step: str
    exit_code: Annotated[int, Meta(ge=1)]
    code: Annotated[str, Meta(pattern="^FB-[0-9]{3}$")] | UnsetType = UNSET


class Misuse(Struct, frozen=True):
    """The command line is not valid."""

    error: str
    message: str
    next_step: str
    exit_code: int


class Methods(Struct, frozen=True):
    """The methods side by side, with ``--method all``."""

    methods: list[Row]


LINES: Final[dict[str, tuple[type, ...]]] = {"demo": (Published, Failed, Misuse, Methods)}
