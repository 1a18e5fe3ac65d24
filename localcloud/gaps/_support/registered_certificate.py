"""Where the certificate of a RegisterThing request comes from: a CSR, an id or a PEM.

Developer guide, "Provisioning templates", Certificate resources; docs/aws-iot-facts.md, 3.2.
"""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from localcloud.gaps._support.rest import RefusedError, invalid_template
from localcloud.seam import Seam

_SOURCES: Final = ("CertificateSigningRequest", "CertificateId", "CertificatePem")
WORKFLOW: Final = "Register thing workflow execution terminates due to: "

Certificate = dict[str, Any]
"""A certificate as MiniStack's registry keeps it."""
Properties = Mapping[str, Any]


async def find_certificate(iot: Seam, properties: Properties, role_arn: str) -> Certificate:
    """Return the certificate that ``properties`` name; a new one is not in the registry yet.

    Raises:
        RefusedError: there is none, it is not valid, or the role may not.
    """
    given = [source for source in _SOURCES if properties.get(source)]
    match given:
        case ["CertificateSigningRequest"]:
            return _from_csr(iot, properties, role_arn)
        case ["CertificateId"]:
            return _by_id(iot, properties)
        case ["CertificatePem"]:
            return await _from_pem(iot, properties, role_arn)
    raise invalid_template(f"The certificate needs exactly one of {', '.join(_SOURCES)}.")


def workflow_failed(message: str) -> RefusedError:
    """Return the refusal of a request that one of the calls behind it refused."""
    return RefusedError("ResourceRegistrationFailureException", WORKFLOW + message)


def _from_csr(iot: Seam, properties: Properties, role_arn: str) -> Certificate:
    _check_role(iot, role_arn, "iot:CreateCertificateFromCsr")
    try:
        pem = iot["sign_certificate_request"](
            *iot["_ensure_ca"](), properties["CertificateSigningRequest"]
        )
    except ValueError as error:
        raise workflow_failed("CSR violates constraints") from error
    certificate: Certificate = iot["_certificate_record"](
        iot["get_certificate_id"](pem), pem, "INACTIVE"
    )
    return certificate


def _by_id(iot: Seam, properties: Properties) -> Certificate:
    wanted = properties["CertificateId"]
    certificate: Certificate | None = iot["_certificates"].get(wanted)
    if certificate is None:
        raise workflow_failed(f"CertificateId {wanted} does not exist")
    return certificate


async def _from_pem(iot: Seam, properties: Properties, role_arn: str) -> Certificate:
    _check_role(iot, role_arn, "iot:RegisterCertificate")
    certificates = iot["_certificates"]
    pem, ca = properties["CertificatePem"], properties.get("CACertificatePem")
    request = {"certificatePem": pem} | ({"caCertificatePem": ca} if ca else {})
    try:
        certificate_id = iot["get_certificate_id"](pem)
    except ValueError as error:
        raise workflow_failed("The certificate is not a PEM") from error
    if certificate_id in certificates:
        known: Certificate = certificates[certificate_id]
        return known
    status, _headers, answer = await iot["_register_certificate"](request, {})
    if status != HTTPStatus.OK:
        raise workflow_failed(json.loads(answer)["message"])
    registered: Certificate = certificates.pop(certificate_id)  # it is kept if all succeeds
    return registered


def _check_role(iot: Seam, role_arn: str, action: str) -> None:
    if not iot["_provisioning_role_allows"](role_arn, [(action, "*")]):
        raise RefusedError("UnauthorizedException", "Access Denied", 401)
