"""AWS Lambda: a fleet template's pre-provisioning hook. May this device be provisioned?

AWS IoT calls it at each RegisterThing, before anything is made, and waits five seconds (AWS IoT
developer guide, "Pre-provisioning hooks"). A claim is shared by a whole batch, so it proves
little. Each device holds a key of its own from the station, and sends as ``Proof`` the
HMAC-SHA256, in hex, of ``<serial number>.<certificate id>`` under it; the station put the same
key on the allow-list. A proof that was overheard is good for no other certificate.

An entry's ``ParameterOverrides`` go to the template, over what the device sent: so the factory
decides, and not the device, what differs from one device to the next.

Environment: ALLOW_LIST (a DynamoDB table with the key SerialNumber).
"""

import hmac
import logging
import os
from collections.abc import Mapping
from typing import Any, Final

import boto3

LOG: Final = logging.getLogger()
LOG.setLevel(logging.INFO)

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
    overrides = entry.get("ParameterOverrides", {}).get("M", {})
    values = {name: value["S"] for name, value in overrides.items()}
    return {"allowProvisioning": True, "parameterOverrides": {**values, "SerialNumber": serial}}


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
