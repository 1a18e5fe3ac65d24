"""What to do next: orders that a machine gives and the loop carries out, in order."""

from collections.abc import Mapping

from device.errors import FirstbootError
from device.provisioning.events import Credential
from device.provisioning.record import Record


class Action(Record, frozen=True):
    """An order."""


class Connect(Action, frozen=True):
    """Make one attempt to connect, without an automatic retry.

    With the device certificate the server's session is taken up where it was left; with any other
    certificate it begins clean. The claim's session ends with its connection.
    """

    credential: Credential
    client_id: str


class Subscribe(Action, frozen=True):
    """Subscribe to all ``topics`` in one packet.

    ``qos`` is 0 for replies, which a lost connection loses anyway, and 1 for what must arrive.
    """

    topics: tuple[str, ...]
    qos: int = 0


class Request(Action, frozen=True):
    """Publish at QoS 1 and await the reply on another topic; only a denial is reported."""

    topic: str
    payload: bytes


class Publish(Action, frozen=True):
    """Publish at QoS 1 and report the acknowledgement."""

    topic: str
    payload: bytes
    ticket: int = 0
    """Tells it from others that are under way; its acknowledgement has the same."""


class Disconnect(Action, frozen=True):
    """Close the connection and report `Disconnected`."""


class GenerateKey(Action, frozen=True):
    """Make the device key and its CSR, durably; report `KeyGenerated`."""


class StageCertificate(Action, frozen=True):
    """Check the certificate and store it with its token; report the outcome."""

    certificate_id: str
    certificate_pem: str
    ownership_token: str
    private_key_pem: str | None = None


class RecordRefusal(Action, frozen=True):
    """Add a round to the evidence against the staged certificate, durably."""


class GiveUpStagedCertificate(Action, frozen=True):
    """Drop the staged certificate and its token, and keep its id; a key of our own stays."""


class RecordRegistration(Action, frozen=True):
    """Store the thing's name and configuration, durably.

    ``device_configuration`` is None when the reply that held it was lost.
    """

    thing_name: str
    device_configuration: Mapping[str, str] | None


class Promote(Action, frozen=True):
    """Make the staged certificate the identity and destroy the claim, in one commit."""

    thing_name: str


class WaitBeforeRetry(Action, frozen=True):
    """Close what is open, back off, then start again from what is stored."""

    cause: FirstbootError


class Fail(Action, frozen=True):
    """Stop: trying again at once cannot help."""

    cause: FirstbootError
