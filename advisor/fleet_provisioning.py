"""AWS IoT's fleet provisioning by claim, for one client and one case, with answers that lie.

Source: AWS IoT Core Developer Guide, "Device provisioning MQTT API".
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256, Hash
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from advisor.certificates import Authority
from advisor.script import Message
from advisor.services import parsed

CREATE: Final = "$aws/certificates/create-from-csr/json"
Answer = Callable[[str, bytes], list[Message]]
"""Takes the topic of a request and the honest payload of its acceptance; returns what is sent."""


def provision_topic(template: str) -> str:
    """Return the topic of RegisterThing."""
    return f"$aws/provisioning-templates/{template}/provision/json"


class FleetProvisioning:
    """Issues certificates for CSRs and registers one thing."""

    def __init__(
        self,
        template: str,
        thing_name: str,
        created: Sequence[Answer] = (),
        registered: Sequence[Answer] = (),
    ) -> None:
        """Give the first answers to each request as told, and honest ones after that."""
        self._authority: Final = Authority("advisor issuer")
        self._provision: Final = provision_topic(template)
        self._thing_name: Final = thing_name
        self._created: Final = list(created)
        self._registered: Final = list(registered)
        self._has_thing = False

    @property
    def ca_pem(self) -> bytes:
        """The CA of the certificates that it issues."""
        return self._authority.root_pem

    def lets_in(self, client_id: str) -> bool:
        """Refuse the thing before it is registered: until then its certificate has no policy."""
        return self._has_thing or client_id != self._thing_name

    def subscribed(self, topic_filter: str) -> list[Message]:
        """Send nothing unasked."""
        del topic_filter
        return []

    def published(self, topic: str, payload: bytes) -> list[Message]:
        """Answer CreateCertificateFromCsr and RegisterThing."""
        request = parsed(payload)
        if topic == CREATE and isinstance(request, Mapping):
            answers, said = (
                self._created,
                self._certificate(str(request["certificateSigningRequest"])),
            )
        elif topic == self._provision:
            answers, said = self._registered, self._registration()
            self._has_thing = True
        else:
            return []
        answer = answers.pop(0) if answers else honest
        return answer(topic, json.dumps(said).encode())

    def _certificate(self, csr_pem: str) -> dict[str, Any]:
        pem = self._authority.sign_csr(csr_pem.encode())
        return _as_issued(pem, "an-ownership-token")

    def _registration(self) -> dict[str, Any]:
        return {"deviceConfiguration": {}, "thingName": self._thing_name}


def _as_issued(pem: bytes, token: str) -> dict[str, Any]:
    digest = Hash(SHA256())
    digest.update(x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER))
    identifier = digest.finalize().hex()
    return {
        "certificateId": identifier,
        "certificatePem": pem.decode(),
        "certificateOwnershipToken": token,
    }


# --- answers --------------------------------------------------------------------------


def honest(topic: str, payload: bytes) -> list[Message]:
    """Accept."""
    return [(f"{topic}/accepted", payload)]


def lost(_topic: str, _payload: bytes) -> list[Message]:
    """Say nothing."""
    return []


def rejected(status: int, code: str) -> Answer:
    """Return an answer that rejects."""
    said = {"statusCode": status, "errorCode": code, "errorMessage": "The advisor says so."}
    return lambda topic, _payload: [(f"{topic}/rejected", json.dumps(said).encode())]


def replaced(payload: bytes) -> Answer:
    """Return an answer that accepts with these bytes."""
    return lambda topic, _payload: [(f"{topic}/accepted", payload)]


def cut_short(topic: str, payload: bytes) -> list[Message]:
    """Accept with the first half of the payload."""
    return [(f"{topic}/accepted", payload[: len(payload) // 2])]


def of_another_key(topic: str, _payload: bytes) -> list[Message]:
    """Accept with a certificate for a key that the client does not have."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "somebody else")])
    builder = x509.CertificateSigningRequestBuilder().subject_name(name)
    csr = builder.sign(ec.generate_private_key(ec.SECP256R1()), SHA256())
    pem = Authority("advisor issuer").sign_csr(csr.public_bytes(Encoding.PEM))
    said = _as_issued(pem, HOSTILE_TOKEN)
    return [(f"{topic}/accepted", json.dumps(said).encode())]


HOSTILE_TOKEN: Final = "a-token-for-another-key"  # noqa: S105 - of no account
