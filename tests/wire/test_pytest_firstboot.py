"""The pytest plugin, as its users have it: the page's examples, and what each fixture promises."""

import re
import textwrap
from pathlib import Path
from typing import Final

import pytest

from device import Device, PowerCutError, StepNotReachedError
from factory import Registry, Station
from pytest_firstboot import LocalAWS, LocalAWSError
from pytest_firstboot.bench import Boot, CloudClock, Maker, Network, PowerCut, Wire
from tests.wire.conftest import ROOT

pytestmark = pytest.mark.wire
pytest_plugins = ["pytester"]

PAGE: Final = (ROOT / "docs" / "testing-devices.md").read_text(encoding="utf-8")
EXAMPLES: Final = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
OF_THE_RUN: Final = """
    import pytest
    from pytest_firstboot import LocalAWS

    class Running(LocalAWS):
        '''The one that runs already.'''

    @pytest.fixture(scope="session")
    def local_aws():
        running = Running({state!r})
        running.environment = {environment!r}
        return running
"""


@pytest.fixture
def tester(pytester: pytest.Pytester, local_aws: LocalAWS) -> pytest.Pytester:
    """A folder of someone else's tests, which use the local AWS of this run."""
    known = {"state": str(local_aws.state), "environment": dict(local_aws.environment)}
    pytester.makeconftest(textwrap.dedent(OF_THE_RUN).format(**known))
    return pytester


def test_the_examples_of_the_page_are_run_word_for_word(tester: pytest.Pytester) -> None:
    ten_lines, marked, _ = EXAMPLES
    assert len(ten_lines.splitlines()) <= 10
    tester.makepyfile(test_power_cut=ten_lines, test_marked=f"import pytest\n\n\n{marked}")

    done = tester.runpytest_inprocess("-p", "no:cacheprovider")

    done.assert_outcomes(passed=2)


def test_the_example_without_pytest_is_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program = EXAMPLES[2].replace('"aws"', repr(str(tmp_path / "aws")))
    exec(compile(program, "docs/testing-devices.md", "exec"), {})  # noqa: S102 - our own page
    assert "http://127.0.0.1:" in capsys.readouterr().out


def test_a_cut_that_never_comes_fails_the_test(tester: pytest.Pytester) -> None:
    tester.makepyfile(
        """
        def test_nothing_boots(power_cut):
            power_cut(after="key made")

        def test_the_step_is_behind_it(device, boot, power_cut):
            boot()
            with power_cut(after="key made"):
                boot()
        """
    )
    done = tester.runpytest_inprocess("-p", "no:cacheprovider")
    done.assert_outcomes(passed=1, failed=1, errors=1)
    done.stdout.fnmatch_lines(
        ["*StepNotReachedError: the device did not reach the step 'key made'*"]
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--firstboot-profile", "p"], "need --firstboot-account ID"),
        (["--firstboot-endpoint", "a-ats.iot.eu-west-1.amazonaws.com"], "need --firstboot-account"),
        (["--firstboot-account", "123"], "is not the twelve digits"),
    ],
)
def test_no_account_is_used_that_is_not_named(
    tester: pytest.Pytester, options: list[str], words: str
) -> None:
    tester.makepyfile("def test_nothing(): pass")
    done = tester.runpytest_inprocess(*options)
    assert done.ret is pytest.ExitCode.USAGE_ERROR
    done.stderr.fnmatch_lines([f"*{words}*"])


ON_AN_ACCOUNT: Final = """
    SERIALS = []

    def test_it_boots(device, boot, cloud):
        SERIALS.append(device.serial)
        assert boot().thing_name == device.serial

    def test_it_is_deleted_after_its_test(cloud):
        assert SERIALS and not cloud.thing(SERIALS[0]).exists

    def test_there_is_no_network_to_disturb(network):
        raise AssertionError("skipped before")
"""


def account_options(local_aws: LocalAWS, monkeypatch: pytest.MonkeyPatch, account: str) -> str:
    """Let boto3's own chain lead to the local AWS, which stands in for a real account."""
    for name, value in local_aws.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "333322221111")
    return f"--firstboot-account={account}"


