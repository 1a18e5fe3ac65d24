"""AWS Lambda: a fleet template's pre-provisioning hook. May this device be provisioned?

AWS IoT calls it at each RegisterThing, before anything is made, and waits five seconds (AWS IoT
developer guide, "Pre-provisioning hooks"). A claim is shared by a whole batch, so it proves
little. Each device holds a key of its own from the station, and sends as ``Proof`` the
HMAC-SHA256, in hex, of ``<serial number>.<certificate id>`` under it; the station put the same
key on the allow-list. A proof that was overheard is good for no other certificate.

A device that had to give a certificate up, since AWS IoT refused it for minutes, names it in
``GivenUpCertificates``: ids with commas between. Should AWS IoT still have such a one ACTIVE, two
certificates would act for one thing; so each is logged, to be retired. Whoever automates that
should look first whether the certificate is attached to the thing of this serial number.

An entry's ``ParameterOverrides`` go to the template, over what the device sent: so the factory
decides, and not the device, what differs from one device to the next.

Environment: ALLOW_LIST (a DynamoDB table with the key SerialNumber).
"""

import hmac
import logging
import os
import re
from collections.abc import Mapping
from typing import Any, Final

import boto3

LOG: Final = logging.getLogger()
LOG.setLevel(logging.INFO)

CERTIFICATE_ID: Final = re.compile(r"(?<![^,])[0-9a-f]{64}(?![^,])")
DENIED: Final[Mapping[str, Any]] = {"allowProvisioning": False}


def handler(event: Mapping[str, Any], _context: object) -> Mapping[str, Any]:
    """Return whether the device of the event may go on, and with which parameters."""
    parameters = event.get("parameters") or {}
    serial = str(parameters.get("SerialNumber", ""))
    entry = _entry(serial) if serial else None
    if entry is None:
        LOG.warning("denied: %r is not on the allow-list", serial)
        return DENIED
    expected = proof(entry["ProofKey"]["B"], serial, str(event["certificateId"]))
    if not hmac.compare_digest(expected, str(parameters.get("Proof", "")).encode()):
        LOG.warning("denied: the proof of %r is wrong", serial)
        return DENIED
    LOG.info("allowed: %r as certificate %s", serial, event["certificateId"])
    for certificate_id in given_up(parameters):
        LOG.warning("retire: %r gave up certificate %s", serial, certificate_id)
    overrides = entry.get("ParameterOverrides", {}).get("M", {})
    values = {name: value["S"] for name, value in overrides.items()}
    return {"allowProvisioning": True, "parameterOverrides": {**values, "SerialNumber": serial}}


def given_up(parameters: Mapping[str, Any]) -> list[str]:
    """Return the certificates that the device gave up; what is not a certificate id is left out."""
    return CERTIFICATE_ID.findall(str(parameters.get("GivenUpCertificates", "")))[:8]


def proof(key: bytes, serial: str, certificate_id: str) -> bytes:
    """Return what a device with ``key`` must send."""
    message = f"{serial}.{certificate_id}".encode()
    return hmac.new(key, message, "sha256").hexdigest().encode()


def _entry(serial: str) -> Mapping[str, Any] | None:
    found = boto3.client("dynamodb").get_item(
        TableName=os.environ["ALLOW_LIST"],
        Key={"SerialNumber": {"S": serial}},
        ConsistentRead=True,
    )
    item: Mapping[str, Any] | None = found.get("Item")
    return item if item and "ProofKey" in item else None
