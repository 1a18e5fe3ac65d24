"""A batch ends with SECURED devices or reasons, whatever is cut, and registers nothing twice."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from cryptography import x509

from device.errors.storage import STORAGE_BUSY
from device.storage.device_storage import open_device_storage
from device.storage.lifecycle import Lifecycle
from device.storage.secure_storage import Uid
from factory.account.cloud import Account
from factory.account.documents import CONFIG
from factory.bulk.batch import run_batch
from factory.bulk.context import BatchContext, installed_certificate_id
from factory.bulk.journal import Batch, new_batch, open_journal
from factory.bulk.task import Job
from factory.errors import (
    ANOTHER_TASK_RUNS,
    BATCH_JOURNAL,
    BUCKET_MISSING,
    OTHER_ACCOUNT,
    NotInCloudError,
)
from factory.making.new_device import DeviceOrder, make_device, new_device_id
from factory.making.thing_registration import RegistryEntry
from tests.support.certificates import DeviceAuthority, new_key
from tests.support.devices import installed_chain
from tests.support.errors import raises
from tests.support.simulated_registry import HERE, SimulatedRegistry
from tests.support.station_cloud import PowerCutError

SERIALS = ["SN-1", "SN-2", "SN-3"]
CALLS = 11
"""Of a batch of three: three looks, file, two looks for others, start, two looks, two reports."""
STEPS = 11
"""What is shown on the way: the moments between the calls."""


@dataclass
class Watched:
    """Progress that pulls the plug at the ``cut_at``-th thing it is told, counted from 1."""

    cut_at: int = 0
    told: list[str] = field(default_factory=list)

    def say(self, words: str) -> None:
        self._tell(words)

    def begin(self, stage: str, total: int) -> None:
        self._tell(f"{stage}: {total}")

    def advance(self, done: int) -> None:
        self._tell(str(done))

    def _tell(self, words: str) -> None:
        self.told.append(words)
        if len(self.told) == self.cut_at:
            raise PowerCutError


def order(serial: str) -> DeviceOrder:
    return DeviceOrder(serial, new_device_id(), "localhost:8883", b"a CA", CONFIG / "bulk.yaml")


def entry(serial: str) -> RegistryEntry:
    return RegistryEntry(serial, "firstboot-device", "firstboot-bulk")


def job(key: str) -> Job:
    return Job("{}", "a-bucket", key, "arn:aws:iam::123456789012:role/firstboot-bulk")


@dataclass
class Line:
    """A production line: the account, the folder, and what a run of the station does."""

    folder: Path
    cloud: SimulatedRegistry = field(default_factory=SimulatedRegistry)
    progress: Watched = field(default_factory=Watched)
    wait: bool = True
    slept: list[float] = field(default_factory=list)
    retry: bool = False

    def run(self) -> Batch:
        """Run the batch, as ``factory bulk`` does."""
        with open_journal(self.folder / "journal") as journal:
            folders = {serial: self.folder / serial for serial in SERIALS}
            batch = journal.load() or new_batch("lot", HERE, folders)
            if self.retry:
                batch.retry()
            journal.save(batch)
            context = BatchContext(
                "bulk", self.cloud, journal, order, entry, job, self.progress, self.wait,
                self.slept.append, self.cloud.download,
            )  # fmt: skip
            run_batch(context, batch)
            return batch

    def is_secured(self, serial: str) -> bool:
        with open_device_storage(self.folder / serial, read_only=True) as storage:
            return storage.lifecycle is Lifecycle.SECURED


@pytest.fixture
def line(tmp_path: Path) -> Line:
    return Line(tmp_path)


def check_complete(line: Line, batch: Batch) -> None:
    """Everything is there, once."""
    assert [each.problem for each in batch.lines] == [None] * len(SERIALS)
    ids = {each.serial_number: [each.certificate_id] for each in batch.lines}
    assert line.cloud.active == ids
    assert len(line.cloud.certificates) == len(SERIALS), "something was registered twice"
    assert all(line.is_secured(serial) for serial in SERIALS)


def test_batch_ends_with_secured_devices_that_hold_their_own_certificates(line: Line) -> None:
    batch = line.run()

    check_complete(line, batch)
    for each in batch.lines:
        with open_device_storage(Path(each.folder)) as storage:
            pem = installed_chain(storage)
        certificate = line.cloud.certificates[str(each.certificate_id)]
        assert pem == str(certificate["certificatePem"]).encode()


def test_the_certificate_of_a_device_is_found_after_its_first_boot_too(line: Line) -> None:
    batch = line.run()
    each = batch.lines[0]
    with open_device_storage(Path(each.folder)) as storage, storage.transaction():
        storage.ps.set(Uid.DEVICE_CERTIFICATE, installed_chain(storage))
        storage.ps.remove(Uid.INSTALLED_CERTIFICATE)

    assert installed_certificate_id(each) == each.certificate_id


def test_file_has_a_line_with_a_signed_csr_for_each_device(line: Line) -> None:
    line.run()
    (content,) = [body for key, body in line.cloud.objects.items() if key.startswith("lot/1-")]
    lines = [json.loads(each) for each in content.splitlines()]
    assert [each["SerialNumber"] for each in lines] == SERIALS
    assert all(x509.load_pem_x509_csr(each["CSR"].encode()).is_signature_valid for each in lines)


def test_the_cuts_below_are_all_that_there_are(line: Line) -> None:
    line.run()
    assert len(line.cloud.calls) == CALLS
    assert len(line.progress.told) == STEPS


@pytest.mark.parametrize("reply_lost", [False, True], ids=["never-sent", "reply-lost"])
@pytest.mark.parametrize("cut_at", range(1, CALLS + 1))
def test_batch_that_was_cut_in_a_call_is_completed_by_the_next_run(
    line: Line, cut_at: int, *, reply_lost: bool
) -> None:
    line.cloud.cut_at, line.cloud.reply_lost = cut_at, reply_lost
    with pytest.raises(PowerCutError):
        line.run()
    line.cloud.cut_at = 0

    check_complete(line, line.run())
    assert len(line.cloud.tasks) == 1


@pytest.mark.parametrize("cut_at", range(1, STEPS + 1))
def test_batch_that_was_cut_between_calls_is_completed_by_the_next_run(
    line: Line, cut_at: int
) -> None:
    line.progress.cut_at = cut_at
    with pytest.raises(PowerCutError):
        line.run()
    line.progress.cut_at = 0

    check_complete(line, line.run())


@pytest.mark.parametrize("first", range(1, CALLS + 1, 2))
@pytest.mark.parametrize("second", range(1, CALLS + 1, 3))
def test_batch_survives_a_second_cut_while_it_recovers(line: Line, first: int, second: int) -> None:
    for cut_at in (first, len(line.cloud.calls) + first + second):
        line.cloud.cut_at, line.cloud.reply_lost = cut_at, True
        try:
            line.run()
        except PowerCutError:
            continue
    line.cloud.cut_at = 0

    check_complete(line, line.run())


def test_finished_batch_asks_for_nothing(line: Line) -> None:
    line.run()
    line.cloud.calls.clear()
    check_complete(line, line.run())
    assert line.cloud.calls == []


def test_refused_line_has_awss_reason_and_does_not_stop_the_others(line: Line) -> None:
    line.cloud.refused["SN-2"] = "ThingGroup 1:devices not found."

    batch = line.run()

    (failed,) = batch.failed_lines
    assert failed.serial_number == "SN-2"
    assert "ThingGroup 1:devices not found." in str(failed.problem)
    assert "factory prepare --method bulk" in failed.next_step
    assert [line.is_secured(serial) for serial in SERIALS] == [True, False, True]


def test_retry_is_for_what_failed_alone(line: Line) -> None:
    line.cloud.refused["SN-2"] = "Rate exceeded"
    line.run()
    line.cloud.refused.clear()
    assert len(line.run().failed_lines) == 1, "it is not retried by itself"
    line.retry = True

    batch = line.run()

    check_complete(line, batch)
    (content,) = [body for key, body in line.cloud.objects.items() if key.startswith("lot/2-")]
    assert [json.loads(each)["SerialNumber"] for each in content.splitlines()] == ["SN-2"]


def test_retry_finds_what_was_registered_though_nobody_said_so(line: Line) -> None:
    for task in ("task-1/RESULTS", "task-1/ERRORS"):
        line.cloud.objects[task] = b""
    forget = line.cloud._register_lines

    def silent(task_id: str, task: dict[str, object]) -> None:
        forget(task_id, task)  # type: ignore[arg-type] # as it is
        line.cloud.objects[f"{task_id}/RESULTS"] = b""

    line.cloud._register_lines = silent  # type: ignore[method-assign,assignment] # a fake's own fault
    batch = line.run()
    assert {each.problem for each in batch.lines} == {"AWS's reports say nothing about it"}
    line.retry = True

    check_complete(line, line.run())
    assert len(line.cloud.tasks) == 1


def test_task_that_fails_as_a_whole_gives_every_line_its_reason(line: Line) -> None:
    line.cloud.failure = "The role r may not read s3://a-bucket/lot"

    batch = line.run()

    assert len(batch.failed_lines) == len(SERIALS)
    for each in batch.failed_lines:
        assert each.problem == f"the task ended as Failed: {line.cloud.failure}"
        assert "s3:GetObject" in each.next_step
    line.cloud.failure, line.retry = "", True
    check_complete(line, line.run())


def test_batch_waits_for_another_task_and_says_so_once(line: Line) -> None:
    line.cloud.foreign_tasks = ["theirs", "theirs", "theirs"]
    check_complete(line, line.run())
    said = [words for words in line.progress.told if "theirs" in words]
    assert said == ["waiting for task theirs: AWS runs one in an account at a time"]
    assert len(line.slept) >= 3


def test_batch_that_shall_not_wait_says_why_and_goes_on_later(line: Line) -> None:
    line.cloud.foreign_tasks, line.wait = ["theirs"], False
    with raises(ANOTHER_TASK_RUNS, match="theirs") as raised:
        line.run()
    assert "--task-id theirs" in raised.value.next_step
    assert line.cloud.tasks == {}

    check_complete(line, line.run())


def test_thing_of_another_device_is_a_problem_of_its_line(line: Line, tmp_path: Path) -> None:
    Line(tmp_path / "other", line.cloud).run()
    before = dict(line.cloud.active)

    batch = line.run()

    assert [each.problem and each.problem[:16] for each in batch.lines] == [
        f"thing {serial} exists"[:16] for serial in SERIALS
    ]
    assert line.cloud.active == before


def test_finished_device_in_the_way_is_a_problem_of_its_line(line: Line) -> None:
    make_device(order("SN-2"), line.folder / "SN-2", lambda _: None)
    batch = line.run()
    (failed,) = batch.failed_lines
    assert "finished device" in str(failed.problem)
    assert line.cloud.active.keys() == {"SN-1", "SN-3"}


Bend = Callable[[str, x509.CertificateSigningRequest], bytes]
AUTHORITY = DeviceAuthority()


def for_another_key(serial: str, csr: x509.CertificateSigningRequest) -> bytes:
    key = new_key().public_key() if serial == "SN-2" else csr.public_key()
    return AUTHORITY.issue(key, csr.subject)  # type: ignore[arg-type] # EC keys


def for_another_subject(serial: str, csr: x509.CertificateSigningRequest) -> bytes:
    subject = {"common_name": "SN-9"} if serial == "SN-2" else csr.subject
    return AUTHORITY.issue(csr.public_key(), subject)  # type: ignore[arg-type] # EC keys


@pytest.mark.parametrize(
    ("bend", "problem"),
    [(for_another_key, "say nothing about it"), (for_another_subject, "subject")],
)
def test_certificate_that_does_not_fit_is_not_installed(
    line: Line, bend: Bend, problem: str
) -> None:
    line.cloud.bend = bend
    batch = line.run()
    (failed,) = batch.failed_lines
    assert (failed.serial_number, problem in str(failed.problem)) == ("SN-2", True)
    assert [line.is_secured(serial) for serial in SERIALS] == [True, False, True]


def test_certificate_for_nobody_is_mentioned(line: Line) -> None:
    line.cloud.bend = for_another_key
    line.run()
    assert "AWS reports a certificate for no device of this batch" in line.progress.told


@pytest.mark.parametrize(
    "nonsense", [b"no json", b"[]", b'{"response": {"CertificatePem": "no PEM"}}', b"{}"]
)
def test_nonsense_in_a_report_is_no_traceback(line: Line, nonsense: bytes) -> None:
    line.cloud.refused["SN-2"] = "x"
    register = line.cloud._register_lines

    def bent(task_id: str, task: dict[str, object]) -> None:
        register(task_id, task)  # type: ignore[arg-type] # as it is
        for kind in ("RESULTS", "ERRORS"):
            line.cloud.objects[f"{task_id}/{kind}"] += b"\n" + nonsense

    line.cloud._register_lines = bent  # type: ignore[method-assign,assignment] # a fake's own fault
    batch = line.run()
    assert [each.serial_number for each in batch.failed_lines] == ["SN-2"]
    assert any(nonsense.decode() in words for words in line.progress.told)


@pytest.mark.parametrize(("numbers", "named"), [([2], True), ([1], True), ([7], False)])
def test_reasons_find_their_line_whether_aws_counts_from_0_or_1(
    line: Line, numbers: list[int], *, named: bool
) -> None:
    line.cloud.refused["SN-2"] = "the reason"
    register = line.cloud._register_lines

    def renumbered(task_id: str, task: dict[str, object]) -> None:
        register(task_id, task)  # type: ignore[arg-type] # as it is
        report = [{"lineNumber": number, "errorMessage": "the reason"} for number in numbers]
        line.cloud.objects[f"{task_id}/ERRORS"] = b"\n".join(json.dumps(e).encode() for e in report)

    line.cloud._register_lines = renumbered  # type: ignore[method-assign,assignment] # a fake's own fault
    (failed,) = line.run().failed_lines
    assert (failed.problem == "the reason") is named
    assert ("in AWS's report of errors: the reason" in line.progress.told) is not named


def test_missing_bucket_stops_the_batch_and_it_goes_on_later(line: Line) -> None:
    put = line.cloud._PutObject

    def refuse(**_: object) -> None:
        raise NotInCloudError("s3:PutObject", "NoSuchBucket", "no bucket")

    line.cloud._PutObject = refuse  # type: ignore[method-assign,assignment] # a fake's own fault
    with raises(BUCKET_MISSING, match="no bucket a-bucket"):
        line.run()
    line.cloud._PutObject = put  # type: ignore[method-assign] # mended
    check_complete(line, line.run())


def test_batch_stays_in_its_account(line: Line) -> None:
    batch = line.run()
    batch.check_account(HERE)
    with raises(OTHER_ACCOUNT, match="batch lot was begun in account 123456789012"):
        batch.check_account(Account("210987654321", "eu-central-1"))


def test_one_process_runs_a_batch(line: Line) -> None:
    with open_journal(line.folder / "journal"), raises(STORAGE_BUSY):
        line.run()


def test_journal_that_was_changed_is_refused(line: Line) -> None:
    line.run()
    (line.folder / "journal" / "journal.json").write_text("{")
    with raises(BATCH_JOURNAL, match="cannot be read"):
        line.run()


def test_journal_is_for_its_owner_and_holds_no_key(line: Line) -> None:
    line.run()
    file = line.folder / "journal" / "journal.json"
    assert file.stat().st_mode & 0o077 == 0
    assert b"PRIVATE" not in file.read_bytes()
