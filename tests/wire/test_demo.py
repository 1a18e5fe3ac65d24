"""What the README promises, run: the demo, twice, and the same steps typed by hand."""

import functools
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from scripts.demonstration.methods import METHODS
from tests.support.elements import softhsm_module
from tests.support.quick_commands import quick_commands
from tests.support.schemas import check_line
from tests.wire.conftest import ROOT, free_ports

AS_EXPECTED = {
    "device run": "timeout 2 {} || true",  # endless
    "DEVICE_JUST_IN_TIME__BUDGET": "{} || [ $? = 4 ]",  # denied
}
README_TABLE = [
    (method, re.sub(r"(your|any) CA", "a CA", facts))
    for method, facts in re.findall(
        r"`([a-z-]+)` \| (\w+ \| [^|]+ \| [^|]+) \| [^|]+ \|$",
        (ROOT / "README.md").read_text(),
        re.MULTILINE,
    )
]
"""Of the methods: who makes the key, who signs, how many connections."""
STEP_BY_STEP = re.compile(r"## Step by step.*?```sh\n(.*?)```", re.DOTALL)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder that looks like a checkout, whose local AWS will use ports of its own."""
    folder = tmp_path_factory.mktemp("checkout")
    (folder / "config").symlink_to(ROOT / "config")
    bin_folder = folder / ".venv" / "bin"
    bin_folder.mkdir(parents=True)
    ports = free_ports()
    with_ports = ["--api-port", str(ports.api), "--mqtt-port", str(ports.mqtt)]
    with quick_commands(bin_folder) as programs:
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        (programs / "activate").write_text(
            f"export PATH=\"$PROGRAMS\":'{path}' PYTHONPATH='{ROOT}'\n"
        )
        run(folder, "localcloud", "up", "--detach", *with_ports)
        run(folder, "localcloud", "down")  # the ports are remembered
        yield folder
        run(folder, "localcloud", "down")


def run(folder: Path, module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    programs = folder / ".venv" / "bin"
    path = f"{programs}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}
    return succeeded(folder, [sys.executable, "-m", module, *arguments], environment)


def shell(folder: Path, lines: list[str], programs: Path) -> str:
    """Run lines of a shell, where ``.venv`` has these programs."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "PROGRAMS": str(programs)}
    return succeeded(folder, ["/bin/sh", "-eu", "-c", "\n".join(lines)], environment).stdout


def succeeded(
    folder: Path, command: list[str], environment: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done


Demo = Callable[[str], "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def demo(checkout: Path) -> Demo:
    """Return the demo of a method as a person sees it; each is run once."""
    return functools.cache(
        lambda method: run(checkout, "scripts.demonstration", "--method", method)
    )


@pytest.mark.wire
def test_the_demo_ends_with_one_json_object(checkout: Path) -> None:
    done = run(checkout, "scripts.demonstration", "--json")
    result = json.loads(done.stdout)
    check_line("scripts-demo", result)
    assert done.stdout.count("\n") == 1
    assert result["method"] == "claim"
    assert result["key_store"] == "sealed"
    assert result["published"] is True
    assert result["thing_name"] == result["serial"]
    assert re.fullmatch("[0-9a-f]{64}", result["certificate_id"])
    times = [step["ms"] for step in result["steps"]]
    assert times == sorted(times)
    assert "NOT FOR PRODUCTION" in done.stderr


@pytest.mark.wire
def test_all_methods_end_with_one_object_of_all(checkout: Path) -> None:
    done = run(checkout, "scripts.demonstration", "--json", "--method", "all")
    *devices, last = [json.loads(line) for line in done.stdout.splitlines()]
    for line in (*devices, last):
        check_line("scripts-demo", line)
    rows = {row["method"]: row for row in last["methods"]}
    assert [device["method"] for device in devices] == list(rows) == list(METHODS)
    assert all(device["published"] for device in devices)
    assert {row["result"] for row in rows.values()} == {"proven, publishing"}
    assert [method for method, row in rows.items() if row["refusals"]] == ["jitp", "jitr"]
    assert [method for method, row in rows.items() if row["key_made_by"] == "aws"] == [
        "claim-aws-keys"
    ]
    own = [method for method, row in rows.items() if row["certificate_issuer"] != "AWS IoT"]
    assert own == ["claim-own-ca", "jitp", "jitr", "multi-account"]
    assert "The same device in another account" in done.stderr
    assert {method: as_in_readme(row) for method, row in rows.items()} == dict(README_TABLE)


def as_in_readme(row: dict[str, Any]) -> str:
    """Return who made the key, and the connections, as the README's table says it."""
    maker = {"aws": "AWS"}.get(row["key_made_by"], row["key_made_by"])
    signer = "AWS IoT" if row["certificate_issuer"] == "AWS IoT" else "a CA"
    refused = "refused, then " if row["refusals"] else ""
    return f"{maker} | {signer} | {refused}{row['connections'] - row['refusals']}"


@pytest.mark.wire
@pytest.mark.hardware
def test_the_demo_in_an_element_names_the_key_by_its_uri(checkout: Path) -> None:
    softhsm_module()
    words = ("--method", "bulk", "--element", "softhsm", "--json")
    done = run(checkout, "scripts.demonstration", *words)
    result = json.loads(done.stdout)
    token = f"pkcs11:token={result['serial']};object=device-key.1;type=private?module-path="
    assert result["key_store"].startswith(token)
    assert "pin" not in result["key_store"]
    devices = (checkout / ".firstboot" / "devices").glob(f"{result['serial'][:-1]}*/element/pin")
    assert len(list(devices)) == 3, "a token for each device of the batch"


@pytest.mark.wire
def test_the_demo_tells_a_person_everything_on_stdout(demo: Demo) -> None:
    done = demo("claim")
    assert done.stderr == ""
    for words in ("telemetry acknowledged", "ACTIVE, attached to the thing", "localcloud down"):
        assert words in done.stdout
    assert "\x1b" not in done.stdout, "colour codes in a pipe"


@pytest.mark.wire
@pytest.mark.parametrize("method", ["claim", "trusted-user", "jitr"])
def test_the_commands_to_try_next_work(checkout: Path, demo: Demo, method: str) -> None:
    after = demo(method).stdout.partition("Try next")[2].splitlines()
    lines = [line[4:] for line in after if line[:4].isspace()]
    assert "device run" in lines
    commands = [AS_EXPECTED.get(line.partition("=")[0], "{}").format(line) for line in lines]
    shell(checkout, commands, checkout / ".venv" / "bin")


@pytest.mark.wire
def test_step_by_step_in_the_readme_works(checkout: Path) -> None:
    found = STEP_BY_STEP.search((ROOT / "README.md").read_text())
    assert found
    said = shell(checkout, found[1].splitlines(), checkout / ".venv" / "bin")
    assert re.search(r"^state +provisioned$", said, re.MULTILINE)
