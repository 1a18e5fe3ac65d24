"""Does ``device boot`` against the local AWS end in one thing, or say why not?

The first test starts a process of its own; what a process adds is the same for the others.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from device.errors.storage import DataCorruptError
from device.identity.certificates import certificate_id
from device.storage.entries import Service
from device.storage.filesystem import OsFs
from device.storage.image import Sealer
from device.storage.roots.file_fuses import FileFuses
from device.storage.secure_storage import Uid
from tests.support.device_process import (
    CONFIG,
    PATIENT,
    Finished,
    Works,
    boot,
    boot_here,
    device_here,
    running,
    works_for,
)
from tests.wire.conftest import LocalCloud

pytestmark = pytest.mark.wire

STEPS = [
    "storage opened",
    "key made",
    "claim connected",
    "certificate issued",
    "certificate staged",
    "thing registered",
    "device connected",
    "identity proven",
    "claim destroyed",
]


@pytest.fixture(scope="module")
def works(local_cloud: LocalCloud, tmp_path_factory: pytest.TempPathFactory) -> Works:
    return works_for(local_cloud, tmp_path_factory.mktemp("station") / "s")


@pytest.fixture
def serial(request: pytest.FixtureRequest, local_cloud: LocalCloud) -> Iterator[str]:
    """A serial number of the test's own; faults are switched off afterwards."""
    yield f"SN-{abs(hash(request.node.nodeid)) % 10**10}"
    local_cloud.clear_faults()


@pytest.fixture
def state(works: Works, tmp_path: Path, serial: str) -> Path:
    return works.make(tmp_path / "device", serial)


def certificates_of(works: Works, thing: str) -> dict[str, x509.Certificate]:
    """Return the certificates attached to ``thing`` by id; all must be ACTIVE."""
    iot, found = works.cloud.client("iot"), {}
    for principal in iot.list_thing_principals(thingName=thing)["principals"]:
        identifier = principal.rpartition("/")[2]
        described = iot.describe_certificate(certificateId=identifier)["certificateDescription"]
        assert described["status"] == "ACTIVE"
        found[identifier] = x509.load_pem_x509_certificate(described["certificatePem"].encode())
    return found


def assert_one(works: Works, thing: str, finished: Finished) -> x509.Certificate:
    """Assert that the device is proven and the cloud has one certificate for it; return that."""
    assert finished.code == 0, finished.err
    assert finished.identity["thing_name"] == thing
    [(identifier, certificate)] = certificates_of(works, thing).items()
    assert identifier == finished.identity["certificate_id"]
    return certificate


def things(works: Works) -> list[str]:
    return [thing["thingName"] for thing in works.cloud.client("iot").list_things()["things"]]


# --- from nothing to proven ---------------------------------------------------------------


def test_a_first_boot_tells_its_story_and_ends_in_one_thing(
    works: Works, state: Path, serial: str
) -> None:
    finished = boot(state)

    certificate = assert_one(works, serial, finished)
    assert finished.steps == STEPS
    assert finished.identity["key_made_by"] == "device"
    assert all(name in finished.err for name in STEPS)
    assert certificate.subject.rfc4514_string() == f"CN={serial},O=Firstboot"
    moments = [line["ms"] for line in finished.lines if "ms" in line]
    assert moments == sorted(moments)


def test_a_second_boot_sends_nothing(works: Works, state: Path, serial: str) -> None:
    first = boot_here(state)

    again = boot_here(state, "--endpoint", "localhost:1")

    assert again.code == 0
    assert again.identity == first.identity
    assert again.steps == ["storage opened"]


def test_the_claim_is_in_no_copy_of_the_storage(state: Path) -> None:
    before = {name: held for name, held in unsealed(state).items() if holds_a_claim(held)}
    boot_here(state)

    assert set(before) == {"image-a", "image-b"}
    after = unsealed(state)
    assert set(after) == {"image-a", "image-b"}
    assert not any(holds_a_claim(held) for held in after.values())


def unsealed(state: Path) -> dict[str, Mapping[tuple[Service, int], bytes]]:
    """Return what each file of the storage holds that opens with the device's own fuses."""
    sealer = Sealer(FileFuses(OsFs(state / "fuses")))
    found: dict[str, Mapping[tuple[Service, int], bytes]] = {}
    for path in (state / "storage").iterdir():
        try:
            entries = sealer.unseal(path.read_bytes())[1]
        except DataCorruptError:
            continue
        found[path.name] = {key: entry.data for key, entry in entries.items()}
    return found


