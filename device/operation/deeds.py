"""What tasks have the device do beside its connection, and the facts that come of it."""

from collections.abc import Mapping
from enum import StrEnum

from device.operation.task import Deed
from device.provisioning.events import Event


class Kept(StrEnum):
    """What is kept over a power cut for a task."""

    SETTINGS = "settings changed from afar"
    JOB = "the job at hand"
    COMMAND = "the command at hand"


class Keep(Deed, frozen=True):
    """Keep ``payload`` durably, in the place of what was kept; nothing removes it.

    Where the disk refuses, no `Restart` and no `FactoryReset` follows until it no longer does.
    """

    what: Kept
    payload: bytes


class Configure(Deed, frozen=True):
    """Let ``settings`` hold from now on, durably; the fact is `Reconfigured` or a failed `Done`."""

    ticket: str
    settings: Mapping[str, float]


class CollectDiagnostics(Deed, frozen=True):
    """Find out how the device does; the fact is `Done`, with what was found."""

    ticket: str


class Identify(Deed, frozen=True):
    """Let a person see which device this is; the fact is `Done`."""

    ticket: str


class Restart(Deed, frozen=True):
    """End the operation, and start the device anew.

    No fact comes any more, but for a failed `Done` where what is needed after it was not kept.
    """

    ticket: str


class FactoryReset(Deed, frozen=True):
    """As `Restart`, and reset the device in between."""

    ticket: str


class Renew(Deed, frozen=True):
    """Get a new certificate for a new key; the fact is `Done`, when that is promoted or failed."""

    ticket: str


class ReplaceTrustAnchors(Deed, frozen=True):
    """Trust the CAs in ``root_ca_pem`` once a connection proved them; the fact is `Done`."""

    ticket: str
    root_ca_pem: str


class Done(Event, frozen=True):
    """What was ordered with ``ticket`` is done, or failed because of ``problem``."""

    ticket: str
    details: Mapping[str, str] = {}
    problem: str = ""
