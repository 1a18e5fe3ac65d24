"""What ``scripts/demo --json`` prints, a type a line."""

from typing import Annotated, Final

from msgspec import Meta, Struct

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
    """A method that failed, with ``--method all``."""

    method: str
    published: bool


class Methods(Struct, frozen=True):
    """The methods side by side, with ``--method all``."""

    methods: list[Row]


LINES: Final[dict[str, tuple[type, ...]]] = {"demo": (Published, Failed, Methods)}
