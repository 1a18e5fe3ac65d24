"""The formats of what is stored, and how what older firmware wrote becomes that of today.

A storage is moved on when it is opened, in memory. The next commit writes it in today's format,
whatever that commit is about; until then the older firmware can open it as well.

| format | what is new |
|---|---|
| 1 | |
| 2 | the station's certificate has an entry of its own, which names its key |
"""

from collections.abc import MutableMapping
from typing import Final

from device.storage import installed_certificate
from device.storage.entries import Entry, Service, Uid
from device.storage.keys import KeyId

FORMAT: Final = 2
"""What this firmware writes. It reads this and every format before."""

_KEY_IN_FORMAT_1: Final = KeyId("device-key.1")
"""The station's key had this name by convention."""


def move_on(written_in: int, entries: MutableMapping[tuple[Service, int], Entry]) -> None:
    """Bring ``entries`` of an older format into that of today."""
    if written_in < 2:
        _name_installed_certificate(entries)


def _name_installed_certificate(entries: MutableMapping[tuple[Service, int], Entry]) -> None:
    """In format 1 a staged certificate without a journal was the station's."""
    staged = Service.PS, int(Uid.STAGED_CERTIFICATE)
    journal = Service.PS, int(Uid.PROVISIONING_JOURNAL)
    if staged in entries and journal not in entries:
        was = entries.pop(staged)
        data = installed_certificate.encoded(_KEY_IN_FORMAT_1, was.data)
        entries[Service.PS, int(Uid.INSTALLED_CERTIFICATE)] = Entry(data, was.flags)
