"""Making a device."""

from typing import Final

from device.errors import MAKE, ExitCode, Row
from factory.errors.base import OneDeviceError, StationError

SERIAL_NUMBER: Final = Row(
    "FB-701",
    "SerialNumberError",
    "The serial number is not valid",
    means="A serial number cannot become a thing name and a certificate's common name.",
    causes=("It has a space or another character that AWS IoT does not take.",),
    next_step="Use 1 to 64 of the characters a-z A-Z 0-9 : _ -, for example SN-0001.",
    exit_code=ExitCode.MISUSE,
    kind=StationError,
    reproduce=("factory make --method claim --serial 'FB 701' --out {code}  # {code}",),
)
DEVICE_ID: Final = Row(
    "FB-702",
    "DeviceIdError",
    "The device id is not valid",
    means="A device id is not 16 bytes in hex, or another device has it.",
    causes=("It was typed by hand.",),
    next_step="Give 32 hexadecimal digits, or leave out --device-id to get a random one.",
    exit_code=ExitCode.MISUSE,
    kind=StationError,
    reproduce=(
        ("factory make --method claim --serial {code} --out {code} --device-id 12  # {code}"),
    ),
)
SERIAL_NUMBER_USED: Final = Row(
    "FB-703",
    "SerialNumberUsedError",
    "Another device has the serial number",
    means="The ledger has a device with this serial number.",
    causes=("The serial number is used twice.", "The device was made before, and is gone."),
    next_step="Use another serial number. If that device is gone, replace it: run the same command "
    "with --again, which also turns its certificate off.",
    sentence="serial number {serial_number} is taken: device {device_id} {state} {since} in "
    "{folder}. Two devices with the same serial number disconnect each other",
    kind=StationError,
    reproduce=(
        MAKE,
        "factory make --method claim --serial {code} --out {code}.other  # {code}",
    ),
)
REPLACED_MEANWHILE: Final = Row(
    "FB-704",
    "ReplacedMeanwhileError",
    "The device was replaced while it was made",
    means="While a device was made, another process replaced it on purpose (--again).",
    causes=("Two people made a device of this serial number at the same time.",),
    next_step="Use the other device, and remove this folder.",
    sentence="serial number {serial_number} was given to another device while {folder} was made",
    kind=StationError,
    needs="two stations that make one device at the same moment",
)
OTHER_METHOD: Final = Row(
    "FB-705",
    "OtherMethodError",
    "The device was made for another method",
    means="A finished device was made for another provisioning method.",
    causes=("--out names the folder of an older device.",),
    next_step="Make a device for this method in another folder: --out DIR",
    kind=StationError,
    reproduce=(
        MAKE,
        "factory prepare --method jitr --station {code}.station",
        (
            "factory make --method jitr --serial {code} --out {code} --station {code}.station  "
            "# {code}"
        ),
        "factory prepare --method jitr",
    ),
)
ELEMENT_CHOICE: Final = Row(
    "FB-706",
    "ElementChoiceError",
    "The devices cannot use this element",
    means="The ordered devices cannot use the secure element.",
    causes=(
        "The method has AWS make the key.",
        "Several devices would share one token.",
        "An interrupted run began this device with another element.",
    ),
    next_step="Run the command with the options of the first run, or remove that folder to start "
    "again.",
    exit_code=ExitCode.MISUSE,
    kind=StationError,
    reproduce=(
        (
            "factory make --method claim-aws-keys --serial {code} --out {code} "
            "--element softhsm  # {code}"
        ),
    ),
)
CSR_UNACCEPTABLE: Final = Row(
    "FB-707",
    "CsrUnacceptableError",
    "The station must not sign the CSR",
    means="A certificate signing request is not signed by its own key, or is for another device.",
    causes=("The CSR was damaged or tampered with.",),
    next_step="Have the device make a new key and CSR. This one was damaged or tampered with.",
    kind=OneDeviceError,
    needs="a device that signs a request for another one",
)
LEAF_SUBJECT: Final = Row(
    "FB-708",
    "LeafSubjectError",
    "The certificate would lack a subject field",
    means="A device's certificate would lack a subject field that a template needs.",
    causes=("The settings have no such field under subject.",),
    next_step="Set {settings} under subject in {config}.",
    sentence="the certificate of {serial_number} would lack {lacking} in its subject, which the "
    "template needs: AWS IoT would refuse the device forever, without a reason",
    exit_code=ExitCode.CONFIGURATION_INVALID,
    kind=StationError,
    reproduce=(
        "printf 'method: jitp\\nsubject:\\n  organization: A\\n' > {code}.yaml",
        ("factory make --method jitp --serial {code} --out {code} --config {code}.yaml  # {code}"),
    ),
)
