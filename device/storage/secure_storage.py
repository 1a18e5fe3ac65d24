"""The PSA Certified Secure Storage API 1.0 (Arm IHI 0087): set, get, get_info, remove.

ITS (Internal Trusted Storage) is for small secrets, PS (Protected Storage) for the rest; here
both are name spaces of one sealed store. A call is atomic, and durable when it returns, or with
the transaction around it.
"""

from typing import Final

from msgspec import Struct

from device.errors.storage import (
    INVALID_ARGUMENT,
    NOT_PERMITTED,
    DoesNotExistError,
)
from device.storage.entries import Entry, Service, StorageFlag, Uid
from device.storage.lifecycle import WRITE_ONCE_ENFORCED
from device.storage.sealed import SealedStore

__all__ = ["SecureStorage", "Service", "StorageFlag", "StorageInfo", "Uid"]

_ALL_FLAGS: Final = sum(map(int, StorageFlag))


_ALWAYS_ROOM_FOR: Final = frozenset({Uid.REFUSED_PINS})
"""Small, and a token locks if the device forgets them."""


class StorageInfo(Struct, frozen=True):
    """What is known of an entry: sizes in bytes, and the protection that it really has."""

    capacity: int
    size: int
    flags: StorageFlag


class SecureStorage:
    """One service, ITS or PS."""

    def __init__(self, store: SealedStore, service: Service) -> None:
        self._store = store
        self._service = service

    def set(self, uid: int, data: bytes, flags: StorageFlag = StorageFlag.NONE) -> None:
        """Store ``data``, all of it or nothing, over what ``uid`` held.

        Raises:
            InvalidArgumentError: the uid is not 1 to 2**64 - 1, or a flag is unknown.
            NotPermittedError: the entry is WRITE_ONCE, or the storage is read-only.
            CapacityExceededError: it is too much (`device.storage.capacity`); inside a
                transaction this is said by the commit.
            InsufficientStorageError: the disk is full.
            StorageFailureError: the disk refused.
        """
        self._check_uid(uid)
        if unknown := int(flags) & ~_ALL_FLAGS:
            raise INVALID_ARGUMENT.error(f"unknown flags {unknown:#x}")
        finishing = uid in _ALWAYS_ROOM_FOR and self._service is Service.ITS
        with self._store.transaction(finishing=finishing) as entries:
            self._check_may_change(uid)
            entries[self._service, int(uid)] = Entry(bytes(data), flags)

    def get(self, uid: int, offset: int = 0, size: int | None = None) -> bytes:
        """Return up to ``size`` bytes from ``offset``; by default all.

        Raises:
            DoesNotExistError: nothing is stored there.
            InvalidArgumentError: the uid is illegal, the offset is behind the end, or negative.
        """
        data = self._entry(uid).data
        if not 0 <= offset <= len(data):
            raise INVALID_ARGUMENT.error(f"offset {offset} is outside of {len(data)} bytes")
        if size is None:
            return data[offset:]
        if size < 0:
            raise INVALID_ARGUMENT.error(f"size {size} is negative")
        return data[offset : offset + size]

    def find(self, uid: int) -> bytes | None:
        """Return the entry, or None where nothing is stored (not in PSA; see `get`).

        Raises:
            InvalidArgumentError: the uid is illegal.
        """
        self._check_uid(uid)
        entry = self._store.entries.get((self._service, int(uid)))
        return None if entry is None else entry.data

    def get_info(self, uid: int) -> StorageInfo:
        """Return sizes and the protection really given, which may be more or less than asked.

        Everything is encrypted, so NO_CONFIDENTIALITY is never reported; whether replay is
        noticed depends on the root of trust.

        Raises:
            DoesNotExistError: nothing is stored there.
            InvalidArgumentError: the uid is illegal.
        """
        entry = self._entry(uid)
        flags = (entry.flags & StorageFlag.WRITE_ONCE) | self._store.root.protection
        return StorageInfo(capacity=len(entry.data), size=len(entry.data), flags=flags)

    def remove(self, uid: int) -> None:
        """Remove the entry; no copy holds it afterwards.

        Raises:
            DoesNotExistError: nothing is stored there.
            InvalidArgumentError: the uid is illegal.
            NotPermittedError: the entry is WRITE_ONCE, or the storage is read-only.
            StorageFailureError, InsufficientStorageError: the disk refused.
        """
        self._entry(uid)
        with self._store.transaction() as entries:
            self._check_may_change(uid)
            del entries[self._service, int(uid)]

    def uids(self) -> list[int]:
        """Return every uid in use, sorted (not in PSA; for owners of a range of uids)."""
        return sorted(uid for service, uid in self._store.entries if service is self._service)

    def _entry(self, uid: int) -> Entry:
        self._check_uid(uid)
        entry = self._store.entries.get((self._service, int(uid)))
        if entry is None:
            raise DoesNotExistError(f"{self._service.name} holds nothing under uid {uid:#x}")
        return entry

    def _check_uid(self, uid: int) -> None:
        if not 1 <= uid < 2**64:
            raise INVALID_ARGUMENT.error(f"uid {uid} is not 1 to 2**64 - 1")

    def _check_may_change(self, uid: int) -> None:
        entry = self._store.entries.get((self._service, int(uid)))
        if entry is None or StorageFlag.WRITE_ONCE not in entry.flags:
            return
        if self._store.root.lifecycle in WRITE_ONCE_ENFORCED:
            raise NOT_PERMITTED.error(f"{self._service.name} uid {uid:#x} is WRITE_ONCE")
