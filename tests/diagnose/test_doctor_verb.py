"""Is ``device doctor`` the checks as lines, with the exit code of the first failure?"""

import json
from pathlib import Path

import pytest

from device.doctor.case import held_by
from device.doctor.examination import CHECKS
from device.errors import ExitCode
from device.storage.device_storage import open_device_storage
from tests.diagnose.bench import CONFIG, Bench
from tests.diagnose.device_causes import broker, damaged, installed, no_device
from tests.support.device_process import device_here
from tests.support.devices import advance_to, make_device, open_device
from tests.support.schemas import check_line

CLAIM = CONFIG / "claim.yaml"


def checks(out: str) -> list[dict[str, str]]:
    lines = [json.loads(line) for line in out.splitlines()]
    for line in lines:
        check_line("device-doctor", line)
    return [line for line in lines if "check" in line]


def test_it_shows_every_check_and_ends_with_the_first_failure(tmp_path: Path) -> None:
    with Bench(tmp_path) as bench:
        finished = device_here("doctor", "--state", damaged(bench).state, "--config", CLAIM)

    assert [each["check"] for each in checks(finished.out)] == [name for name, _ in CHECKS]
    assert finished.code == ExitCode.STORAGE_UNUSABLE
    assert finished.error["code"] == "FB-108"


def test_a_healthy_device_ends_with_zero(tmp_path: Path) -> None:
    with Bench(tmp_path) as bench:
        state = bench.device(bench.server(broker()))
        finished = device_here("doctor", "--state", state, "--config", CLAIM)

    assert finished.code == 0, finished.out
    assert {each["result"] for each in checks(finished.out)} == {"ok", "skipped"}


@pytest.mark.parametrize("option", [(), ("--offline",)])
def test_a_device_that_never_booted_is_looked_at(tmp_path: Path, option: tuple[str, ...]) -> None:
    state = make_device(tmp_path / "device", endpoint="localhost:1")

    finished = device_here("doctor", "--state", state, "--config", CLAIM, *option)

    assert finished.code == (0 if option else ExitCode.TRY_LATER)
    results = {each["check"]: each["result"] for each in checks(finished.out)}
    assert results["key and certificate"] == "ok"
    assert results["CONNECT"] == "skipped"


def test_without_a_device_the_network_is_looked_at_all_the_same(tmp_path: Path) -> None:
    with Bench(tmp_path) as bench:
        endpoint = bench.server(broker())
        state = no_device(bench).state
        finished = device_here("doctor", "--state", state, "--endpoint", endpoint)

    results = {each["check"]: each["result"] for each in checks(finished.out)}
    assert results["storage"] == "failed"
    assert (results["TCP"], results["TLS"]) == ("ok", "ok")


def test_it_says_where_it_published(tmp_path: Path) -> None:
    with Bench(tmp_path) as bench:
        state = bench.device(bench.server(broker()))
        words = ("--config", CLAIM, "--publish", "dt/SN-1/other")
        finished = device_here("doctor", "--state", state, *words)

    found = {each["check"]: each["evidence"] for each in checks(finished.out)}
    assert found["publish"] == "acknowledged on dt/SN-1/other"


def test_it_publishes_nothing_that_makes_aws_do_something(tmp_path: Path) -> None:
    with Bench(tmp_path) as bench:
        state = bench.device(bench.server(broker()))
        words = ("--config", CLAIM, "--publish", "$aws/certificates/create/json")
        finished = device_here("doctor", "--state", state, *words)

    found = {each["check"]: each["result"] for each in checks(finished.out)}
    assert found["publish"] == "skipped"


def test_a_device_that_runs_is_not_disconnected(tmp_path: Path) -> None:
    with Bench(tmp_path) as bench:
        state = bench.device(bench.server(broker()))
        with open_device_storage(state):
            finished = device_here("doctor", "--state", state, "--config", CLAIM)

    found = {each["check"]: each for each in checks(finished.out)}
    assert found["CONNECT"]["result"] == "skipped"
    assert "would end the first" in found["CONNECT"]["evidence"]


def test_a_just_in_time_certificate_is_not_shown_to_aws(tmp_path: Path) -> None:
    with Bench(tmp_path) as bench:
        server = bench.server(broker())
        state = bench.trusted(installed(bench))
        finished = device_here(
            "doctor", "--state", state, "--config", CONFIG / "jitr.yaml", "--endpoint", server
        )

    found = {each["check"]: each for each in checks(finished.out)}
    assert found["TLS"]["result"] == "ok"
    assert "AWS IoT register" in found["CONNECT"]["evidence"]


@pytest.mark.parametrize(
    ("step", "held"),
    [("keyed", "CLAIM"), ("staged", "STAGED"), ("registered", "STAGED"), ("proven", "DEVICE")],
)
def test_it_looks_at_the_certificate_that_a_boot_would_use(
    tmp_path: Path, step: str, held: str
) -> None:
    with open_device(tmp_path) as storage:
        advance_to(storage, step)

        assert held_by(storage).credential.name == held
