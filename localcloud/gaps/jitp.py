"""Just-in-time provisioning: a CA's ``registrationConfig`` is applied to its new certificates.

A device connects with an unknown certificate of an ACTIVE, auto-registering CA. On its CONNECT
packet the certificate is registered PENDING_ACTIVATION and the connection is dropped; then the
CA's template, inline or by name, makes thing, policies and attachments, and last the certificate
ACTIVE (developer guide, "Just-in-time provisioning"; docs/aws-iot-facts.md, 1.1, 1.8, 3.5).
The parameters come from the certificate's subject. If one that the template declares is missing
and has no Default, if the role may not, or the registry refuses, the certificate stays
PENDING_ACTIVATION for good: AWS tries once, and the reason is in its logs, here in ours.

MiniStack registers the certificate and stores the config. ``SerialNumber`` is the attribute of the
subject, as the guide lists it. Without one it is the certificate's own number, in decimal, since
AWS's sample (connected devices deep dive) names its thing and client so; that is unconfirmed, and
the setting ``jitp_serial_number`` switches it off.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from cryptography import x509
from cryptography.x509.oid import NameOID

from localcloud.gaps._support.registration import (
    CERTIFICATE_ID,
    Parameters,
    parse_template,
    provision,
)
from localcloud.gaps._support.rest import RefusedError
from localcloud.gaps._support.template import Body
from localcloud.seam import Seam
from localcloud.settings import Settings

_PSEUDO: Final = "AWS::IoT::Certificate::"
_ATTRIBUTES: Final = {
    "Country": NameOID.COUNTRY_NAME,
    "Organization": NameOID.ORGANIZATION_NAME,
    "OrganizationalUnit": NameOID.ORGANIZATIONAL_UNIT_NAME,
    "DistinguishedNameQualifier": NameOID.DN_QUALIFIER,
    "StateName": NameOID.STATE_OR_PROVINCE_NAME,
    "CommonName": NameOID.COMMON_NAME,
    "SerialNumber": NameOID.SERIAL_NUMBER,
}
_DUE: Final = "localcloudProvisioningDue"  # epoch seconds, in the certificate's record
_LOG: Final = logging.getLogger("localcloud.jitp")

Certificate = dict[str, Any]


def is_open(iot: Seam) -> bool:
    """Whether nothing in MiniStack's way from CONNECT to the event looks at the config."""
    steps = ("_mtls_auto_register", "_mtls_auto_registering_ca", "_publish_certificate_registered")
    return not any("registrationConfig" in iot[step].__code__.co_consts for step in steps)


def close(iot: Seam, settings: Settings) -> Callable[[], None]:
    """Provision a certificate some time after it was registered, once.

    Returns:
        What continues with certificates that were due when a process ended.
    """
    publish: Callable[..., Awaitable[None]] = iot["_publish_certificate_registered"]

    async def publish_and_provision(
        account: str, region: str, record: Certificate, source: str | None, registered: str | None
    ) -> None:
        ca = iot["_ca_certificates"].get_scoped(account, region, record["caCertificateId"])
        if registered is None and ca.get("registrationConfig"):  # None: registered just now
            record[_DUE] = time.time() + settings.jitp_seconds
            iot["_certificates"].set_scoped(account, region, record["certificateId"], record)
            _start(iot, settings, account, region, record)
        await publish(account, region, record, source, registered)

    iot["_publish_certificate_registered"] = publish_and_provision
    return lambda: _resume(iot, settings)


def _resume(iot: Seam, settings: Settings) -> None:
    for (account, region, _id), record in iot["_certificates"].all_items():
        if _DUE in record:
            _start(iot, settings, account, region, record)


_running: Final[set[asyncio.Task[None]]] = set()  # the loop keeps no reference of its own


def _start(iot: Seam, settings: Settings, account: str, region: str, record: Certificate) -> None:
    task = asyncio.get_running_loop().create_task(_run(iot, settings, account, region, record))
    _running.add(task)
    task.add_done_callback(_running.discard)


async def _run(
    iot: Seam, settings: Settings, account: str, region: str, record: Certificate
) -> None:
    await asyncio.sleep(record[_DUE] - time.time())
    with iot["request_scope"](account, region):
        async with iot["publishing_events"]():
            await _provision(iot, record["certificateId"], settings)


async def _provision(iot: Seam, certificate_id: str, settings: Settings) -> None:
    record = iot["_certificates"].get(certificate_id)
    if record is None:
        return
    del record[_DUE]
    iot["_certificates"][certificate_id] = record
    ca = iot["_ca_certificates"].get(record["caCertificateId"]) or {}
    if record["status"] != "PENDING_ACTIVATION" or not ca.get("registrationConfig"):
        return
    try:
        body, role_arn = _template(iot, ca["registrationConfig"])
        parameters = _parameters(body, _known(record["certificatePem"], settings))
        await provision(iot, body, parameters, record, role_arn)
    except RefusedError as refused:
        _LOG.warning("certificate %s stays PENDING_ACTIVATION: %s", certificate_id, refused.message)


def _template(iot: Seam, config: Mapping[str, str]) -> tuple[Body, str]:
    """Return the template of a ``registrationConfig`` and the role that applies it."""
    name = config.get("templateName")
    if not name:
        return parse_template(config["templateBody"]), config["roleArn"]
    template = iot["_provisioning_templates"].get(name)
    if template is None or not template["enabled"]:
        state = "does not exist" if template is None else "is not enabled"
        raise RefusedError("InvalidRequestException", f"template {name} {state}")
    if template.get("type") != "JITP":
        raise RefusedError("InvalidRequestException", f"template {name} is not of type JITP")
    body = iot["_provisioning_template_body"](template)
    return parse_template(body), template["provisioningRoleArn"]


def _parameters(body: Body, known: Parameters) -> Parameters:
    """Return a value for each parameter that ``body`` declares.

    Raises:
        RefusedError: the certificate has none, and there is no Default.
    """
    for name, declared in (body.get("Parameters") or {}).items():
        if name not in known and name != CERTIFICATE_ID and "Default" not in declared:
            message = f"the certificate has no value for {name}, and it has no Default"
            raise RefusedError("InvalidRequestException", message)
    return {name: value for name, value in known.items() if name in body.get("Parameters", {})}


def _known(pem: str, settings: Settings) -> Parameters:
    certificate = x509.load_pem_x509_certificate(pem.encode())
    number = {_PSEUDO + "SerialNumber": str(certificate.serial_number)}
    is_number = settings.jitp_serial_number == "certificate"
    return {**(number if is_number else {}), **_subject(certificate.subject)}


def _subject(subject: x509.Name) -> Parameters:
    found = {name: subject.get_attributes_for_oid(oid) for name, oid in _ATTRIBUTES.items()}
    return {_PSEUDO + name: str(values[0].value) for name, values in found.items() if values}
