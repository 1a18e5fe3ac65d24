"""The Python API in the conditions of a test rig: many threads, no signals, nothing printed."""

import logging
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from device import Device, FirstbootError, PowerCutError, StoppedError
from factory import Registry, Station
from pytest_firstboot import LocalAWS
from pytest_firstboot.bench import Maker
from tests.support.hang import SECONDS

pytestmark = pytest.mark.wire


def state_of_process() -> tuple[object, ...]:
    root = logging.getLogger()
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)
    signals = [signal.getsignal(number) for number in numbers]
    return dict(os.environ), signals, root.handlers[:], root.level, sys.unraisablehook


def test_devices_are_made_and_booted_in_threads(
    make_device: Maker, cloud: Registry, capfd: pytest.CaptureFixture[str]
) -> None:
    make_device()  # the station is prepared
    before = state_of_process()

    with ThreadPoolExecutor(8) as pool:
        devices = list(pool.map(lambda _: make_device(), range(8), timeout=SECONDS))
        booted = list(pool.map(Device.boot, devices, timeout=SECONDS))

    assert [each.thing_name for each in booted] == [each.serial for each in devices]
    active = [cloud.thing(each.serial).certificates for each in devices]
    assert [[each.id for each in found] for found in active] == [
        [each.certificate_id] for each in booted
    ]
    assert state_of_process() == before
    assert capfd.readouterr() == ("", "")


def test_a_warning_goes_to_the_log_and_not_to_the_terminal(
    device: Device, local_aws: LocalAWS
) -> None:
    program = "import sys; from device import Device; print(Device(sys.argv[1]).boot().thing_name)"
    local_aws.fault("flood", messages=5, client_id=f"claim-{device.serial}")
    done = subprocess.run(
        [sys.executable, "-c", program, device.state],
        capture_output=True,
        text=True,
        check=True,
        timeout=SECONDS,
    )
    assert (done.stdout, done.stderr) == (f"{device.serial}\n", "")


def test_a_run_in_a_thread_is_stopped_from_another(device: Device) -> None:
    seen: list[str] = []
    with ThreadPoolExecutor(1) as pool:
        running = Device(
            device.state,
            on_step=lambda step: running.stop() if step.name == "operating" else None,
        )
        pool.submit(running.run, on_proven=lambda who: seen.append(who.thing_name)).result(SECONDS)
    assert seen == [device.serial]


def test_a_stop_before_the_boot_is_not_lost(device: Device) -> None:
    device.stop()
    with pytest.raises(StoppedError):
        device.boot()
    assert device.boot().thing_name == device.serial


def test_a_stop_of_a_renewal_does_not_stop_the_boot_after_it(device: Device) -> None:
    device.stop()
    with pytest.raises(FirstbootError):  # it has no certificate to renew yet
        device.renew()
    assert device.boot().thing_name == device.serial


def test_a_device_in_use_is_busy(device: Device) -> None:
    other = Device(device.state)
    found: list[str] = []

    def boot_the_same(_: object) -> None:
        try:
            other.boot()
        except FirstbootError as error:
            found.append(error.name)

    Device(device.state, on_step=boot_the_same).boot()
    assert set(found) == {"StorageBusyError"}


def test_the_environment_of_the_process_is_not_read(
    device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEVICE_ENDPOINT", "nowhere.invalid:1")
    monkeypatch.setenv("DEVICE_METHOD", "jitp")
    assert device.boot().thing_name == device.serial


def test_a_reset_undoes_what_was_begun(device: Device) -> None:
    device.cut_power(after="certificate staged")
    with pytest.raises(PowerCutError):
        device.boot()
    assert device.reset()
    assert device.status().state == "waiting for its first boot"


def test_two_stations_in_two_accounts_do_not_meet(station: Station, tmp_path: Path) -> None:
    environment = station.environment
    others = [
        Station(tmp_path / account, environment={**environment, "AWS_ACCESS_KEY_ID": account})
        for account in ("111122223333", "333311112222")
    ]
    for each in others:
        each.prepare("single-thing")
        each.make("single-thing", "SN-1", each.folder.with_suffix(".device"))
    found = [each.registry.thing("SN-1").certificates for each in others]
    assert found[0] != found[1]
    assert not station.registry.thing("SN-1").exists


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AWS_PROFILE", "nobody-has-this-profile"),
        ("HTTP_PROXY", "http://127.0.0.1:9"),
        ("http_proxy", "http://127.0.0.1:9"),
        ("AWS_ENDPOINT_URL_IOT", "http://127.0.0.1:9"),
        ("AWS_SESSION_TOKEN", "of-another-account"),
        ("AWS_CA_BUNDLE", "/nowhere"),
    ],
)
def test_what_the_shell_knows_of_another_account_is_not_used(
    station: Station, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv(name, value)
    other = Station(tmp_path / "station", environment=station.environment)
    assert other.clouds[0].account.account_id == station.clouds[0].account.account_id
    assert other.registry.things() == station.registry.things()
