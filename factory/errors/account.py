"""Resources in an AWS account."""

from typing import Final

from device.errors import ExitCode, Row
from factory.errors.base import OneDeviceError, StationError

NOT_MADE_BY_STATION: Final = Row(
    "FB-621",
    "NotMadeByStationError",
    "Someone else made a resource with the station's name for it",
    means="A resource has the name that the station uses, but the station did not create it.",
    causes=("Someone made it by hand.", "Its tag made-by was removed."),
    next_step="The station leaves it alone. Rename or delete it. If the station did make it, add "
    "the tag made-by=firstboot-station.",
    kind=StationError,
)
CERTIFICATE_PROVIDER_TAKEN: Final = Row(
    "FB-622",
    "CertificateProviderTakenError",
    "The account has another certificate provider",
    means="The account already has a certificate provider, and can have only one.",
    causes=("Another team signs certificates in this account.",),
    next_step="The station leaves it alone. Use another account or Region, or have its owner "
    "delete it: it signs for every device there that requests a certificate over MQTT.",
)


class CertificateProviderTakenError(StationError):
    """The account already has a certificate provider, and can have only one."""

    row = CERTIFICATE_PROVIDER_TAKEN


OTHER_TYPE: Final = Row(
    "FB-623",
    "OtherTypeError",
    "The template has another type",
    means="A provisioning template has the name that the station uses, but another type.",
    causes=("A template for fleet provisioning was made under the name of a jitp template.",),
    next_step="AWS cannot change the type of a template. Delete it, then prepare again: aws iot "
    "delete-provisioning-template --template-name {template}",
    sentence="the provisioning template {template} is of type {found}, but the method needs "
    "{wanted}: AWS IoT would not provision devices with it",
    exit_code=ExitCode.CONFIGURATION_INVALID,
    kind=StationError,
)
TEMPLATE_MISSING: Final = Row(
    "FB-624",
    "TemplateMissingError",
    "There is no such template",
    means="AWS has no provisioning template of this name.",
    causes=("factory prepare was not run.", "The account or the Region is another one."),
    next_step="Make the station's own: factory prepare --method trusted-user. Check the account "
    "and the Region.",
    sentence="there is no provisioning template {template} in this account and Region",
    exit_code=ExitCode.CONFIGURATION_INVALID,
    kind=StationError,
)
REGISTERED_OTHERWISE: Final = Row(
    "FB-625",
    "RegisteredOtherwiseError",
    "The CA is registered in another mode",
    means="A CA is registered in a mode that AWS cannot change.",
    causes=("The CA was registered for another method, or by hand.",),
    next_step="Register it again: factory teardown --method {method}, then factory prepare. "
    "Devices that AWS IoT knows already keep working.",
    sentence="the CA {certificate_id:.12}... is registered {found}, not {wanted}",
    kind=StationError,
)
THING_TAKEN: Final = Row(
    "FB-626",
    "ThingTakenError",
    "The thing belongs to another device",
    means="A thing has the device's name, but another device's certificate is attached to it.",
    causes=("The serial number is used twice.", "The device was made before, and is gone."),
    next_step="The serial number may be used twice. If the other device is gone, turn its "
    "certificate off and detach it: aws iot update-certificate --new-status INACTIVE, aws iot "
    "detach-thing-principal --thing-name {thing_name}. Then run the same command again.",
    sentence="thing {thing_name} exists, with certificates of another device: {certificates}",
    kind=OneDeviceError,
)
SERIAL_NUMBER_TAKEN: Final = Row(
    "FB-627",
    "SerialNumberTakenError",
    "Another device has taken the serial number",
    means="On the allow-list, another device has taken the device's serial number.",
    causes=("The serial number is used twice.", "The device was made before, and is gone."),
    next_step="The serial number may be used twice. If the other device is gone, delete its entry, "
    "then run the same command again: aws dynamodb delete-item --table-name {table} --key "
    '\'{{"SerialNumber": {{"S": "{serial_number}"}}}}\'',
    sentence="serial number {serial_number} is taken by certificate {certificate_id:.12}...: the "
    "Lambda would refuse this device",
    kind=StationError,
)
NOT_REGISTERED: Final = Row(
    "FB-628",
    "NotRegisteredError",
    "AWS refused to register a device",
    means="AWS refused to register a device; the message has AWS's own words.",
    causes=("The template lacks a parameter.", "The CSR does not fit.", "A role lacks a right."),
    next_step="Read AWS's message above. It is safe to run the same command again.",
    sentence="{serial_number} was not registered: {problem}",
    kind=StationError,
)