def holds_a_claim(held: Mapping[tuple[Service, int], bytes]) -> bool:
    keys = any(b"claim-key" in data for data in held.values())
    return keys or (Service.PS, Uid.CLAIM_CERTIFICATE) in held


@pytest.mark.parametrize("key_type", ["ec-p384", "rsa-2048"])
def test_other_types_of_key(works: Works, state: Path, serial: str, key_type: str) -> None:
    finished = boot_here(state, DEVICE_KEY__TYPE=key_type)

    public_key = assert_one(works, serial, finished).public_key()
    if key_type == "ec-p384":
        assert isinstance(public_key, ec.EllipticCurvePublicKey)
        assert public_key.curve.key_size == 384
    else:
        assert isinstance(public_key, rsa.RSAPublicKey)
        assert public_key.key_size == 2048


def test_keys_made_by_aws(works: Works, state: Path, serial: str) -> None:
    finished = boot_here(state, DEVICE_METHOD="claim-aws-keys")

    assert_one(works, serial, finished)
    assert finished.steps == [step for step in STEPS if step != "key made"]
    assert finished.identity["method"] == "claim-aws-keys"
    assert finished.identity["key_made_by"] == "aws"


def test_the_thing_may_be_called_by_another_name(works: Works, state: Path, serial: str) -> None:
    """Where the settings say so; otherwise another name is an error, and nothing is adopted."""
    guessed = boot_here(state, DEVICE_THING_NAME="a-guess")

    assert guessed.code == 1
    assert guessed.error["error"] == "UnexpectedThingNameError"
    assert_one(works, serial, boot_here(state, DEVICE_THING_NAME="{cloud}"))


# --- asked to wait --------------------------------------------------------------------------


def test_a_throttled_device_waits_and_asks_again(works: Works, state: Path, serial: str) -> None:
    works.cloud.fault(
        "reject",
        client_id=f"claim-{serial}",
        operation="create-from-csr",
        status_code=429,
        error_code="ThrottlingException",
        error_message="Rate exceeded",
    )

    finished = boot_here(state, **PATIENT)

    assert_one(works, serial, finished)
    assert finished.steps[2:5] == ["claim connected", "waiting", "claim connected"]
    assert "429 ThrottlingException: Rate exceeded" in finished.err


def test_a_token_that_expired_in_a_drawer_is_no_reason_to_ask_for_another_at_once(
    works: Works, state: Path, serial: str
) -> None:
    works.cloud.fault(
        "reject", client_id=f"claim-{serial}", operation="provision", error_code="Busy"
    )
    assert boot_here(state).code == 5
    works.cloud.fault("expire-tokens")

    finished = boot_here(state)

    assert finished.code == 5
    assert finished.error["error"] == "CertificateInDoubtError"
    assert "certificate issued" not in finished.steps


# --- told no --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("operation", "status", "code", "message", "exit_code", "advice"),
    [
        ("create-from-csr", 403, "AccessDenied", "Not this one", 4, "allow-list"),
        ("create-from-csr", 400, "InvalidCsr", "Not signed by its key", 4, "key.type and subject"),
        ("provision", 400, "InvalidTemplate", "No template", 4, "claim.template"),
        (
            "provision",
            400,
            "InvalidParameters",
            "Cannot resolve reference value: BatchNumber",
            4,
            "The template refers to BatchNumber",
        ),
        ("provision", 503, "ServiceUnavailable", "Later", 5, "backs off"),
    ],
)
def test_a_rejection_is_shown_as_aws_said_it(  # noqa: PLR0917 - one table, one column each
    works: Works,
    state: Path,
    serial: str,
    operation: str,
    status: int,
    code: str,
    message: str,
    exit_code: int,
    advice: str,
) -> None:
    fields = {"status_code": status, "error_code": code, "error_message": message}
    works.cloud.fault("reject", client_id=f"claim-{serial}", operation=operation, **fields)

    finished = boot_here(state)

    assert finished.code == finished.error["exit_code"] == exit_code
    assert f"{status} {code}: {message}" in finished.error["message"]
    assert advice in finished.error["next_step"]
    assert serial not in things(works)


def test_an_unknown_template(works: Works, state: Path, serial: str) -> None:
    finished = boot_here(state, DEVICE_CLAIM__TEMPLATE="no-such-template")

    assert finished.code == 4
    assert finished.error["error"] == "TopicDeniedError"
    denied = "AWS IoT denied subscribe on $aws/provisioning-templates/no-such-template/"
    assert denied in finished.error["message"]
    assert serial not in things(works)


