"""Does doctor come to an end, with a finding for each check, on whatever is in the folder?"""

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest

from device.doctor.examination import CHECKS
from device.doctor.finding import Result
from tests.diagnose.bench import Bench, Patient, bad
from tests.support.scripted_server import Peer, Script

Spoil = Callable[[Path], object]


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def garbled(path: Path) -> None:
    path.write_bytes(bytes(each ^ 0x5A for each in path.read_bytes()))


def huge(path: Path) -> None:
    os.truncate(path, 1 << 30)  # sparse


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def endless(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def loop(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


SPOILS: Final[tuple[Spoil, ...]] = (
    Path.unlink, lambda path: path.write_bytes(b""), truncated, garbled, huge, folder, pipe,
    endless, loop,
)  # fmt: skip
NAMES: Final = ("gone", "empty", "truncated", "garbled", "huge", "folder", "pipe", "zeros", "loop")
FILES: Final = (
    "storage/image-?", "fuses/huk", "fuses/anchor", "fuses/lifecycle", "storage/lock", "root",
)  # fmt: skip


@pytest.mark.parametrize("spoil", SPOILS, ids=NAMES)
@pytest.mark.parametrize("files", FILES)
def test_doctor_ends_on_a_spoiled_storage(files: str, spoil: Spoil, tmp_path: Path) -> None:
    with Bench(tmp_path) as bench:
        state = bench.device()
    for path in [*state.glob(files)] or [made(state / files)]:
        spoil(path)

    findings = Patient(state, offline=True).examined()

    assert [each.check for each in findings] == [name for name, _ in CHECKS]
    assert [each for each in findings if each.code == "FB-461"] == []
    for each in bad(findings):
        assert each.evidence
        assert each.cause
        assert each.next_step
        assert "\n" not in each.evidence


def made(path: Path) -> Path:
    path.write_bytes(b"{}")
    return path


SETTINGS: Final = {
    "nothing": "",
    "no mapping": "- a\n",
    "no YAML": "method: [\n",
    "binary": "\x00\x01",
    "a method of another kind": "method: [claim]\n",
    "a number for a name": "method: claim\nthing_name: {}\n",
    "a time without end": "method: claim\nconnection: {connect_timeout: .inf}\n",
    "an anchor that grows": "a: &a [1]\nmethod: *a\n",
    "a placeholder that is unknown": "method: claim\nthing_name: '{nobody}'\n",
    "a topic that cannot be": "method: claim\ntelemetry: {topic: 'a/#'}\n",
    "a client id of the thing": "method: claim\nclaim: {client_id: '{serial}'}\n",
    "a template that is no file": "method: claim\nclaim: {template_file: none.json}\n",
    "a token that is not there": "method: claim\nkey: {store: 'pkcs11:token=x'}\n",
    "a proxy of another kind": "method: claim\nproxy: socks5://a:1\n",
}


@pytest.mark.parametrize("text", SETTINGS.values(), ids=SETTINGS)
def test_doctor_ends_on_wrong_settings(text: str, tmp_path: Path) -> None:
    config = tmp_path / "settings.yaml"
    config.write_text(text)
    with Bench(tmp_path) as bench:
        state = bench.device(step="made")

    findings = Patient(state, config=config, offline=True).examined()

    failed = [each for each in findings if each.result is Result.FAILED]
    assert [each.check for each in failed] in (["settings"], ["secure element"])
    assert failed[0].code in {"FB-001", "FB-305"}


@pytest.mark.parametrize("config", ["none.yaml", ".", "pipe"])
def test_doctor_ends_where_no_settings_can_be_read(config: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with Bench(tmp_path) as bench:
        findings = Patient(bench.device(), config=tmp_path / config, offline=True).examined()

    assert [each.check for each in findings if each.code] == ["settings"]


def says_nothing(peer: Peer) -> None:
    with suppress(OSError):
        peer.wait_until_closed()


def byte_by_byte(peer: Peer) -> None:
    with suppress(OSError):
        while True:
            peer.send(b"\x16")
            time.sleep(0.5)  # the server is what is slow, and doctor has no clock of its own there


@pytest.mark.long
@pytest.mark.parametrize("script", [says_nothing, byte_by_byte])
@pytest.mark.parametrize("where", ["server", "proxy"])
def test_doctor_ends_where_somebody_hangs(where: str, script: Script, tmp_path: Path) -> None:
    """No check comes to its limit of 30 s, which would be FB-461."""
    with Bench(tmp_path) as bench:
        hanging = bench.plain_server(script)
        state = bench.device("localhost:443" if where == "proxy" else hanging)
        variables = {"DEVICE_PROXY": f"http://{hanging}"} if where == "proxy" else {}
        findings = bad(Patient(state, variables=variables).examined())

    assert [each.code for each in findings] == ["FB-402"]


def test_doctor_changes_nothing(tmp_path: Path) -> None:
    with Bench(tmp_path) as bench:
        state = bench.device()
        before = {path: (path.stat(), content(path)) for path in state.rglob("*")}
        Patient(state, offline=True).examined()

    after = {path: (path.stat(), content(path)) for path in state.rglob("*")}
    unread = [(stat.st_mtime_ns, text) for stat, text in before.values()]
    assert unread == [(stat.st_mtime_ns, text) for stat, text in after.values()]


def content(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b""
