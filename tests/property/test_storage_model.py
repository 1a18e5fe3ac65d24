"""Can any order of calls, restarts and disk faults make the storage differ from a dict?"""

import tempfile
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from device.errors import Row
from device.errors.storage import (
    DOES_NOT_EXIST,
    INSUFFICIENT_STORAGE,
    NOT_PERMITTED,
    STORAGE_FAILURE,
    StorageError,
)
from device.storage.device_storage import DeviceStorage, open_device_storage
from device.storage.secure_storage import SecureStorage, StorageFlag, Uid
from tests.support.crash_states import crash_states
from tests.support.effort import examples
from tests.support.errors import suppressed
from tests.support.recording_fs import Fault, RecordingDisk
from tests.support.sealed_device import make_device

Model = dict[tuple[str, int], tuple[bytes, StorageFlag]]
SERVICES = st.sampled_from(["its", "ps"])
UIDS = st.sampled_from(range(1, 30))
FLAGS = st.sampled_from([StorageFlag.NONE] * 7 + [StorageFlag.WRITE_ONCE])


class ChangeOfMindError(Exception):
    """What a caller raises inside a transaction."""


FaultAt = tuple[int, Fault] | None
FAULTS = st.none() | st.tuples(st.sampled_from([*range(22), 11, 12, 12]), st.sampled_from(Fault))
"""Which of the next calls on the disk fails. A commit takes 19; 11 and 12 name the anchor."""


@dataclass(frozen=True)
class Set:
    service: str
    uid: int
    data: bytes
    flags: StorageFlag

    def do(self, service: SecureStorage) -> None:
        service.set(self.uid, self.data, self.flags)


@dataclass(frozen=True)
class Remove:
    service: str
    uid: int

    def do(self, service: SecureStorage) -> None:
        service.remove(self.uid)


Change = Set | Remove
SETS = st.builds(Set, SERVICES, UIDS, st.binary(max_size=200), FLAGS)
CHANGES = SETS | SETS | st.builds(Remove, SERVICES, UIDS)


def changed(model: Model, changes: list[Change]) -> Model | Row | type[ChangeOfMindError]:
    """What must come of the changes: another model, or the error that takes all of them back."""
    model = dict(model)
    for change in changes:
        held = model.get((change.service, change.uid))
        if isinstance(change, Remove) and held is None:
            return DOES_NOT_EXIST
        if held and StorageFlag.WRITE_ONCE in held[1]:
            return NOT_PERMITTED
        match change:
            case Set(service, uid, data, flags):
                model[service, uid] = (data, flags)
            case Remove(service, uid):
                del model[service, uid]
    return model


