"""The claim that a trusted user's app gets from AWS, and hands to one waiting device.

It provisions whoever has it, for five minutes. So it is in memory, in the socket or the file
that was asked for, and nowhere else.
"""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

from device.config.socket_path import socket_path
from device.storage.filesystem import OsFs, replace
from factory.account.cloud import Cloud, structure, text
from factory.errors import (
    CLAIM_REFUSED,
    NOBODY_WAITS,
    TEMPLATE_MISSING,
    NotInCloudError,
)

_SECONDS: Final = 10.0
"""How long a device may take to look at a claim; it parses two PEM texts."""
_LONGEST_ANSWER: Final = 4096  # bytes


@dataclass(frozen=True)
class TemporaryClaim:
    """What CreateProvisioningClaim answers."""

    certificate_id: str
    expiration: datetime
    certificate_pem: str = field(repr=False)
    private_key_pem: str = field(repr=False)

    def document(self) -> bytes:
        """Return it as the device reads it: AWS's names, the time in seconds since the epoch."""
        fields = {
            "certificateId": self.certificate_id,
            "certificatePem": self.certificate_pem,
            "privateKey": self.private_key_pem,
            "expiration": self.expiration.timestamp(),
        }
        return json.dumps(fields).encode() + b"\n"


def create_claim(app: Cloud, template: str) -> TemporaryClaim:
    """Ask AWS for a claim, as the ``app``.

    Raises:
        TemplateMissingError: there is no such template.
        CloudError: AWS did not answer, or said no; ``CloudDeniedError`` if the app may not.
    """
    try:
        answer = app.call("iot", "CreateProvisioningClaim", templateName=template)
    except NotInCloudError as error:
        raise TEMPLATE_MISSING.error(template=template) from error
    expiration = answer["expiration"]
    if not isinstance(expiration, datetime):
        raise TypeError(f"expiration is {type(expiration).__name__}, not a time")
    return TemporaryClaim(
        text(answer, "certificateId"), expiration,
        text(answer, "certificatePem"), text(structure(answer, "keyPair"), "PrivateKey"),
    )  # fmt: skip


def is_file(place: Path) -> bool:
    """Tell whether a claim goes into a file at ``place``: as for the device, by its name."""
    return place.suffix == ".json"


def write_claim(claim: TemporaryClaim, file: Path) -> None:
    """Write the claim for its owner's eyes alone, whole from the moment it is there.

    Raises:
        StorageError: the disk refused.
    """
    replace(OsFs(file.parent), file.name, claim.document())


@contextmanager
def waiting_device(place: Path, patience: float = _SECONDS) -> Iterator["WaitingDevice"]:
    """Connect to the device that waits at the socket ``place``, before a claim is asked for.

    Raises:
        NobodyWaitsError: there is no socket, or nobody behind it.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(patience)
        try:
            with socket_path(place) as path:
                connection.connect(path)
        except FileNotFoundError as error:
            raise NOBODY_WAITS.error("there is no socket", place=place) from error
        except ConnectionRefusedError as error:
            raise NOBODY_WAITS.error(
                "the device that made the socket is gone", place=place
            ) from error
        except OSError as error:
            raise NOBODY_WAITS.error(str(error.strerror or error), place=place) from error
        yield WaitingDevice(connection, place)


class WaitingDevice:
    """The device at the other end of the socket."""

    def __init__(self, connection: socket.socket, place: Path) -> None:
        """Speak over ``connection``."""
        self._connection = connection
        self._place = place

    def hand_over(self, claim: TemporaryClaim) -> None:
        """Hand the claim over, and wait until the device has taken it.

        Raises:
            ClaimRefusedError: the device has looked at it and does not want it.
            NobodyWaitsError: the device went away, or does not answer.
        """
        try:
            self._connection.sendall(claim.document())
            answer = self._answer()
        except OSError as error:
            raise NOBODY_WAITS.error("the device does not answer", place=self._place) from error
        if answer.get("accepted") is not True:
            raise CLAIM_REFUSED.error(str(answer.get("problem", "it gave no reason")))

    def _answer(self) -> dict[str, object]:
        content = bytearray()
        while not content.endswith(b"\n") and len(content) < _LONGEST_ANSWER:
            chunk = self._connection.recv(_LONGEST_ANSWER)
            if not chunk:
                break
            content += chunk
        if not content:
            raise NOBODY_WAITS.error(
                "the device closed the connection without an answer", place=self._place
            )
        try:
            answer = json.loads(bytes(content))
        except ValueError:
            raise NOBODY_WAITS.error(
                "the program that answers there is not a device", place=self._place
            ) from None
        return answer if isinstance(answer, dict) else {}
