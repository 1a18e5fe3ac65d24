"""The reserved MQTT topics of AWS IoT fleet provisioning.

Source: AWS IoT Core Developer Guide, "Device provisioning MQTT API".
"""

from enum import StrEnum
from typing import Final

CREATE_KEYS_AND_CERTIFICATE: Final = "$aws/certificates/create/json"
CREATE_CERTIFICATE_FROM_CSR: Final = "$aws/certificates/create-from-csr/json"


class Operation(StrEnum):
    """The requests of the fleet provisioning API, by AWS's names."""

    CREATE_KEYS_AND_CERTIFICATE = "CreateKeysAndCertificate"
    CREATE_CERTIFICATE_FROM_CSR = "CreateCertificateFromCsr"
    REGISTER_THING = "RegisterThing"


def register_thing(template_name: str) -> str:
    """Return the topic that RegisterThing for ``template_name`` is published on."""
    return f"$aws/provisioning-templates/{template_name}/provision/json"


def template_of(request_topic: str) -> str:
    """Return the template that ``request_topic``, one of `register_thing`, is about."""
    return request_topic.split("/")[2]


def replies(request_topic: str) -> tuple[str, str]:
    """Return the topics on which the answer to ``request_topic`` comes: accepted, rejected."""
    return f"{request_topic}/accepted", f"{request_topic}/rejected"


def operation_of(request_topic: str) -> Operation | None:
    """Return which operation ``request_topic`` belongs to, or None for any other topic."""
    match request_topic.split("/"):
        case ["$aws", "certificates", "create", "json"]:
            return Operation.CREATE_KEYS_AND_CERTIFICATE
        case ["$aws", "certificates", "create-from-csr", "json"]:
            return Operation.CREATE_CERTIFICATE_FROM_CSR
        case ["$aws", "provisioning-templates", _, "provision", "json"]:
            return Operation.REGISTER_THING
    return None
