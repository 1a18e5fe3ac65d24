"""Resources in an AWS account."""

from collections.abc import Sequence

from device.errors import ExitCode
from factory.errors.base import StationError


class NotMadeByStationError(StationError):
    """A resource has the name that the station uses, but the station did not create it."""

    next_step = (
        "The station leaves it alone. Rename or delete it. If the station did make it, add the tag "
        "made-by=firstboot-station."
    )


class CertificateProviderTakenError(StationError):
    """The account already has a certificate provider, and can have only one."""

    next_step = (
        "The station leaves it alone. Use another account or Region, or have its owner delete it: "
        "it signs for every device there that requests a certificate over MQTT."
    )


class OtherTypeError(StationError):
    """A provisioning template has the name that the station uses, but another type."""

    exit_code = ExitCode.CONFIGURATION_INVALID

    def __init__(self, template: str, found: str, wanted: str) -> None:
        """Name the ``template``, its type and the one that the method needs."""
        super().__init__(
            f"the provisioning template {template} is of type {found}, but the method needs "
            f"{wanted}: AWS IoT would not provision devices with it"
        )
        self.template = template
        self.next_step = (
            "AWS cannot change the type of a template. Delete it, then prepare again: "
            f"aws iot delete-provisioning-template --template-name {template}"
        )


class TemplateMissingError(StationError):
    """AWS has no provisioning template of this name."""

    exit_code = ExitCode.CONFIGURATION_INVALID

    def __init__(self, template: str) -> None:
        """Name the ``template``."""
        super().__init__(f"there is no provisioning template {template} in this account and Region")
        self.template = template
        self.next_step = (
            "Make the station's own: factory prepare --method trusted-user. Check the account and "
            "the Region."
        )


class RegisteredOtherwiseError(StationError):
    """A CA is registered in a mode that AWS cannot change."""

    def __init__(self, certificate_id: str, found: str, wanted: str, method: str) -> None:
        """Say how the CA is registered, and how it should be."""
        super().__init__(f"the CA {certificate_id[:12]}... is registered {found}, not {wanted}")
        self.next_step = (
            f"Register it again: factory teardown --method {method}, then factory prepare. Devices "
            "that AWS IoT knows already keep working."
        )


class ThingTakenError(StationError):
    """A thing has the device's name, but another device's certificate is attached to it."""

    def __init__(self, thing_name: str, certificate_ids: Sequence[str]) -> None:
        """Name the thing and what is attached to it."""
        listed = ", ".join(f"{each[:12]}..." for each in certificate_ids)
        super().__init__(
            f"thing {thing_name} exists, with certificates of another device: {listed}"
        )
        self.thing_name = thing_name
        self.certificate_ids = tuple(certificate_ids)
        self.next_step = (
            "The serial number may be used twice. If the other device is gone, turn its "
            "certificate off and detach it: aws iot update-certificate --new-status INACTIVE, aws "
            f"iot detach-thing-principal --thing-name {thing_name}. Then run the same command "
            "again."
        )


class SerialNumberTakenError(StationError):
    """On the allow-list, another device has taken the device's serial number."""

    def __init__(self, serial_number: str, certificate_id: str, table: str) -> None:
        """Name the serial number, and the certificate that took it."""
        super().__init__(
            f"serial number {serial_number} is taken by certificate {certificate_id[:12]}...: the "
            "Lambda would refuse this device"
        )
        self.serial_number = serial_number
        self.certificate_id = certificate_id
        self.next_step = (
            "The serial number may be used twice. If the other device is gone, delete its entry, "
            f"then run the same command again: aws dynamodb delete-item --table-name {table} --key "
            f'\'{{"SerialNumber": {{"S": "{serial_number}"}}}}\''
        )


class NotRegisteredError(StationError):
    """AWS refused to register a device."""

    def __init__(self, serial_number: str, reason: str, next_step: str) -> None:
        """Keep AWS's own words as the ``reason``."""
        super().__init__(f"{serial_number} was not registered: {reason}")
        self.serial_number = serial_number
        self.reason = reason
        self.next_step = next_step
