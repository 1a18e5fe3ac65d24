"""Is the transcript in docs/renewal.md what the commands say?"""

import os
import re
from pathlib import Path
from textwrap import dedent
from unittest import mock

import pytest

from device.cli import main
from tests.support.device_process import as_it_was_found
from tests.support.wire_world import WireWorld
from tests.support.worlds import boot
from tests.wire.conftest import ROOT, LocalCloud
from tests.wire.localcloud_registry import mark

pytestmark = pytest.mark.wire

PAGE = (ROOT / "docs" / "renewal.md").read_text(encoding="utf-8")
BLOCK = re.search(r"^In a run on a busy machine.*\n\n((?: {4}.*\n)+)", PAGE, re.MULTILINE)
SHOWN = dedent(BLOCK[1]) if BLOCK else ""
CHANGING = (
    (r"[0-9a-f]{32,64}|[0-9a-f]{12}(?=\.\.\.)", "ID"),
    (r"\d{4}-\d\d-\d\dT[\d:]+Z", "TIME"),
    (r" +\d+\.\d{3} s +", "SECONDS "),
    (r"localhost:\d+|\S+\.amazonaws\.com(:\d+)?", "ENDPOINT"),
    (r"SN-\w+", "SN"),
)
"""What is another thing at each run, and its name."""
SLOW = "SECONDS waiting"
"""Said where the machine is slow."""


def masked(text: str) -> list[str]:
    for pattern, name in CHANGING:
        text = re.sub(pattern, name, text)
    lines = [line.rstrip() for line in text.splitlines()]
    return [line for line in lines if not line.startswith(SLOW)]


def test_the_transcript_is_what_the_commands_say(
    local_cloud: LocalCloud, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    serial = mark("SN")
    world = WireWorld(local_cloud, tmp_path / "station")
    world.factory("prepare", "--method", "claim", "--renewal")
    state = world.make_device(tmp_path / "device", serial)
    boot(world, state)
    capsys.readouterr()

    said = ""
    for verb in ("needs-renewal", "renew", "status"):
        said += f"$ device {verb} --state .firstboot/devices/SN-0001\n"
        with as_it_was_found(), mock.patch.dict(os.environ, {}):
            code = main([verb, "--state", str(state)])
        found = capsys.readouterr()
        said += found.err + found.out
        said += f"$ echo $?\n{int(code)}\n" if verb == "needs-renewal" else ""

    print(said)  # noqa: T201 - to be put into the page when it has changed
    assert masked(said) == masked(SHOWN)
