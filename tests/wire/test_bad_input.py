"""Does a device that meets an impostor, or was made wrong, say so and keep what it has?"""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from device.identity.certificates import certificate_id
from device.lifecycle import journal
from device.lifecycle.journal import Staged
from device.provisioning import topics
from device.storage.device_storage import open_device_storage
from device.storage.keys import CLAIM_KEY
from device.storage.secure_storage import Uid
from tests.support.certificates import DeviceAuthority, new_key, pem_of
from tests.support.device_process import Finished, boot_here
from tests.support.devices import SERIAL, make_device
from tests.support.scripted_server import ScriptedServer, impostor, publish, tls

pytestmark = pytest.mark.wire

CA = trustme.CA()
SERVER = tls(CA)
CLAIM = CA.issue_cert("claim@firstboot.example")
CLAIM_PEMS = CLAIM.cert_chain_pems[0].bytes(), CLAIM.private_key_pem.bytes()
DEVICES = DeviceAuthority()
OTHER_KEY = new_key()


def entries(state: Path) -> dict[tuple[str, int], bytes]:
    with open_device_storage(state, read_only=True) as storage:
        services = {"its": storage.its, "ps": storage.ps}
        return {(name, uid): s.get(uid) for name, s in services.items() for uid in s.uids()}


def boot_at(server: ScriptedServer, folder: Path, **settings: str) -> tuple[Finished, Path]:
    """Boot a new device at an impostor; what it held before and its key are all it may hold."""
    state = make_device(
        folder / "device",
        endpoint=str(server.endpoint),
        root_ca=CA.cert_pem.bytes(),
        claim=CLAIM_PEMS,
    )
    before = entries(state)
    finished = boot_here(state, **settings)
    after = entries(state)
    assert before.items() <= after.items()
    assert {uid for _, uid in after.keys() - before.keys()} <= {0x1001, Uid.PROVISIONING_JOURNAL}
    return finished, state


def saying(payload: bytes) -> Callable[[str], bytes]:
    """Return an impostor's answer to every request."""
    return lambda topic: publish(f"{topic}/accepted", payload)


@pytest.mark.parametrize(
    ("payload", "problem"),
    [
        (b"", "truncated"),
        (b"\xff\xfe\xfd", "malformed"),
        (b'{"certificateId": 7}', "certificateId"),
        (b'{"other":' + b"[" * 100_000, "recursion"),
        (b" " * 140_000, "131072 at most"),
    ],
    ids=["empty", "no text", "wrong type", "deep", "too long"],
)
def test_a_reply_that_is_none(tmp_path: Path, payload: bytes, problem: str) -> None:
    with ScriptedServer(impostor(saying(payload)), SERVER) as server:
        finished, _ = boot_at(server, tmp_path)

    assert finished.code == 1
    assert finished.error["error"] == "MalformedReplyError"
    assert "the reply to CreateCertificateFromCsr cannot be used" in finished.error["message"]
    assert problem in finished.error["message"]


def certificate_reply(pem: bytes, **changes: str) -> bytes:
    document = {
        "certificateId": certificate_id(pem),
        "certificatePem": pem.decode(),
        "certificateOwnershipToken": "token",
    }
    return json.dumps(document | changes).encode()


def test_a_certificate_for_another_key(tmp_path: Path) -> None:
    pem = DEVICES.issue(OTHER_KEY.public_key(), {"common_name": SERIAL})

    with ScriptedServer(impostor(saying(certificate_reply(pem))), SERVER) as server:
        finished, _ = boot_at(server, tmp_path)

    assert finished.code == 1
    assert finished.error["error"] == "CertificateUnacceptableError"
    assert "belongs to another key" in finished.error["message"]


@pytest.mark.parametrize(
    ("key_pem", "problem"),
    [(pem_of(new_key()), "belongs to another key"), (b"garbage", "not a private key")],
    ids=["another key", "no key"],
)
def test_a_pair_that_cannot_be_used(tmp_path: Path, key_pem: bytes, problem: str) -> None:
    pem = DEVICES.issue(OTHER_KEY.public_key(), {"common_name": "AWS"})
    reply = certificate_reply(pem, privateKey=key_pem.decode())

    with ScriptedServer(impostor(saying(reply)), SERVER) as server:
        finished, _ = boot_at(server, tmp_path, DEVICE_METHOD="claim-aws-keys")

    assert finished.code == 1
    assert finished.error["error"] == "CertificateUnacceptableError"
    assert problem in finished.error["message"]


