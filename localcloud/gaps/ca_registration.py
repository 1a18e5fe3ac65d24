"""A certificate authority is registered with a template that can work, or not at all.

RegisterCACertificate and UpdateCACertificate refuse a ``registrationConfig`` whose template is
malformed, has "Neither policyName nor policyDocument", or names its certificate by anything but
``AWS::IoT::Certificate::Id``; one that names a template which does not exist or is not of type
JITP; and an inline template without a role (developer guide, "Just-in-time provisioning" and
"Provisioning templates"; docs/aws-iot-facts.md, 1.1). A template of type JITP whose
``enabled`` flag was left out is enabled: the guide's own walk-through leaves it out.
RegisterCertificate refuses a certificate whose CA is not registered (4.2). MiniStack takes any
``registrationConfig``, and a certificate of any CA. Not all of AWS's words are published.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from localcloud.gaps._support.registration import CERTIFICATE_ID, parse_template
from localcloud.gaps._support.rest import RefusedError, Response, body_of, invalid_template
from localcloud.gaps._support.template import CERTIFICATE, POLICY, resources
from localcloud.seam import Seam

_NO_POLICY: Final = "Neither policyName nor policyDocument is present in the Template."
_PROBE: Final = "localcloud-probe"

Payload = Mapping[str, Any]


def is_open(iot: Seam) -> bool:
    """Whether MiniStack still stores a ``registrationConfig`` unread."""
    certificates = iot["_ca_certificates"]
    certificates[_PROBE] = {"certificateId": _PROBE, "status": "INACTIVE"}
    update = json.dumps({"registrationConfig": {"templateName": _PROBE}}).encode()
    status: int = iot["_handle_ca_certificate"]("PUT", f"/cacertificate/{_PROBE}", update, {})[0]
    certificates.pop(_PROBE, None)
    return status == 200


def close(iot: Seam) -> None:
    """Check what is registered."""
    register: Callable[[Payload, Payload], Response] = iot["_register_ca_certificate"]
    handle: Callable[[str, str, bytes, Payload], Response] = iot["_handle_ca_certificate"]
    create_template: Callable[[Payload], Response] = iot["_create_provisioning_template"]
    register_leaf: Callable[..., Awaitable[Response]] = iot["_register_certificate"]

    def register_ca_certificate(payload: Payload, query: Payload) -> Response:
        return _refusal(iot, payload) or register(payload, query)

    def handle_ca_certificate(method: str, path: str, body: bytes, query: Payload) -> Response:
        payload = body_of(body) if method == "PUT" else {}
        return _refusal(iot, payload) or handle(method, path, body, query)

    def create_provisioning_template(payload: Payload) -> Response:
        enabled = {"enabled": True} if payload.get("type") == "JITP" else {}
        return create_template({**enabled, **payload})

    async def register_certificate(
        payload: Payload, query: Payload, *, without_ca: bool = False
    ) -> Response:
        pem = payload.get("certificatePem") or ""
        if not without_ca and not payload.get("caCertificatePem") and _is_orphan(iot, pem):
            message = "No CA certificate exists for the given certificate"
            refused: Response = iot["error_response_json"](
                "CertificateStateException", message, 406
            )
            return refused
        return await register_leaf(payload, query, without_ca=without_ca)

    iot["_register_ca_certificate"] = register_ca_certificate
    iot["_handle_ca_certificate"] = handle_ca_certificate
    iot["_create_provisioning_template"] = create_provisioning_template
    iot["_register_certificate"] = register_certificate


def _is_orphan(iot: Seam, pem: str) -> bool:
    """Whether ``pem`` is a certificate, and no registered CA signed it."""
    try:
        iot["get_certificate_id"](pem)
    except ValueError:
        return False  # MiniStack says what is wrong with it
    return iot["_registered_issuer_id"](pem) is None


def _refusal(iot: Seam, payload: Payload) -> Response | None:
    config = payload.get("registrationConfig")
    try:
        if isinstance(config, dict) and config:
            _check(iot, config)
    except RefusedError as refused:
        response: Response = iot["error_response_json"](
            refused.code, refused.message, refused.status
        )
        return response
    return None


def _check(iot: Seam, config: Payload) -> None:
    name = config.get("templateName")
    if name:
        template = iot["_provisioning_templates"].get(name)
        if template is None:
            message = f"Unable to find template named {name}"
            raise RefusedError("ResourceNotFoundException", message, 404)
        if template["type"] != "JITP":
            raise RefusedError("InvalidRequestException", f"Template {name} is not of type JITP")
        return
    check_inline_template(config.get("templateBody"))
    if not config.get("roleArn"):
        raise RefusedError("InvalidRequestException", "roleArn is required with templateBody")


def check_inline_template(text: object) -> None:
    """Check a template for just-in-time provisioning.

    Raises:
        RefusedError: AWS would not take it.
    """
    body = parse_template(text)
    if not list(resources(body, POLICY)):
        raise invalid_template(_NO_POLICY)
    for _name, resource in resources(body, CERTIFICATE):
        wanted = {"Ref": CERTIFICATE_ID}
        if (resource.get("Properties") or {}).get("CertificateId") != wanted:
            raise invalid_template(f"CertificateId must contain a reference to {CERTIFICATE_ID}")
        return
    raise invalid_template("Template must have certificate resource.")
