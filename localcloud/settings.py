"""What can be set while the local AWS runs, at ``/_localcloud/settings``."""

from typing import Annotated, Final, Literal

import msgspec

from localcloud.errors import SETTINGS

Seconds = Annotated[float, msgspec.Meta(ge=0, le=3600)]


class Settings(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=False):
    """How long AWS takes over things that take it time."""

    jitp_seconds: Seconds = 2.0
    """From the first CONNECT of a just-in-time provisioned device to its certificate being
    ACTIVE; AWS's samples say 1 to 3 s (docs/aws-iot-facts.md, 1.8)."""
    registration_line_seconds: Seconds = 0.1
    """For each line of a bulk registration; AWS's RegisterThing does 10 a second (4.4)."""
    disconnect_seconds: Seconds = 5.0
    """From a certificate not being ACTIVE any more to the end of its connections; AWS says
    "within a few minutes" (1.0)."""

    least_keep_alive_seconds: Annotated[int, msgspec.Meta(ge=1, le=1200)] = 30
    """What a shorter keep-alive interval of an MQTT client is taken for; AWS's is 30. A client
    is gone after 1.5 times its interval of silence."""
    certificate_provider_seconds: Seconds = 5.0
    """How long the Lambda of a certificate provider may take (4.6)."""
    jitp_serial_number: Literal["certificate", "subject"] = "certificate"
    """What AWS::IoT::Certificate::SerialNumber is when a certificate's subject has no
    serialNumber: the certificate's own number, or nothing. AWS's sample needs the first, its
    guide can be read as the second; neither is confirmed (foreign-clients, D7)."""

    wire_contents: bool = False
    """Whether the wire keeps whole packets, in hexadecimal: keys and tokens are in them. It is for
    recording a page of the documents."""

    def listed(self) -> dict[str, float | str]:
        """Return every setting, as JSON can say it."""
        return {name: getattr(self, name) for name in self.__struct_fields__}

    def change(self, body: bytes) -> None:
        """Take the settings that ``body``, a JSON object, names; the others stay.

        Raises:
            SettingsError: a name is unknown or a value out of range; nothing was changed.
        """
        try:
            given = msgspec.convert({**self.listed(), **_OBJECT.decode(body)}, Settings)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise SETTINGS.error(str(error)) from error
        for name, value in given.listed().items():
            setattr(self, name, value)


_OBJECT: Final = msgspec.json.Decoder(dict[str, object])
