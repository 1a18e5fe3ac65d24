"""What to do next: orders that a machine gives and the driver carries out, in order."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from device.errors import FirstbootError
from device.provisioning.events import Credential


@dataclass(frozen=True)
class Action:
    """An order."""


@dataclass(frozen=True)
class Connect(Action):
    """Make one attempt to connect: a clean start, no automatic retry."""

    credential: Credential
    client_id: str


@dataclass(frozen=True)
class Subscribe(Action):
    """Subscribe to all ``topics`` in one packet, QoS 0: a lost connection loses replies anyway."""

    topics: tuple[str, ...]


@dataclass(frozen=True)
class Request(Action):
    """Publish at QoS 1 and await the reply on another topic; only a denial is reported."""

    topic: str
    payload: bytes = field(repr=False)


@dataclass(frozen=True)
class Publish(Action):
    """Publish at QoS 1 and report the acknowledgement."""

    topic: str
    payload: bytes = field(repr=False)


@dataclass(frozen=True)
class Disconnect(Action):
    """Close the connection and report `Disconnected`."""


@dataclass(frozen=True)
class GenerateKey(Action):
    """Make the device key and its CSR, durably; report `KeyGenerated`."""


@dataclass(frozen=True)
class StageCertificate(Action):
    """Check the certificate and store it with its token; report the outcome."""

    certificate_id: str
    certificate_pem: str = field(repr=False)
    ownership_token: str = field(repr=False)
    private_key_pem: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class ForgetStagedCertificate(Action):
    """Drop the staged certificate and its token; the key stays."""


@dataclass(frozen=True)
class RecordRegistration(Action):
    """Store the thing's name and configuration, durably.

    ``device_configuration`` is None when the reply that held it was lost.
    """

    thing_name: str
    device_configuration: Mapping[str, str] | None


@dataclass(frozen=True)
class Promote(Action):
    """Make the staged certificate the identity and destroy the claim, in one commit."""

    thing_name: str


@dataclass(frozen=True)
class WaitBeforeRetry(Action):
    """Close what is open, back off, then start again from what is stored."""

    cause: FirstbootError


@dataclass(frozen=True)
class Fail(Action):
    """Stop: trying again at once cannot help."""

    cause: FirstbootError
