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
    reproduce=(
        (
            "AWS_ACCESS_KEY_ID=621621621621 aws iot create-policy --policy-name "
            'firstboot-device --policy-document \'{"Version": "2012-10-17", '
            '"Statement": [{"Effect": "Allow", "Action": "iot:Connect", "Resource": '
            '"*"}]}\''
        ),
        (
            "AWS_ACCESS_KEY_ID=621621621621 factory prepare --method claim --station "
            "{code}  # {code}"
        ),
    ),
)
CERTIFICATE_PROVIDER_TAKEN: Final = Row(
    "FB-622",
    "CertificateProviderTakenError",
    "The account has another certificate provider",
    means="The account already has a certificate provider, and can have only one.",
    causes=("Another team signs certificates in this account.",),
    next_step="The station leaves it alone. Use another account or Region, or have its owner "
    "delete it: it signs for every device there that requests a certificate over MQTT.",
    reproduce=(
        (
            "AWS_ACCESS_KEY_ID=622622622622 aws iot create-certificate-provider "
            "--certificate-provider-name other --lambda-function-arn "
            "arn:aws:lambda:us-east-1:622622622622:function:other "
            "--account-default-for-operations '[\"CreateCertificateFromCsr\"]'"
        ),
        (
            "AWS_ACCESS_KEY_ID=622622622622 factory prepare --method claim-own-ca "
            "--station {code}  # {code}"
        ),
    ),
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
    reproduce=(
        (
            "AWS_ACCESS_KEY_ID=623623623623 aws iot create-provisioning-template "
            "--template-name firstboot-jitp --provisioning-role-arn "
            'arn:aws:iam::623623623623:role/a --template-body \'{"Resources": '
            '{"certificate": {"Type": "AWS::IoT::Certificate", "Properties": '
            '{"CertificateId": {"Ref": "AWS::IoT::Certificate::Id"}, "Status": '
            '"ACTIVE"}}, "policy": {"Type": "AWS::IoT::Policy", "Properties": '
            '{"PolicyName": "a"}}}, "Parameters": {"AWS::IoT::Certificate::Id": '
            '{"Type": "String"}}}\''
        ),
        ("AWS_ACCESS_KEY_ID=623623623623 factory prepare --method jitp --station {code}  # {code}"),
    ),
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
    reproduce=(
        (
            "factory claim --trusted-user --template nothing --to {code}.json "
            "--own-credentials  # {code}"
        ),
    ),
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
    reproduce=(
        "export AWS_ACCESS_KEY_ID=625625625625",
        "factory prepare --method jitr --station {code}",
        (
            "factory ca show --json --station {code} | python -c 'import json, sys; "
            'print([json.loads(line)["certificate_pem"] for line in sys.stdin if '
            '"JITR" in line][0])\' > {code}.pem'
        ),
        (
            "ID=$(aws iot list-ca-certificates --query 'certificates[0].certificateId' "
            "--output text)"
        ),
        "aws iot update-ca-certificate --certificate-id $ID --new-status INACTIVE",
        "aws iot delete-ca-certificate --certificate-id $ID",
        (
            "aws iot register-ca-certificate --ca-certificate file://{code}.pem "
            '--certificate-mode SNI_ONLY --set-as-active --tags \'[{"Key": "made-by", '
            '"Value": "firstboot-station"}]\''
        ),
        ("factory prepare --method jitr --certificate-mode DEFAULT --station {code}  # {code}"),
    ),
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
    reproduce=(
        "aws iot create-thing --thing-name {code}",
        (
            "aws iot attach-thing-principal --thing-name {code} --principal $(aws iot "
            "create-keys-and-certificate --set-as-active --query certificateArn "
            "--output text)"
        ),
        "factory make --method single-thing --serial {code} --out {code}  # {code}",
    ),
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
    reproduce=(
        (
            "aws dynamodb put-item --table-name firstboot-allow-list --item "
            '\'{"SerialNumber": {"S": "{code}"}, "CertificateId": {"S": "another"}}\''
        ),
        "factory make --method jitr --serial {code} --out {code}  # {code}",
    ),
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
    reproduce=(
        "export AWS_ACCESS_KEY_ID=628628628628",
        "factory prepare --method single-thing --station {code}.station",
        "aws iot delete-policy --policy-name firstboot-device",
        (
            "factory make --method single-thing --serial {code} --out {code} --station "
            "{code}.station  # {code}"
        ),
    ),
)
