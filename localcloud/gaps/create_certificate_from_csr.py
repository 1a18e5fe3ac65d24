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

from localcloud.broker.provisioning import CREATE_FROM_CSR, Reply, rejected
from localcloud.gaps.ownership_tokens import TOKEN_SECONDS, new_token
from localcloud.seam import Seam

_TOPIC: Final = "$aws/certificates/create-from-csr/json"


def is_open(iot: Seam) -> bool:
    """Whether MiniStack still does not know the topic."""
    return iot["_parse_fleet_provisioning_topic"](_TOPIC) is None


def close(iot: Seam) -> None:
    """Answer it; the broker knows the topic."""
    reply: Callable[..., Awaitable[Reply]] = iot["_fleet_provisioning_reply"]

    async def answer(account: str, region: str, operation: str, *rest: Any) -> Reply:
        if operation == CREATE_FROM_CSR:
            _template, payload, _connection = rest
            return _create(iot, account, region, payload)
        return await reply(account, region, operation, *rest)

    iot["_fleet_provisioning_reply"] = answer


def _create(iot: Seam, account: str, region: str, payload: bytes) -> Reply:
    csr = csr_of(payload)
    if not isinstance(csr, str):
        return csr
    try:
        certificate = iot["sign_certificate_request"](*iot["_ensure_ca"](), csr)
    except ValueError:
        return bad_csr()
    return "accepted", register(iot, account, region, certificate)


def csr_of(payload: bytes) -> str | Reply:
    """Return the CSR of a request, as PEM, or the reply to a request without one."""
    try:
        request = json.loads(payload)
    except (ValueError, RecursionError):  # what is not UTF-8 is a ValueError, too
        request = None
    if not isinstance(request, dict):
        return rejected("InvalidPayload", "Message cannot be parsed")
    csr = request.get("certificateSigningRequest")
    if not isinstance(csr, str) or not csr:
        return rejected("InvalidCsr", "Certificate signing request cannot be empty.")
    return csr


def bad_csr() -> Reply:
    """Return the reply to a CSR that AWS IoT does not sign."""
    return rejected("InvalidCsr", "CSR violates constraints")


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
