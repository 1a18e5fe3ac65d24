"""A device's storage as one thing: fuses, sealed entries, keys and the lock around them.

``STATE/storage`` plays the device's flash, ``STATE/fuses`` the fuses of its chip, or what its
root of trust keeps there. See docs/storage.md and docs/roots-of-trust.md.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cached_property, partial
from pathlib import Path
from types import TracebackType
from typing import Self

from device.errors import FirstbootError
from device.errors.storage import (
    DECOMMISSIONED,
    NOT_PERMITTED,
    LifecycleError,
    StorageError,
    StorageMissingError,
)
from device.storage.device_place import DevicePlace
from device.storage.entries import Service
from device.storage.filesystem import FolderLock, Mount, OsFs, make_folder
from device.storage.keys import KeyStore
from device.storage.lifecycle import STORAGE_AVAILABLE, Lifecycle
from device.storage.roots.descriptor import Descriptor, write_descriptor
from device.storage.roots.root_of_trust import RootOfTrust
from device.storage.roots.root_plan import FILE, RootMaker, RootPlan, make_root
from device.storage.sealed import SealedStore
from device.storage.secure_storage import SecureStorage, Uid


class DeviceStorage:
    """Everything inside one device; close it, or use it in a ``with`` statement."""

    def __init__(self, store: SealedStore, lock: FolderLock | None) -> None:
        """Join the parts; use ``open_device_storage`` or ``create_device_storage``."""
        self.root_of_trust: RootOfTrust = store.root
        self.its = SecureStorage(store, Service.ITS)
        self.ps = SecureStorage(store, Service.PS)
        self._store = store
        self._lock = lock
        self._after_commit: list[Callable[[], None]] = []
        self._beside = ExitStack()

    @cached_property
    def keys(self) -> KeyStore:
        """The private keys; ``attach_element`` adds those inside a secure element."""
        from device.storage.sealed_keys import SealedKeyStore  # noqa: PLC0415 - see that page

        if Uid.ELEMENT_KEYS not in self.ps.uids():
            return SealedKeyStore(self.its)
        from device.storage.element.pkcs11 import Pkcs11KeyStore  # noqa: PLC0415 - rarely needed

        return Pkcs11KeyStore(self, SealedKeyStore(self.its), element=None)

    @property
    def lifecycle(self) -> Lifecycle:
        """The state that the fuses hold now."""
        return self.root_of_trust.lifecycle

    @property
    def generation(self) -> int:
        """How many commits this storage has seen."""
        return self._store.generation

    def derive_key(self, label: bytes) -> bytes:
        """Return 32 bytes for one purpose beside the storage, which only this device can derive.

        Raises:
            LifecycleError: storage keys are not available in this state.
            RootOfTrustError: the hardware cannot be used.
        """
        return self.root_of_trust.derive(label)

    @contextmanager
    def transaction(self, *, finishing: bool = False) -> Iterator[None]:
        """Make all changes inside durable in one commit, or none of them after an exception.

        A transaction inside another joins it. One that is ``finishing`` what was accepted
        before, as a promotion does, may use room that is kept for it.

        Raises:
            CapacityExceededError: it would be too much for the storage.
            NotPermittedError: the storage is open for reading only, or closed.
            InsufficientStorageError, StorageFailureError: the disk refused the commit.
        """
        queued = len(self._after_commit)
        try:
            with self._store.transaction(finishing=finishing):
                yield
        except BaseException:
            del self._after_commit[queued:]
            raise
        while self._after_commit and not self._store.in_transaction:
            self._after_commit.pop(0)()

    def after_commit(self, action: Callable[[], None]) -> None:
        """Run ``action`` when the open transaction is durable; never, if it ends otherwise.

        For what cannot be undone: a key in a secure element is destroyed only when no storage
        that could come back still needs it.
        """
        self._after_commit.append(action)

    def on_close(self, action: Callable[[], None]) -> None:
        """Run ``action`` when this storage is closed: something was opened beside it."""
        self._beside.callback(action)

    def advance(self, to: Lifecycle) -> None:
        """Step the lifecycle. DECOMMISSIONED destroys the root key, and so every entry, first.

        Raises:
            LifecycleError: ``to`` may not follow the state now.
            NotPermittedError: inside a transaction, or open for reading only.
        """
        self._store.check_writable()
        if self._store.in_transaction:
            raise NOT_PERMITTED.error("the lifecycle cannot advance inside a transaction")
        self.root_of_trust.advance(to)
        if to not in STORAGE_AVAILABLE:
            self._store.refuse(partial(_not_in, Lifecycle.SECURED, to))
        if to is Lifecycle.DECOMMISSIONED:
            self._store.erase()

    def finish_decommissioning(self) -> None:
        """Do what a cut left undone after the root key was destroyed; again does no harm.

        Raises:
            LifecycleError: the root key is not destroyed.
            StorageFailureError: the disk refused.
        """
        if self.lifecycle is not Lifecycle.DECOMMISSIONED:
            raise _not_in(Lifecycle.DECOMMISSIONED, self.lifecycle)
        self.root_of_trust.advance(Lifecycle.DECOMMISSIONED)
        self._store.erase()

    def move(self, root: RootOfTrust, switch: Callable[[], None]) -> None:
        """Seal all under another ``root``, as ``factory rewrap`` does.

        Raises:
            NotPermittedError: open for reading only, or closed.
            InsufficientStorageError, StorageFailureError: the disk refused.
        """
        self._store.move(root, switch)
        self.root_of_trust = root

    def close(self) -> None:
        """Forget the entries and let others in; closing twice does no harm."""
        self._store.refuse(partial(NOT_PERMITTED.error, "the storage is closed"))
        if self._lock:
            self._lock.release()
        self._beside.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def create_device_storage(
    state: Path,
    *,
    root_of_trust: RootPlan = FILE,
    mount: Mount = OsFs,
    make_root: RootMaker = make_root,
) -> DeviceStorage:
    """Make a device in ``state``: burn the fuses, write an empty image, ASSEMBLY_AND_TEST.

    An unfinished device in the same place is scrapped.

    Raises:
        StorageExistsError: a finished device is there.
        StorageBusyError: another process uses it.
        RootOfTrustError, ElementError: the root of trust cannot be used.
        InsufficientStorageError, StorageFailureError: the disk refused.
    """
    make_folder(state / "fuses")
    make_folder(state / "storage")
    lock = FolderLock(state / "storage")
    try:
        DevicePlace(state, mount, make_root).root.scrap()
        root = make_root(root_of_trust, mount(state / "fuses"))
        write_descriptor(mount(state), Descriptor(root_of_trust))
        root.burn()
        store = SealedStore(mount(state / "storage"), root)
        store.create()
    except BaseException:
        lock.release()
        raise
    return DeviceStorage(store, lock)


def open_device_storage(
    state: Path,
    *,
    read_only: bool = False,
    mount: Mount = OsFs,
    make_root: RootMaker = make_root,
) -> DeviceStorage:
    """Open the device in ``state``.

    For reading only, it takes no lock, changes nothing, and opens in any lifecycle: where the
    entries are not available, using them raises the LifecycleError.

    Raises:
        StorageMissingError: there is no device.
        StorageBusyError: another process has it open for writing.
        LifecycleError: it is not SECURED.
        RootOfTrustError, ElementError: the root of trust cannot be used.
        DataCorruptError, RolledBackError, WrongDeviceError: the storage is not what was stored.
        InsufficientStorageError, StorageFailureError: the disk refused.
    """
    find = partial(DevicePlace, state, mount, make_root)
    if not read_only:
        return _open_for_writing(find, Lifecycle.SECURED)
    store = _found_in(find()).store
    _load_what_is_readable(store)
    return DeviceStorage(store, None)


def resume_device_storage(
    state: Path, *, mount: Mount = OsFs, make_root: RootMaker = make_root
) -> DeviceStorage:
    """Open the device in ``state`` whose making was stopped, so that the station can go on.

    Raises:
        StorageMissingError: there is no device.
        StorageBusyError: another process has it open for writing.
        LifecycleError: it is not PSA_ROT_PROVISIONING: not that far yet, or finished.
        RootOfTrustError, ElementError: the root of trust cannot be used.
        DataCorruptError, RolledBackError, WrongDeviceError: the storage is not what was stored.
        InsufficientStorageError, StorageFailureError: the disk refused.
    """
    find = partial(DevicePlace, state, mount, make_root)
    return _open_for_writing(find, Lifecycle.PSA_ROT_PROVISIONING)


def _found_in(place: DevicePlace) -> DevicePlace:
    if place.root.lifecycle is Lifecycle.UNKNOWN:
        raise StorageMissingError(f"there is no device in {place.state}")
    return place


def _open_for_writing(find: Callable[[], DevicePlace], expected: Lifecycle) -> DeviceStorage:
    """Open the device once nobody else can move it; before, only see that there is one."""
    lock = FolderLock(_found_in(find()).state / "storage")
    try:
        place = _found_in(find())
        place.recover()
        _load_all(place.store, expected)
        place.tidy_if_possible()
    except BaseException:
        lock.release()
        raise
    return DeviceStorage(place.store, lock)


def _load_all(store: SealedStore, expected: Lifecycle) -> None:
    state = store.root.lifecycle
    if state is not expected:
        raise _not_in(expected, state)
    store.load(read_only=False)


def _load_what_is_readable(store: SealedStore) -> None:
    """Load; a device that is not finished, or no longer, may have nothing to load."""
    try:
        store.load(read_only=True)
    except StorageError:
        state = store.root.lifecycle
        if state is Lifecycle.SECURED:
            raise
        store.refuse(partial(_not_in, Lifecycle.SECURED, state))


def _not_in(expected: Lifecycle, state: Lifecycle) -> FirstbootError:
    if state is Lifecycle.DECOMMISSIONED:
        return DECOMMISSIONED.error("the device is DECOMMISSIONED: its root key is destroyed")
    return LifecycleError(f"the device is {state.name}, not {expected.name}")
