"""One bad bit in any file of a device: does it open, or say what is wrong, and nothing else?"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from device.errors import ExitCode
from device.storage.manufacturing_data import serial_number
from device.storage.roots.descriptor import Descriptor, write_descriptor
from device.storage.roots.root_plan import CredentialPlan, OtpPlan, Pkcs11Plan, RootPlan, make_root
from tests.support.effort import is_long
from tests.support.errors import exit_code_of
from tests.support.memory_disk import MemoryDisk
from tests.support.roots import PLANS, Hardware, RootBench

MOST = 250 if is_long() else 120
"""Flips tried of one file; a longer one is sampled, evenly."""

SAID = {ExitCode.STORAGE_UNUSABLE, ExitCode.CONFIGURATION_INVALID}
"""A flip in a setting, such as the path of a module, is a setting that cannot be used."""

SOMEWHERE = "pkcs11:token=a%20b?module-path=/nowhere/module.so&pin-source=/nowhere/pin"
REAL_PLANS: list[RootPlan] = [CredentialPlan("root"), OtpPlan(1), Pkcs11Plan(SOMEWHERE)]


def flips(content: bytes, most: int = MOST) -> Iterator[bytes]:
    """Yield ``content`` with one bit wrong, for each bit or for ``most`` of them."""
    bits = len(content) * 8
    step = max(1, bits // most) | 1  # odd, so that every bit of a byte has its turn
    for bit in range(0, bits, step):
        damaged = bytearray(content)
        damaged[bit // 8] ^= 1 << bit % 8
        yield bytes(damaged)


def look(bench: RootBench, state: Path, disk: MemoryDisk, *, read_only: bool) -> None:
    with bench.open(state, read_only=read_only, mount=disk.mount) as storage:
        assert serial_number(storage) == "SN-1"


@pytest.mark.parametrize("kind", PLANS)
def test_a_bad_bit_is_said_or_does_no_harm(tmp_path: Path, kind: str) -> None:
    (tmp_path / "storage").mkdir()
    bench, disk = RootBench.of(kind, Hardware(tmp_path / "board")), MemoryDisk()
    bench.make_device(tmp_path, disk.mount)
    expected = SAID | {ExitCode.DONE}
    if kind == "pkcs11":
        expected |= {ExitCode.TRY_LATER}  # a token of another name may be put in later
    both_images = disk.places_of("image-a", "image-b")

    for places in [*([place] for place in disk.places()), both_images]:
        for damaged in flips(disk.content(*places[0])):
            after = disk.with_file(places, damaged)
            for read_only in (True, False):
                code = exit_code_of(look, bench, tmp_path, after, read_only=read_only)
                assert code in expected, places


@pytest.mark.parametrize("plan", REAL_PLANS, ids=lambda plan: plan.kind)
def test_a_bad_bit_leads_to_no_root_of_trust(tmp_path: Path, plan: RootPlan) -> None:
    """As above, with the roots that this machine really has: none of these."""
    (tmp_path / "storage").mkdir()
    bench, disk = RootBench.of("file", Hardware(tmp_path / "board")), MemoryDisk()
    bench.make_device(tmp_path, disk.mount)
    write_descriptor(disk.mount(tmp_path), Descriptor(plan))
    places = disk.places_of("root-of-trust.json")
    real = RootBench(plan, make_root)

    for damaged in flips(disk.content(*places[0]), most=10_000):
        after = disk.with_file(places, damaged)
        assert exit_code_of(look, real, tmp_path, after, read_only=True) in SAID | {ExitCode.DONE}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff",
        b"[" * 100000,
        b'{"root_of_trust":' * 50000,
        b'{"folder":' + b"9" * 9000,
        b"{}x",
        b'{"root_of_trust":{"kind":"tpm","tcti":"device:\\u0000\\u001b"}}',
        b'{"folder":"\\ud800"}',
    ],
    ids=lambda content: repr(content[:20]),
)
def test_a_descriptor_that_somebody_wrote(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "storage").mkdir()
    bench, disk = RootBench.of("file", Hardware(tmp_path / "board")), MemoryDisk()
    bench.make_device(tmp_path, disk.mount)
    after = disk.with_file([(tmp_path, "root-of-trust.json")], content)

    code = exit_code_of(look, bench, tmp_path, after, read_only=True)

    assert code is ExitCode.STORAGE_UNUSABLE
