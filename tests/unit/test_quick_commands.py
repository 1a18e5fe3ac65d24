"""Is a quick command of the tests like the command itself, in all that a shell sees of it?"""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from device.errors import ExitCode
from tests.support.devices import make_device
from tests.support.hang import SECONDS, killed_if_silent, until
from tests.support.quick_commands import quick_commands
from tests.wire.conftest import ROOT, python


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with quick_commands(tmp_path_factory.mktemp("commands")) as programs:
        yield programs


@pytest.mark.parametrize(
    "words",
    [
        ("device", "--help"),
        ("factory", "make"),  # misuse
        ("device", "status"),  # there is no device in the folder that the environment names
        ("localcloud", "status", "--state", "none", "--json"),
    ],
    ids=" ".join,
)
def test_code_and_words_are_those_of_the_command(
    programs: Path, tmp_path: Path, words: tuple[str, ...]
) -> None:
    quick, real = [
        subprocess.run(
            command,
            cwd=tmp_path,
            env={**os.environ, "DEVICE_STATE": "here", "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
        )
        for command in ([str(programs / words[0]), *words[1:]], python("-m", *words))
    ]
    assert (quick.returncode, quick.stdout) == (real.returncode, real.stdout)
    assert quick.stderr == real.stderr


def test_a_signal_reaches_the_command(programs: Path, tmp_path: Path) -> None:
    state, place = make_device(tmp_path / "device"), tmp_path / "claim"
    words = ("boot", "--state", state, "--config", ROOT / "config" / "claim.yaml")
    with (
        subprocess.Popen(
            [programs / "device", *words, "--wait-for-claim", place],
            stderr=subprocess.PIPE,
            text=True,
        ) as waiting,
        killed_if_silent(waiting),
    ):
        until(place.exists, "the device listens")
        waiting.send_signal(signal.SIGTERM)
        _, said = waiting.communicate(timeout=SECONDS)
    assert waiting.returncode == ExitCode.TRY_LATER
    assert "stopped by SIGTERM" in said
