"""How long what comes from the cloud may be, where the device stores it.

A reply that exceeds a limit is malformed, and nothing of it is stored. AWS IoT keeps well within:
a provisioning template has 10 KB in all (its quotas), and so has a DeviceConfiguration, but for
the parameters that the device itself sent; a certificate has 1,224 bytes as PEM, a token some
600, a private key of RSA-2048 has 1,704. What is told by its characters is ASCII, so that a
character is a byte.
"""

from typing import Annotated, Final, TypeAlias

from msgspec import Meta

THING_NAME: Final = r"[a-zA-Z0-9:_-]{1,128}"  # AWS IoT API reference, CreateThing

CONFIGURATION_BYTES: Final = 16_384
"""Of a whole deviceConfiguration, as the JSON that is stored."""
CONFIGURATION_ENTRIES: Final = 512
KEY_CHARACTERS: Final = 256
VALUE_CHARACTERS: Final = 4096
CERTIFICATE_PEM_CHARACTERS: Final = 8192
PRIVATE_KEY_PEM_CHARACTERS: Final = 4096
TOKEN_CHARACTERS: Final = 4096
CERTIFICATE_ID_CHARACTERS: Final = 64

ThingName: TypeAlias = Annotated[str, Meta(pattern=rf"^{THING_NAME}\Z")]
CertificateId: TypeAlias = Annotated[
    str, Meta(pattern=r"^[0-9A-Za-z][0-9A-Za-z_-]*\Z", max_length=CERTIFICATE_ID_CHARACTERS)
]
"""AWS IoT's are hexadecimal. A next step has the id in a command, so a shell must take it as is."""
OwnershipToken: TypeAlias = Annotated[str, Meta(pattern=r"^[!-~]+\Z", max_length=TOKEN_CHARACTERS)]
CertificatePem: TypeAlias = Annotated[str, Meta(max_length=CERTIFICATE_PEM_CHARACTERS)]
PrivateKeyPem: TypeAlias = Annotated[str, Meta(max_length=PRIVATE_KEY_PEM_CHARACTERS)]
DeviceConfiguration: TypeAlias = Annotated[
    dict[
        Annotated[str, Meta(max_length=KEY_CHARACTERS)],
        Annotated[str, Meta(max_length=VALUE_CHARACTERS)],
    ],
    Meta(max_length=CONFIGURATION_ENTRIES),
]
