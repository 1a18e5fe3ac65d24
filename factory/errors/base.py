"""The base of the station's errors, and of those that concern one device of many."""

from typing import Final

from device.errors import FirstbootError

CERTIFICATE: Final = (
    "ARN=$(aws iot create-keys-and-certificate --set-as-active "
    "--certificate-pem-outfile {code}.pem --query certificateArn --output text)"
)
"""How a certificate comes to be, in the lines that reproduce an error (`Row.reproduce`)."""
THING: Final = "aws iot create-thing --thing-name {code}"
ATTACH: Final = "aws iot attach-thing-principal --thing-name {code} --principal $ARN"


class StationError(FirstbootError):
    """The station cannot do what it was asked to."""


class OneDeviceError(StationError):
    """Something is wrong with one device; a batch continues with the others."""
