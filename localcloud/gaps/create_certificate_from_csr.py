"""CreateCertificateFromCsr over MQTT, ``$aws/certificates/create-from-csr/json``.

The device sends ``{"certificateSigningRequest": PEM}`` and gets ``certificateId``,
``certificatePem`` and ``certificateOwnershipToken`` on ``.../accepted``, or ``statusCode``,
``errorCode`` and ``errorMessage`` on ``.../rejected``, on the connection that asked (developer
guide, "Device provisioning MQTT API"; docs/aws-iot-facts.md, 2.1 to 2.5). The certificate
keeps the CSR's subject and key and is PENDING_ACTIVATION until RegisterThing. AWS publishes no
list of error codes: the one for a bad CSR is ours, its message is that of the REST call.
"""

import json
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

from localcloud.gaps.ownership_tokens import TOKEN_SECONDS, Reply, new_token
from localcloud.seam import Seam

OPERATION: Final = "create-from-csr"
TOPIC: Final = "$aws/certificates/create-from-csr/json"


def is_open(iot: Seam) -> bool:
    """Whether MiniStack still does not know the topic."""
    return iot["_parse_fleet_provisioning_topic"](TOPIC) is None


def close(iot: Seam) -> None:
    """Let the broker recognise the topic and answer it.

    MiniStack's own code around both stays in force: policies, the refusal of clients without
    a certificate, and the reply on this connection only.
    """
    parse: Callable[[str], tuple[str, str | None] | None] = iot["_parse_fleet_provisioning_topic"]
    reply: Callable[..., Awaitable[Reply]] = iot["_fleet_provisioning_reply"]

    def parse_topic(topic: str) -> tuple[str, str | None] | None:
        return (OPERATION, None) if topic == TOPIC else parse(topic)

    async def answer(account: str, region: str, operation: str, *rest: Any) -> Reply:
        if operation == OPERATION:
            _template, payload, _connection = rest
            return _create(iot, account, region, payload)
        return await reply(account, region, operation, *rest)

    iot["_parse_fleet_provisioning_topic"] = parse_topic
    iot["_fleet_provisioning_reply"] = answer


def _create(iot: Seam, account: str, region: str, payload: bytes) -> Reply:
    rejected: Callable[[str, str], Reply] = iot["_fleet_rejected"]
    request = parse_request(payload)
    if request is None:
        return rejected("InvalidPayload", "Message cannot be parsed")
    csr = request.get("certificateSigningRequest")
    if not isinstance(csr, str) or not csr:
        return rejected("InvalidCsr", "Certificate signing request cannot be empty.")
    try:
        certificate = iot["sign_certificate_request"](*iot["_ensure_ca"](), csr)
    except ValueError:
        return rejected("InvalidCsr", "CSR violates constraints")
    return "accepted", register(iot, account, region, certificate)


def parse_request(payload: bytes) -> dict[str, object] | None:
    """Return a request, or None of what is not a JSON object."""
    try:
        request = json.loads(payload)
    except (ValueError, RecursionError):  # what is not UTF-8 is a ValueError, too
        return None
    return request if isinstance(request, dict) else None


def register(iot: Seam, account: str, region: str, certificate: str) -> dict[str, object]:
    """Keep a certificate as PENDING_ACTIVATION; return what its device is told."""
    certificate_id = iot["get_certificate_id"](certificate)
    token = new_token()
    with iot["request_scope"](account, region):
        iot["_certificates"][certificate_id] = iot["_certificate_record"](
            certificate_id, certificate, "PENDING_ACTIVATION"
        )
        iot["_drop_expired"](iot["_ownership_tokens"])
        iot["_ownership_tokens"][token] = {
            "certificateId": certificate_id,
            "expiration": time.time() + TOKEN_SECONDS,
        }
    return {
        "certificateOwnershipToken": token,
        "certificateId": certificate_id,
        "certificatePem": certificate,
    }