def test_the_same_fixtures_work_in_an_account_that_is_named(
    pytester: pytest.Pytester, local_aws: LocalAWS, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = account_options(local_aws, monkeypatch, "333322221111")
    pytester.makepyfile(ON_AN_ACCOUNT)
    endpoint = f"--firstboot-endpoint={local_aws.mqtt_endpoint}"
    done = pytester.runpytest_inprocess("-p", "no:cacheprovider", options, endpoint)
    done.assert_outcomes(passed=2, skipped=1)


def test_credentials_of_another_account_are_refused(
    pytester: pytest.Pytester, local_aws: LocalAWS, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = account_options(local_aws, monkeypatch, "444422221111")
    pytester.makepyfile("def test_it(device): pass")
    done = pytester.runpytest_inprocess("-p", "no:cacheprovider", options)
    done.assert_outcomes(errors=1)
    done.stdout.fnmatch_lines(["*credentials are for 333322221111: nothing was done"])


STEPS: Final = ("claim connected", "thing registered", "identity proven")
"""The page's example has one more; what a cut at any moment leaves, tests/scenarios searches."""


@pytest.mark.parametrize("step", STEPS)
def test_a_device_survives_a_cut_after_each_step(
    device: Device, boot: Boot, power_cut: PowerCut, cloud: Registry, step: str
) -> None:
    with power_cut(after=step):
        boot()
    assert device.steps[-1].name == step

    identity = boot()

    active = [each for each in cloud.thing(device.serial).certificates if each.is_active]
    assert [each.id for each in active] == [identity.certificate_id]


def test_a_cut_drops_the_connection_without_a_word(
    device: Device, boot: Boot, power_cut: PowerCut, wire: Wire
) -> None:
    with power_cut(after="claim connected"):
        boot()
    assert [each["client_id"] for each in wire.packets("CONNECT")] == [f"claim-{device.serial}"]
    assert wire.packets("DISCONNECT", by="device") == []


def test_without_a_with_the_cut_is_raised(boot: Boot, power_cut: PowerCut) -> None:
    power_cut(after="key made")
    with pytest.raises(PowerCutError, match="'key made'"):
        boot()


def test_an_unknown_step_is_refused_with_those_that_there_are(power_cut: PowerCut) -> None:
    with pytest.raises(ValueError, match=r"'key lost'.*certificate staged"):
        power_cut(after="key lost")


def test_a_step_that_never_comes_is_an_error(device: Device, boot: Boot) -> None:
    boot()
    device.cut_power(after="key made")
    with pytest.raises(StepNotReachedError, match="'key made'"):
        boot()
    assert boot().thing_name == device.serial


def test_a_fault_strikes_and_is_gone(
    device: Device, boot: Boot, network: Network, local_aws: LocalAWS
) -> None:
    network.fault("cut-at-connect", client_id=f"claim-{device.serial}")
    assert boot().thing_name == device.serial
    assert "waiting" in [step.name for step in device.steps]
    network.fault("refuse-connect", count=None)
    network.clear()
    assert local_aws.faults() == []


def test_an_unknown_fault_is_refused(network: Network) -> None:
    with pytest.raises(LocalAWSError, match="earthquake"):
        network.fault("earthquake")


def test_a_clock_that_was_advanced_is_right_again(tester: pytest.Pytester) -> None:
    tester.makeconftest("")  # a local AWS of its own: it is started again
    tester.makepyfile(
        """
        def test_it_moves(clock, local_aws):
            clock.advance("2w")
            assert local_aws.clock()["ahead_seconds"] == 14 * 86400

        def test_it_is_right_again(local_aws):
            assert local_aws.clock()["ahead_seconds"] == 0
        """
    )
    tester.runpytest_inprocess("-p", "no:cacheprovider").assert_outcomes(passed=2)


@pytest.mark.parametrize("method", ["jitr", "bulk"])
def test_devices_of_other_methods(make_device: Maker, boot: Boot, method: str) -> None:
    assert boot(make_device(method=method)).method == method


def test_the_registry_of_a_device_that_never_booted_is_empty(
    device: Device, cloud: Registry, station: Station
) -> None:
    thing = cloud.thing(device.serial)
    assert (thing.exists, thing.certificates, dict(thing.attributes)) == (False, [], {})
    assert station.ledger()[-1].serial_number == device.serial


def test_an_unusable_duration_is_refused(local_aws: LocalAWS) -> None:
    with pytest.raises(ValueError, match="90x"):
        CloudClock(local_aws).advance("90x")