def test_a_certificate_that_is_not_valid_yet_says_that_the_clock_is_behind(tmp_path: Path) -> None:
    """It came over a verified connection: it is kept, and the boot ends as one to try again."""
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    pem = DEVICES.issue(OTHER_KEY.public_key(), {"common_name": "AWS"}, not_before=tomorrow)
    reply = certificate_reply(pem, privateKey=pem_of(OTHER_KEY).decode())
    state = make_device(
        tmp_path / "device", endpoint=None, root_ca=CA.cert_pem.bytes(), claim=CLAIM_PEMS
    )

    with ScriptedServer(impostor(saying(reply)), SERVER) as server:
        finished = boot_here(
            state,
            "--endpoint",
            str(server.endpoint),
            DEVICE_METHOD="claim-aws-keys",
            DEVICE_CONNECTION__RETRY__GIVE_UP_UNREACHABLE_AFTER="0",
        )

    assert finished.code == 5
    assert finished.error["error"] == "ClockBehindError"
    with open_device_storage(state, read_only=True) as storage:
        assert isinstance(journal.load(storage.ps), Staged)


def test_what_nobody_asked_for_is_ignored(tmp_path: Path) -> None:
    stranger = f"{topics.register_thing('other')}/accepted"
    noise = publish("dt/someone/else", b"{}") + publish(stranger, b'{"thingName": "stranger"}')

    with ScriptedServer(impostor(lambda _: noise), SERVER) as server:
        finished, _ = boot_at(server, tmp_path, DEVICE_CONNECTION__REPLY_TIMEOUT="1")

    assert finished.code == 5
    assert finished.error["error"] == "NoReplyError"


def test_bytes_that_are_no_mqtt(tmp_path: Path) -> None:
    with ScriptedServer(impostor(lambda _: b"\xf0\x00\x00\xff" * 20), SERVER) as server:
        finished, _ = boot_at(server, tmp_path, DEVICE_CONNECTION__REPLY_TIMEOUT="1")

    assert finished.code == 5
    assert finished.error["error"] == "ConnectionLostError"


# --- a device that was made wrong -----------------------------------------------------------


def put(state: Path, uid: Uid, data: bytes) -> Path:
    with open_device_storage(state) as storage:
        storage.ps.set(uid, data)
    return state


def test_a_claim_certificate_for_another_key(tmp_path: Path) -> None:
    with ScriptedServer(impostor(saying(b"")), SERVER) as server:
        state = make_device(
            tmp_path / "device",
            endpoint=str(server.endpoint),
            root_ca=CA.cert_pem.bytes(),
            claim=(CLAIM_PEMS[0], pem_of(OTHER_KEY)),
        )
        finished = boot_here(state)

    assert finished.code == 3
    assert finished.error["error"] == "CredentialUnusableError"
    assert "TLS cannot use the claim certificate with its key" in finished.error["message"]
    assert "factory make" in finished.error["next_step"]
    assert server.log == []


@pytest.mark.parametrize("uid", [Uid.CLAIM_CERTIFICATE, Uid.ROOT_CA])
@pytest.mark.parametrize("data", [b"", b"garbage"])
def test_what_the_station_installed_is_no_certificate(
    tmp_path: Path, uid: Uid, data: bytes
) -> None:
    state = put(make_device(tmp_path / "device", claim=CLAIM_PEMS), uid, data)

    finished = boot_here(state)

    assert finished.code == 3
    assert finished.error["error"] == "CredentialUnusableError"


def test_a_claim_without_its_key(tmp_path: Path) -> None:
    state = make_device(tmp_path / "device", claim=CLAIM_PEMS)
    with open_device_storage(state) as storage:
        storage.keys.destroy_key(CLAIM_KEY)

    finished = boot_here(state)

    assert finished.code == 6
    assert "claim-key" in finished.error["message"]


@pytest.mark.parametrize("lost", ["fuses", "storage"])
def test_a_storage_with_a_part_missing(tmp_path: Path, lost: str) -> None:
    state = make_device(tmp_path / "device")
    (state / lost).rename(tmp_path / "elsewhere")

    finished = boot_here(state)

    assert finished.code == 6
    assert finished.error["next_step"]
