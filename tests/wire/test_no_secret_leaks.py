"""Is there any place where a key or a token of a device can be read, while it boots or afterwards?

The device provisions at DEBUG level, is stopped half-way and goes on. What it says, how it was
called, and every file that it leaves are searched for its secrets, in every spelling.
"""

import base64
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from device.lifecycle import journal
from device.lifecycle.journal import Staged
from device.storage.device_storage import open_device_storage
from device.storage.keys import KeyId, MemoryIdentity
from tests.support.certificates import new_key, pem_of
from tests.support.device_process import (
    CONFIG,
    PATIENT,
    Running,
    Works,
    boot,
    device,
    running,
    works_for,
)
from tests.wire.conftest import LocalCloud

pytestmark = pytest.mark.wire

METHODS = {"claim": "device", "claim-aws-keys": "aws"}


def spellings(private_key_pem: bytes) -> Iterator[bytes]:
    """Return the ways in which a private key could be written down, each telling enough of it."""
    key = load_pem_private_key(private_key_pem, password=None)
    assert isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey)
    if isinstance(key, ec.EllipticCurvePrivateKey):
        numbers = [key.private_numbers().private_value]
    else:
        secret = key.private_numbers()
        numbers = [secret.d, secret.p, secret.q]
    for number in numbers:
        raw = number.to_bytes((number.bit_length() + 7) // 8, "big")
        yield raw[:24]
        yield raw.hex()[:48].encode()
        yield raw.hex()[:48].upper().encode()
        yield str(number)[:48].encode()
    for form in (PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL):
        der = key.private_bytes(Encoding.DER, form, NoEncryption())
        pem = key.private_bytes(Encoding.PEM, form, NoEncryption())
        yield base64.b64encode(der)[-40:].rstrip(b"=")
        yield pem.splitlines()[-2][:30]


@dataclass(frozen=True)
class Places:
    """All that others can see of a device, by name."""

    seen: Mapping[str, bytes]

    def where(self, secret: bytes) -> list[str]:
        """Return the places where ``secret`` can be read."""
        return [name for name, content in self.seen.items() if secret in content]


def files_below(*folders: Path) -> dict[str, bytes]:
    return {
        str(path): path.read_bytes()
        for folder in folders
        for path in folder.rglob("*")
        if path.is_file()
    }


def command_line(started: Running) -> dict[str, bytes]:
    """Return what other users see of a process, and what its own user does (on Linux)."""
    process = Path("/proc") / str(started.process.pid)
    asked = {"arguments": repr(started.process.args).encode()}
    for name in ("cmdline", "environ") if process.is_dir() else ():
        with suppress(PermissionError):  # so that not even its own user sees it, unless root
            asked[name] = (process / name).read_bytes()
    return asked


@dataclass(frozen=True)
class Story:
    """What could be seen at each moment of a boot, and what must not have been."""

    moments: Mapping[str, Places]
    keys: Mapping[str, bytes]
    token: bytes


@pytest.fixture(scope="module")
def works(local_cloud: LocalCloud, tmp_path_factory: pytest.TempPathFactory) -> Works:
    return works_for(local_cloud, tmp_path_factory.mktemp("station") / "s")


@pytest.fixture(scope="module", params=METHODS)
def story(
    request: pytest.FixtureRequest, works: Works, tmp_path_factory: pytest.TempPathFactory
) -> Story:
    folder, serial = tmp_path_factory.mktemp("leaks"), f"SN-leaks-{request.param}"
    state, temporary = works.make(folder / "device", serial), folder / "tmp"
    temporary.mkdir()
    settings = {"DEVICE_METHOD": request.param, "TMPDIR": str(temporary), "HOME": str(temporary)}
    works.cloud.fault("drop-reply", client_id=f"claim-{serial}", operation="provision")
    arguments = ("--state", state, "--config", CONFIG, "--log-level", "debug")
    with running("boot", *arguments, **settings) as started:
        started.wait_for("certificate staged")
        argv = command_line(started)
        stopped = started.stop()
    works.cloud.clear_faults()
    assert "StoppedError" in stopped.out
    said = {"stdout": stopped.out.encode(), "stderr": stopped.err.encode()}
    said["steps"] = repr(started.seen).encode()
    half_way = Places(said | argv | files_below(state, temporary))
    token, device_key = _secrets_in(state)
    finished = boot(state, "--log-level", "debug", **PATIENT, **settings)
    assert finished.code == 0, finished.err
    assert finished.identity["key_made_by"] == METHODS[request.param]
    shown = device("status", "--state", state)
    said = {"stdout": finished.out.encode(), "stderr": finished.err.encode()}
    said["status"] = shown.out.encode() + shown.err.encode()
    at_the_end = Places(said | files_below(state, temporary))
    moments = {"half-way": half_way, "at the end": at_the_end}
    return Story(moments, {"device": device_key, "claim": works.claim.private_key_pem}, token)


def _secrets_in(state: Path) -> tuple[bytes, bytes]:
    """Return the ownership token and the device's private key, by opening the storage."""
    with open_device_storage(state, read_only=True) as storage:
        progress = journal.load(storage.ps)
        assert isinstance(progress, Staged)
        identity = storage.keys.tls_identity(KeyId(progress.key), b"")
    assert isinstance(identity, MemoryIdentity)
    return progress.ownership_token.encode(), identity.private_key_pem


@pytest.mark.parametrize("moment", ["half-way", "at the end"])
@pytest.mark.parametrize("key", ["device", "claim"])
def test_no_private_key_can_be_read_anywhere(story: Story, key: str, moment: str) -> None:
    for spelling in spellings(story.keys[key]):
        assert story.moments[moment].where(spelling) == []


@pytest.mark.parametrize("moment", ["half-way", "at the end"])
def test_no_token_can_be_read_anywhere(story: Story, moment: str) -> None:
    places = story.moments[moment]

    assert len(story.token) > 30
    assert places.where(story.token[:30]) == []
    assert places.where(story.token[-30:]) == []


@pytest.mark.parametrize("moment", ["half-way", "at the end"])
def test_there_was_something_to_search(story: Story, moment: str) -> None:
    """A search of empty places would find nothing, too."""
    places = story.moments[moment].seen

    assert b"DEBUG" in places["stderr"]
    assert b"CertificateStaged" in places["stderr"] or moment == "at the end"
    assert any(name.endswith("image-a") for name in places)
    assert any(name.endswith("huk") for name in places)


@pytest.mark.parametrize("kind", ["ec", "rsa"])
def test_the_search_finds_a_key_that_lies_about(tmp_path: Path, kind: str) -> None:
    made = new_key() if kind == "ec" else rsa.generate_private_key(65537, 2048)
    pem = pem_of(made)
    (tmp_path / "key.pem").write_bytes(pem)
    der = made.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "key.der").write_bytes(der)
    (tmp_path / "log").write_text(f"the key is {pem!r}")

    found = {
        Path(place).name
        for spelling in spellings(pem)
        for place in Places(files_below(tmp_path)).where(spelling)
    }

    assert found == {"key.pem", "key.der", "log"}