def test_an_unknown_template_that_the_policy_allows(
    works: Works, tmp_path: Path, serial: str
) -> None:
    claim = works.bent_claim(f"any-template-{serial}", allow("iot:*", "*"))
    state = works.make(tmp_path / "device", serial, claim)

    finished = boot_here(state, DEVICE_CLAIM__TEMPLATE="no-such-template")

    assert finished.code == 4
    assert finished.error["error"] == "CloudRejectedError"
    assert "RegisterThing was rejected: 4" in finished.error["message"]
    assert serial not in things(works)


def allow(action: str, *resources: str) -> dict[str, Any]:
    """Return a policy document."""
    statements = [{"Effect": "Allow", "Action": action, "Resource": list(resources)}]
    return {"Version": "2012-10-17", "Statement": statements}


def test_a_claim_policy_from_before_csr_topics(works: Works, tmp_path: Path, serial: str) -> None:
    """AWS's own examples allow ``create/*``, which does not cover ``create-from-csr``."""
    policy = allow("iot:Connect", "*")
    policy["Statement"] += allow(
        "iot:*",
        *(
            f"arn:aws:iot:*:*:{kind}/$aws/{topics}"
            for kind in ("topic", "topicfilter")
            for topics in ("certificates/create/*", "provisioning-templates/*")
        ),
    )["Statement"]
    state = works.make(
        tmp_path / "device", serial, works.bent_claim(f"no-csr-topics-{serial}", policy)
    )

    finished = boot_here(state)

    assert finished.code == 4
    assert finished.error["error"] == "TopicDeniedError"
    assert "$aws/certificates/create-from-csr/json/accepted" in finished.error["message"]
    assert "provisioning-templates" not in finished.error["message"]
    assert "does not cover create-from-csr" in finished.error["next_step"]


def test_a_claim_that_was_turned_off(works: Works, tmp_path: Path, serial: str) -> None:
    claim = works.bent_claim(f"turned-off-{serial}", allow("iot:*", "*"))
    state = works.make(tmp_path / "device", serial, claim)
    identifier = certificate_id(claim[0])
    works.cloud.client("iot").update_certificate(certificateId=identifier, newStatus="INACTIVE")

    finished = boot_here(state)

    assert finished.code == 4
    assert finished.error["error"] == "NotLetInError"
    assert "(1) The claim certificate is not ACTIVE" in finished.error["next_step"]
    works.cloud.client("iot").update_certificate(certificateId=identifier, newStatus="ACTIVE")
    assert_one(works, serial, boot_here(state))


# --- not reached ----------------------------------------------------------------------------


def test_a_root_ca_of_somebody_else(state: Path, tmp_path: Path) -> None:
    finished = boot_here(state, "--root-ca", CONFIG.parents[1] / "certs" / "AmazonRootCA1.pem")

    assert finished.code == 5
    assert finished.error["error"] == "NotReachableError"
    assert "root_ca" in finished.error["next_step"]


def test_an_endpoint_where_nobody_listens(state: Path) -> None:
    finished = boot_here(state, "--endpoint", "localhost:1")

    assert finished.code == 5
    assert "nothing listens at localhost:1" in finished.error["message"]
    assert device_here("status", "--state", state).lines[0]["state"].startswith("key made")


# --- stopped --------------------------------------------------------------------------------


@pytest.mark.parametrize(("verb", "code"), [("boot", 5), ("run", 0)])
def test_a_stop_while_provisioning_is_gone_on_from(
    works: Works, state: Path, serial: str, verb: str, code: int
) -> None:
    works.cloud.fault("drop-reply", client_id=f"claim-{serial}", operation="provision")
    with running(verb, "--state", state, "--config", CONFIG) as started:
        started.wait_for("certificate staged")
        stopped = started.stop()
    works.cloud.clear_faults()  # it may not have struck yet

    assert stopped.code == code, stopped.err
    assert ("stopped while registering the thing" in stopped.err) is (verb == "boot")
    assert "Traceback" not in stopped.err
    finished = boot_here(state, **PATIENT)
    assert_one(works, serial, finished)
    assert "certificate issued" not in finished.steps


def test_a_device_that_is_at_work_is_not_booted_twice(works: Works, state: Path) -> None:
    with running("run", "--state", state, "--config", CONFIG) as started:
        started.wait_for("operating")
        second = boot_here(state)
        watched = device_here("status", "--state", state)
        started.stop()

    assert second.code == 1
    assert second.error["error"] == "StorageBusyError"
    assert watched.lines[0]["state"] == "provisioned"
