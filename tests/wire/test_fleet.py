"""A fleet over TLS: what is cut, lost or stopped, each device is one thing with one certificate."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from factory import Registry, Station
from fleet.account import Place, refuse_used_account
from fleet.errors import MisuseError
from fleet.invariants import read_certificates
from fleet.order import FleetOrder, Scenario
from fleet.report import Run, document_of
from fleet.running import Hearer, live
from fleet.sessions import Ceiling
from pytest_firstboot import LocalAWS
from pytest_firstboot.bench import Maker
from tests.support.hang import SECONDS

pytestmark = pytest.mark.wire

ROOT = Path(__file__).parents[2]
QUIET = Hearer(lambda _: None, lambda _: None)


def run(order: FleetOrder, tmp_path: Path, station: Station, local_aws: LocalAWS) -> Run:
    place = Place(station, tmp_path / "devices", local_aws)
    return live(order, place.make(order), place, Ceiling(None), QUIET)


def test_a_fleet_whose_power_is_cut_keeps_every_invariant(
    tmp_path: Path, station: Station, local_aws: LocalAWS
) -> None:
    order = FleetOrder(16, scenario=Scenario.POWER_CUTS, name="CUT", limit=SECONDS, at_once=6)
    done = run(order, tmp_path, station, local_aws)
    assert done.violations == []
    assert [record.serial for record in done.records if not record.is_proven] == []
    assert sum(record.power_cuts for record in done.records) >= order.devices / 2
    assert done.is_good
    assert max(moment.on for moment in done.moments) <= 6
    assert done.moments[-1].proven == order.devices


def test_a_fleet_comes_back_after_its_network_was_cut(
    tmp_path: Path, station: Station, local_aws: LocalAWS
) -> None:
    order = FleetOrder(
        6, scenario=Scenario.RECONNECT_STORM, name="STORM", in_memory=False, seconds=0.0,
        limit=SECONDS,
    )  # fmt: skip
    document = document_of(run(order, tmp_path, station, local_aws))
    assert document["storm"]["devices_through"] == order.devices
    assert document["invariants"]["hold"]
    assert document["refusals"]["FB-413 The connection was lost"] >= order.devices


def test_devices_that_renew_in_the_same_instant_each_end_with_one_certificate(
    tmp_path: Path, station: Station, local_aws: LocalAWS
) -> None:
    order = FleetOrder(
        4, scenario=Scenario.RENEWAL_STORM, name="RENEW", seconds=0.0, limit=SECONDS
    )  # fmt: skip
    done = run(order, tmp_path, station, local_aws)
    assert [(record.renewals, len(record.retired)) for record in done.records] == [(1, 1)] * 4
    assert document_of(done)["storm"]["devices_through"] == order.devices
    assert done.violations == []


def in_account(
    local_aws: LocalAWS, out: Path, most_calls: int, *words: str
) -> tuple[Sequence[str], dict[str, str]]:
    """Return a command that treats the local AWS as a real account, and its environment."""
    named = ["--account", "000000000000", "--endpoint", local_aws.mqtt_endpoint]
    ceilings = ["--most-devices", "8", "--most-calls", str(most_calls)]
    command = [sys.executable, "-m", "fleet", *named, *ceilings, "--out", str(out), *words]
    return command, {**os.environ, **local_aws.environment}


def test_an_account_that_others_prepared_is_refused(make_device: Maker, cloud: Registry) -> None:
    make_device()
    with pytest.raises(MisuseError, match="firstboot-claim"):
        refuse_used_account(cloud, [])


@pytest.fixture
def empty_aws(tmp_path: Path) -> Iterator[LocalAWS]:
    """A local AWS of the test's own, in which nothing was prepared."""
    with LocalAWS(tmp_path / "cloud") as started:
        yield started


@pytest.mark.long
def test_in_a_named_account_the_ceiling_ends_it_and_nothing_is_left(
    tmp_path: Path, empty_aws: LocalAWS
) -> None:
    command, environment = in_account(
        empty_aws, tmp_path, 15, "--devices", "4", "--name", "CEILING", "--json"
    )
    registry = Station(tmp_path / "station", environment=empty_aws.environment).registry
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
        timeout=SECONDS,
    )  # fmt: skip
    document = json.loads(done.stdout)
    assert (done.returncode, document["ended_by"]) == (1, "ceiling")
    assert sum(document["calls"].values()) == 15
    assert document["devices"]["unfinished"] >= 1
    assert registry.things() == []
    refuse_used_account(registry, [])
    assert read_certificates(registry) == {}


ENDLESS = ("--devices", "4", "--name", "CTRLC", "--scenario", "steady", "--seconds", "3000")


@pytest.mark.long
def test_ctrl_c_ends_a_fleet_with_a_report(tmp_path: Path, empty_aws: LocalAWS) -> None:
    command, environment = in_account(empty_aws, tmp_path, 1000, *ENDLESS)
    assert_reports_after_ctrl_c(command, environment, tmp_path)


@pytest.mark.long
def test_ctrl_c_in_a_terminal_leaves_the_local_aws_to_be_asked(tmp_path: Path) -> None:
    """It reaches each process of the terminal's foreground."""
    command = [sys.executable, "-m", "fleet", "--out", str(tmp_path), *ENDLESS]
    assert_reports_after_ctrl_c(command, dict(os.environ), tmp_path)


def assert_reports_after_ctrl_c(
    command: Sequence[str], environment: dict[str, str], tmp_path: Path
) -> None:
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL,
        text=True, process_group=0,
    ) as process:  # fmt: skip
        assert process.stderr is not None
        said = []
        for line in process.stderr:
            if line.startswith("switching them on") and line not in said:
                os.killpg(process.pid, signal.SIGINT)  # once: a second would end the clean-up
            said.append(line)
        assert process.wait(SECONDS) == 1
    assert (tmp_path / "report.json").exists(), "".join(said)
    document = json.loads((tmp_path / "report.json").read_text())
    assert document["ended_by"] == "Ctrl-C"
    assert document["invariants"]["hold"]
