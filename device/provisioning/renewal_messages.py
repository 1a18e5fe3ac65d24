"""What device and cloud say to each other about a renewal: two topics a thing, JSON on both.

The device asks on ``firstboot/renewal/THING/device``. A topic rule calls the Lambda
``lambdas/renewal.py`` with the principal that AWS IoT saw, and the Lambda answers on
``firstboot/renewal/THING/cloud``.
"""

from typing import Final, Literal

import msgspec

from device.errors.text import foreign
from device.provisioning import limits
from device.provisioning.events import Event, MessageReceived, ReplyMalformed
from device.provisioning.messages import UNREADABLE
from device.provisioning.renewal_events import (
    CertificateRetired,
    OtherCertificateConfirmed,
    RenewalConfirmed,
    RenewalRefused,
)

MAX_ANSWER_BYTES: Final = 4096
_OPERATION: Final = "renewal"


class _Answer(msgspec.Struct, rename="camel"):
    step: Literal["confirmed", "refused", "retired"]
    certificate_id: limits.CertificateId
    """The principal that AWS IoT saw; with ``retired``, the certificate that was retired."""
    reason: str = ""


_ANSWER: Final = msgspec.json.Decoder(_Answer)


def topic_of_device(thing_name: str) -> str:
    """Return where the device asks."""
    return f"firstboot/renewal/{thing_name}/device"


def topic_of_cloud(thing_name: str) -> str:
    """Return where the cloud answers."""
    return f"firstboot/renewal/{thing_name}/cloud"


def proof(certificate_id: str, replaces: str) -> bytes:
    """Return what is sent with the new certificate: which one it is, and which one it replaces."""
    return _encoded("prove", certificate_id, replaces)


def retirement(certificate_id: str, retires: str) -> bytes:
    """Return the request to retire another certificate of this thing."""
    return _encoded("retire", certificate_id, retires)


def _encoded(step: str, certificate_id: str, replaces: str) -> bytes:
    fields = {"step": step, "certificateId": certificate_id, "replaces": replaces}
    return msgspec.json.encode(fields)


def decode_confirmation(message: MessageReceived, expected: str) -> Event | None:
    """Return what the cloud says of the certificate ``expected``; None: of something else."""
    answer = _decoded(message)
    if not isinstance(answer, _Answer):
        return answer
    if answer.step == "retired":
        return None
    if answer.certificate_id != expected:
        return OtherCertificateConfirmed(expected, answer.certificate_id)
    if answer.step == "refused":
        return RenewalRefused(foreign(answer.reason))
    return RenewalConfirmed(answer.certificate_id)


def decode_retirement(message: MessageReceived, expected: str) -> Event | None:
    """Return that the cloud retired the certificate ``expected``; None: it says something else."""
    answer = _decoded(message)
    if not isinstance(answer, _Answer):
        return answer
    if answer.step != "retired" or answer.certificate_id != expected:
        return None
    return CertificateRetired(answer.certificate_id)


def _decoded(message: MessageReceived) -> _Answer | ReplyMalformed:
    if len(message.payload) > MAX_ANSWER_BYTES:
        problem = f"{len(message.payload)} bytes, {MAX_ANSWER_BYTES} at most are taken"
        return ReplyMalformed(_OPERATION, problem)
    try:
        return _ANSWER.decode(message.payload)
    except UNREADABLE as error:
        return ReplyMalformed(_OPERATION, foreign(str(error)))