class StorageMachine(RuleBasedStateMachine):
    """The storage beside the dict that it must be like."""

    reached: ClassVar[Counter[str]] = Counter()

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory()
        self.state = Path(self._folder.name)
        (self.state / "storage").mkdir()
        self.disk = RecordingDisk()
        self.model: Model = {("its", Uid.SERIAL_NUMBER): (b"SN-1", StorageFlag.WRITE_ONCE)}
        self.storage: DeviceStorage

    @initialize()
    def make(self) -> None:
        make_device(self.state, self.disk.mount)
        self.storage = self.opened()

    def teardown(self) -> None:
        self.storage.close()
        self._folder.cleanup()

    def opened(self) -> DeviceStorage:
        return open_device_storage(self.state, mount=self.disk.mount)

    def service(self, name: str) -> SecureStorage:
        return {"its": self.storage.its, "ps": self.storage.ps}[name]

    def held(self) -> dict[tuple[str, int], bytes]:
        names = ("its", "ps")
        return {(n, uid): self.service(n).get(uid) for n in names for uid in self.service(n).uids()}

    @rule(uid=UIDS, fault=FAULTS)
    def set_one(self, uid: int, fault: FaultAt) -> None:
        """Something new each time, for only that is a commit."""
        self.break_the_disk(fault)
        data = b"at call %d" % self.disk.calls
        self.commit([Set("ps", uid, data, StorageFlag.NONE)], change_of_mind=False)

    @rule(changes=st.lists(CHANGES, min_size=1, max_size=4), fault=FAULTS)
    def transaction(self, changes: list[Change], fault: FaultAt) -> None:
        self.break_the_disk(fault)
        self.commit(changes, change_of_mind=False)

    @rule(changes=st.lists(CHANGES, min_size=1, max_size=4))
    def transaction_given_up(self, changes: list[Change]) -> None:
        self.commit(changes, change_of_mind=True)

    @rule(fault=FAULTS)
    def restart(self, fault: FaultAt) -> None:
        self.storage.close()
        self.break_the_disk(fault)
        with suppress(StorageError):
            self.storage = self.opened()
            return
        self.reached["a fault while opening"] += 1
        self.disk.faults.clear()
        self.storage = self.opened()

    @rule(data=st.data())
    def power_cut(self, data: st.DataObject) -> None:
        """Between commits; the moments inside one are the crash explorer's."""
        self.storage.close()
        self.disk.faults.clear()
        self.disk.acknowledge(None)
        disks = [crash.disk for crash in crash_states(self.disk, len(self.disk.operations))]
        self.disk = RecordingDisk(data.draw(st.sampled_from(disks)))
        self.storage = self.opened()

    def break_the_disk(self, fault: FaultAt) -> None:
        self.disk.faults = {self.disk.calls + fault[0]: fault[1]} if fault else {}

    @invariant()
    def the_storage_is_like_the_dict(self) -> None:
        assert self.held() == {key: data for key, (data, _) in self.model.items()}

    @invariant()
    def a_reader_sees_the_same(self) -> None:
        faults, self.disk.faults = self.disk.faults, {}
        calls = self.disk.calls
        with open_device_storage(self.state, read_only=True, mount=self.disk.mount) as reader:
            assert reader.its.uids() == self.storage.its.uids()
            assert reader.ps.uids() == self.storage.ps.uids()
        self.disk.calls, self.disk.faults = calls, faults

    def commit(self, changes: list[Change], *, change_of_mind: bool) -> None:
        """Do the changes in one transaction, and to the model what must have come of it."""
        expected = changed(self.model, changes)
        if change_of_mind and isinstance(expected, dict):
            expected = ChangeOfMindError
        after = expected if isinstance(expected, dict) else self.model
        outcome = self.outcome(changes, change_of_mind=change_of_mind)
        if outcome in (INSUFFICIENT_STORAGE, STORAGE_FAILURE):
            self.reached["a fault in a commit"] += 1
            self.model = self.after_a_fault(self.model, after)
        elif outcome:
            self.reached["a change taken back"] += 1
            assert outcome is expected
        else:
            assert expected is after
            self.model = after

    def outcome(
        self, changes: list[Change], *, change_of_mind: bool
    ) -> Row | type[ChangeOfMindError] | None:
        try:
            self.do(changes, change_of_mind=change_of_mind)
        except StorageError as error:
            return error.row
        except ChangeOfMindError:
            return ChangeOfMindError
        return None

    def do(self, changes: list[Change], *, change_of_mind: bool) -> None:
        with self.storage.transaction():
            for change in changes:
                change.do(self.service(change.service))
            if change_of_mind:
                raise ChangeOfMindError

    def after_a_fault(self, before: Model, after: Model) -> Model:
        """Nothing changed, or the storage wants to be opened again and holds one or the other."""
        with suppressed(STORAGE_FAILURE):
            self.held()
            return before
        self.reached["a commit in doubt"] += 1
        self.disk.faults.clear()
        self.storage.close()
        self.storage = self.opened()
        held = self.held()
        return after if held == {key: data for key, (data, _) in after.items()} else before


def test_the_storage_is_like_a_dict_whatever_happens() -> None:
    StorageMachine.reached.clear()
    run_state_machine_as_test(
        StorageMachine,
        settings=settings(
            max_examples=examples(80),
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    assert StorageMachine.reached["a fault in a commit"] > 10
    assert StorageMachine.reached["a commit in doubt"] > 0
    assert StorageMachine.reached["a change taken back"] > 50
