"""Does the cost of one device grow with the number of devices?

Registry, ledger and bulk file, each large against small. Processor time, not wall time: a busy disk
or another process does not count.
"""

import json
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import boto3
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from factory.account.cloud import Account
from factory.bulk.input_file import parameters_line
from factory.bulk.journal import new_attempt, new_batch, open_journal
from factory.station.ledger import Entry, Ledger, Result
from fleet.crowd import cpu_seconds
from scripts.benchmarks.comparison import Figures, Quantity, Row, alternate, compare
from scripts.benchmarks.workbench import CHECKOUT, Workbench, local_aws

_REGISTERED: Final = (10_000, 1_000)
_ENTRIES: Final = (100_000, 10_000)
_LINES: Final = (100_000, 100)
_ACCOUNT: Final = Account("111122223333", "eu-central-1")
_CALLS: Final = 100
"""Devices that are registered in a round, at each size."""
_BY_CPU: Final = (Quantity("cpu", "processor time", "ms", aim=1.1),)
_LEDGER: Final = (
    Quantity("append", "append and sync, a line", "ms", aim=1.1),
    Quantity("read", "read, a line", "ms", aim=1.1),
)
_SEED: Final = "growth-seed"
_POLICY: Final = "growth-policy"


def growth(rounds: int) -> Mapping[str, list[Row]]:
    """Measure each at two sizes, in turn.

    Raises:
        BenchError: the local AWS did not start.
    """
    place = CHECKOUT / ".firstboot"
    place.mkdir(exist_ok=True)
    with ExitStack() as stack:
        folder = Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-growth-", dir=place))
        )
        clouds = [stack.enter_context(_registry(count)) for count in _REGISTERED]
        registry = alternate([partial(_register, each) for each in clouds], rounds)
        ledgers = [_ledger(folder / str(count), count) for count in _ENTRIES]
        ledger = alternate([partial(_use, *each) for each in ledgers], rounds)
        bulk = alternate([partial(_bulk, folder / "bulk", count) for count in _LINES], rounds)
    return {
        _title("local AWS, a device's calls", _REGISTERED): compare(_BY_CPU, *registry),
        _title("ledger", _ENTRIES): compare(_LEDGER, *ledger),
        _title("bulk file and journal, a line", _LINES): compare(_BY_CPU, *bulk),
    }


def _title(what: str, sizes: tuple[int, int]) -> str:
    return f"{what}: {sizes[0]:,} against {sizes[1]:,}"


# --- the local AWS's registry -------------------------------------------------------------------


@contextmanager
def _registry(count: int) -> Iterator[Workbench]:
    """Start a local AWS that has ``count`` things, each with its certificate and policy."""
    with local_aws(CHECKOUT) as bench:
        iot = _client(bench)
        document = {"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": "iot:Connect", "Resource": "*"},
        ]}  # fmt: skip
        iot.create_policy(policyName=_POLICY, policyDocument=json.dumps(document))
        certificate_id = _register_device(iot, _SEED)
        bench.call("localcloud", "down", *bench.state)
        _multiply(bench.folder / "cloud" / "services" / "iot.json", certificate_id, count)
        bench.call("localcloud", "up", *bench.state, "--detach")
        yield bench


def _multiply(file: Path, certificate_id: str, count: int) -> None:
    """Write the seed's thing and certificate ``count`` times into the registry's file."""
    document = json.loads(file.read_text())
    for store in (document["payload"][name]["data"] for name in ("things", "certificates")):
        (record,) = [json.dumps(each) for each in store.items()]
        for number in range(count):
            other = sha256(str(number).encode()).hexdigest()
            copy = record.replace(_SEED, f"{_SEED}-{number}").replace(certificate_id, other)
            key, value = json.loads(copy)
            store[key] = value
    file.write_text(json.dumps(document))


def _register(bench: Workbench, number: int) -> Figures:
    """Register devices by hand; return what one took of the local AWS's processor time."""
    iot = _client(bench)
    record = json.loads((bench.folder / "cloud" / "server.json").read_text())
    before = cpu_seconds(str(record["pid"]))
    for each in range(_CALLS):
        _register_device(iot, f"growth-{number}-{each}")
    return {"cpu": (cpu_seconds(str(record["pid"])) - before) / _CALLS * 1000}


def _register_device(iot: Any, thing: str) -> str:
    made = iot.create_certificate_from_csr(certificateSigningRequest=_csr(), setAsActive=True)
    iot.create_thing(thingName=thing)
    iot.attach_policy(policyName=_POLICY, target=made["certificateArn"])
    iot.attach_thing_principal(thingName=thing, principal=made["certificateArn"])
    iot.list_thing_principals(thingName=thing)
    identifier: str = made["certificateId"]
    return identifier


def _csr() -> str:
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    signed = request.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    return signed.public_bytes(Encoding.PEM).decode()


def _client(bench: Workbench) -> Any:
    return boto3.client(
        "iot",
        endpoint_url=bench.cloud["AWS_ENDPOINT_URL"],
        region_name=bench.cloud["AWS_DEFAULT_REGION"],
        aws_access_key_id=bench.cloud["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=bench.cloud["AWS_SECRET_ACCESS_KEY"],
    )


# --- the station's files ------------------------------------------------------------------------


def _entry(number: int) -> Entry:
    return Entry(
        serial_number=f"SN-{number:06}", device_id=f"{number:032x}", at=datetime.now(UTC),
        method="jitp", batch="GROWTH", result=Result.MADE, folder=f"/devices/SN-{number:06}",
    )  # fmt: skip


def _ledger(folder: Path, count: int) -> tuple[Ledger, int]:
    ledger = Ledger(folder)
    with ledger.locked():
        ledger.append(*map(_entry, range(count)))
    return ledger, count


def _use(ledger: Ledger, count: int, number: int) -> Figures:
    """Append lines one by one, and read the whole ledger for a batch, as the line does."""
    with ledger.locked():
        append = _cpu(lambda: _append(ledger, number))
        view = ledger.view({"SN-000001"}, set())
        read = _cpu(view.refresh)
    return {"append": append / _CALLS, "read": read / count}


def _append(ledger: Ledger, number: int) -> None:
    for _ in range(_CALLS):
        ledger.append(_entry(number))


def _bulk(folder: Path, count: int, number: int) -> Figures:
    """Make a batch's file and its journal, and read the journal again."""
    repeats = max(1, 10_000 // count)
    csr = _csr()

    def work() -> None:
        for repeat in range(repeats):
            place = folder / f"{count}-{number}-{repeat}"
            serials = [f"SN-{each:06}" for each in range(count)]
            batch = new_batch("GROWTH", _ACCOUNT, {each: folder / each for each in serials})
            batch.attempt = new_attempt(
                batch, {sha256(each.encode()).hexdigest(): each for each in serials}
            )
            with open_journal(place) as journal:
                journal.save(batch)
                journal.load()
            b"".join(parameters_line(each, csr) for each in serials)

    return {"cpu": _cpu(work) / repeats / count}


def _cpu(work: Callable[[], object]) -> float:
    """Return the processor time of ``work``, in ms."""
    before = time.process_time()
    work()
    return (time.process_time() - before) * 1000
