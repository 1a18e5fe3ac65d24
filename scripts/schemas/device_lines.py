"""What ``device`` prints with ``--json``, a type a line."""

from typing import Annotated, Final

from msgspec import Meta, Struct

from device.doctor.finding import Finding
from device.lifecycle.status import Status
from device.runtime.renewal_status import RenewalStatus

CertificateId = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]


class Error(Struct, frozen=True):
    """What went wrong; it is the last line, and the command ends with `exit_code`."""

    error: Annotated[str, Meta(description="The name of the error.")]
    code: Annotated[str, Meta(pattern="^FB-[0-9]{3}$", description="docs/errors.md has them.")]
    message: str
    next_step: Annotated[str, Meta(description="What to do about it.")]
    exit_code: Annotated[int, Meta(ge=1, le=255)]


class Step(Struct, frozen=True):
    """Something that the device did, as it happens."""

    step: str
    ms: Annotated[float, Meta(ge=0, description="Milliseconds since the program started.")]
    detail: str


class Identity(Struct, frozen=True):
    """Who the device is."""

    method: str
    thing_name: str
    certificate_id: CertificateId
    key_uri: str
    key_made_by: Annotated[str, Meta(description="device or aws.")]


class Proven(Struct, frozen=True):
    """The identity is proven."""

    identity: Identity


class Stopped(Struct, frozen=True):
    """The device was asked to stop."""

    stopped: Annotated[str | None, Meta(description="The signal; null without one.")]


class Renewed(Struct, frozen=True):
    """The identity after the renewal."""

    identity: Identity


class WasReset(Struct, frozen=True):
    """The device is as the station delivered it."""

    reset: Annotated[bool, Meta(description="Whether anything changed.")]


class Decommissioned(Struct, frozen=True):
    """Every key of the device is destroyed."""

    decommissioned: bool
    lifecycle: str


class Counted(Struct, frozen=True):
    """What the device counted, and what its storage says now."""

    metrics: Annotated[
        dict[str, float], Meta(description="Values by OpenMetrics name, without firstboot_.")
    ]


class Explained(Struct, frozen=True):
    """What the code of an error means."""

    code: Annotated[str, Meta(pattern="^FB-[0-9]{3}$")]
    error: Annotated[str, Meta(description="The name of the error.")]
    title: str
    means: str
    causes: list[str]
    next_step: str
    exit_code: Annotated[int, Meta(ge=1, le=255)]
    reproduce: Annotated[
        list[str], Meta(description="Lines for a shell; see *Reproduce an error* on the page.")
    ]
    needs: Annotated[str, Meta(description="What the error needs, if there are no such lines.")]
    page: str


LINES: Final[dict[str, tuple[type, ...]]] = {
    "boot": (Step, Proven),
    "run": (Step, Proven, Stopped),
    "status": (Status,),
    "needs-renewal": (RenewalStatus,),
    "renew": (Step, Renewed),
    "reset": (WasReset,),
    "decommission": (Decommissioned,),
    "metrics": (Counted,),
    "explain": (Explained,),
    "doctor": (Finding,),
}
