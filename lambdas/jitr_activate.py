"""AWS Lambda: decide on a device that AWS IoT has just registered (just-in-time registration).

A topic rule on ``$aws/events/certificates/registered/<CA id>`` calls it each time a device shows
a certificate that is PENDING_ACTIVATION (AWS IoT developer guide, "Just-in-time registration").
The serial number is the common name of the certificate, which the station's CA vouches for; the
client id proves nothing. On the allow-list, and not taken by another certificate, it gets a
thing and a policy, and is activated last: a run that was cut is repeated whole by the device's
next attempt. Any other certificate ends INACTIVE.

Environment: ALLOW_LIST (a DynamoDB table with the key SerialNumber), THING_POLICY, MADE_BY.
"""

import logging
import os
import ssl
from collections.abc import Iterator, Mapping
from typing import Any, Final

import boto3

LOG: Final = logging.getLogger()
LOG.setLevel(logging.INFO)

_COMMON_NAME: Final = bytes.fromhex("0603550403")
"""The object identifier 2.5.4.3 in DER."""
_CONTEXT_0: Final = 0xA0
_UTF_16: Final = 0x1E
"""A BMPString; every other string that may stand in a name reads as UTF-8."""


def handler(event: Mapping[str, Any], _context: object) -> dict[str, str]:
    """Activate the certificate of the event, or turn it off; return what was decided."""
    iot = boto3.client("iot")
    certificate_id = event["certificateId"]
    found = iot.describe_certificate(certificateId=certificate_id)["certificateDescription"]
    if found["status"] != "PENDING_ACTIVATION":
        return _decided("nothing to decide", certificate_id, found["status"])
    serial = common_name(found["certificatePem"])
    if not serial or not _take(serial, certificate_id):
        iot.update_certificate(certificateId=certificate_id, newStatus="INACTIVE")
        return _decided("refused", certificate_id, serial)
    _give_thing(iot, serial, found["certificateArn"])
    iot.update_certificate(certificateId=certificate_id, newStatus="ACTIVE")
    return _decided("activated", certificate_id, serial)


def _take(serial: str, certificate_id: str) -> bool:
    """Note in the allow-list who uses ``serial``; false if it is not there, or taken."""
    dynamodb = boto3.client("dynamodb")
    try:
        dynamodb.update_item(
            TableName=os.environ["ALLOW_LIST"],
            Key={"SerialNumber": {"S": serial}},
            UpdateExpression="SET CertificateId = :id",
            ConditionExpression="attribute_exists(SerialNumber) AND "
            "(attribute_not_exists(CertificateId) OR CertificateId = :id)",
            ExpressionAttributeValues={":id": {"S": certificate_id}},
        )
    except dynamodb.exceptions.ConditionalCheckFailedException:
        return False
    return True


def _give_thing(iot: Any, name: str, certificate_arn: str) -> None:
    attributes = {"ProvisionedBy": os.environ["MADE_BY"]}
    try:
        iot.create_thing(thingName=name, attributePayload={"attributes": attributes})
    except iot.exceptions.ResourceAlreadyExistsException:
        LOG.info("the thing %s was there before", name)
    iot.attach_policy(policyName=os.environ["THING_POLICY"], target=certificate_arn)
    iot.attach_thing_principal(
        thingName=name, principal=certificate_arn, thingPrincipalType="EXCLUSIVE_THING"
    )


def _decided(decision: str, certificate_id: str, about: str) -> dict[str, str]:
    LOG.info("%s: certificate %s (%s)", decision, certificate_id, about)
    return {"decision": decision, "certificateId": certificate_id}


def common_name(certificate_pem: str) -> str:
    """Return the first common name of the certificate's subject, or "".

    Python's standard library reads no certificate, and a Lambda without a layer has no more;
    so the few fields before the subject are walked here (RFC 5280, 4.1).
    """
    (_, certificate) = next(_fields(ssl.PEM_cert_to_DER_cert(certificate_pem)))
    (_, signed_part) = next(_fields(certificate))
    fields = [each for each in _fields(signed_part) if each[0] != _CONTEXT_0]  # without version
    serial_number_algorithm_issuer_validity = 4
    (_, subject) = fields[serial_number_algorithm_issuer_validity]
    for _, names in _fields(subject):
        for _, name in _fields(names):
            if name.startswith(_COMMON_NAME):
                ((kind, value),) = _fields(name[len(_COMMON_NAME) :])
                return value.decode("utf-16-be" if kind == _UTF_16 else "utf-8")
    return ""


def _fields(der: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield tag and content of each field in a DER sequence's content (X.690, 8.1)."""
    while der:
        tag, length, start = der[0], der[1], 2
        if length & 0x80:
            start += length & 0x7F
            length = int.from_bytes(der[2:start], "big")
        yield tag, der[start : start + length]
        der = der[start + length :]
