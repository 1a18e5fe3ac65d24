"""Every method, its devices made by the real station: success, power cut, denied, slow, rude.

The cloud is a little rude in all of them: `tests.scenarios.conftest.wire`.
"""

import json
from contextlib import suppress
from enum import Enum
from pathlib import Path

import pytest

from device.config.methods import CLAIM_METHODS, JUST_IN_TIME_METHODS
from device.errors import FirstbootError
from device.errors.provisioning import (
    NO_REPLY,
    NOT_ACTIVATED_YET,
    NOT_LET_IN,
    ClaimExpiredError,
)
from device.identity.certificates import certificate_id
from device.provisioning.events import Event
from device.runtime.loop import Patience
from device.runtime.metrics import FILE
from device.storage.device_storage import open_device_storage
from device.storage.secure_storage import Uid
from factory.making.device_leaf import installed_leaf
from factory.methods import jitr
from tests.support import effort
from tests.support.device_process import device_here, running
from tests.support.errors import raises
from tests.support.power import PowerCutError
from tests.support.production_line import CONFIG
from tests.support.wire_world import WireWorld
from tests.support.worlds import Diary, boot
from tests.wire.localcloud_registry import until

pytestmark = pytest.mark.wire

LEFT_BEHIND = {
    Uid.CLAIM_CERTIFICATE,
    Uid.INSTALLED_CERTIFICATE,
    Uid.STAGED_CERTIFICATE,
    Uid.PROVISIONING_JOURNAL,
}
IMPATIENT = Patience(unreachable=5.0, refused=1.2, activation=1.5)


def of(*methods: str) -> pytest.MarkDecorator:
    """Run a test for these methods only."""
    return pytest.mark.parametrize("method_world", methods, indirect=True)


def assert_one_and_whole(wire: WireWorld, state: Path, serial: str, certificate_id: str) -> None:
    assert wire.certificates(serial) == {certificate_id: "ACTIVE"}
    with open_device_storage(state, read_only=True) as storage:
        assert storage.keys.keys() == ["device-key.1"]
        assert not LEFT_BEHIND & set(storage.ps.uids())


def test_from_the_factory_to_a_proven_identity(wire: WireWorld, state: Path, serial: str) -> None:
    state, diary = wire.make_device(state, serial), Diary()

    identity = boot(wire, state, diary=diary)

    assert (identity.thing_name, identity.method) == (serial, wire.method)
    assert_one_and_whole(wire, state, serial, identity.certificate_id)
    refused = [cause.row is NOT_ACTIVATED_YET for cause, _ in diary.waits]
    assert any(refused) == (wire.method in JUST_IN_TIME_METHODS)
    again = Diary()
    assert boot(wire, state, diary=again) == identity
    assert again.events == []


class CutAfterEachStep(Diary):
    """Pulls the plug the first time that a step is done, be it the device's or the cloud's."""

    def received(self, event: Event, state: Enum) -> None:
        is_new = type(event).__name__ not in self.types()
        super().received(event, state)
        if is_new:
            raise PowerCutError


def test_a_power_cut_after_each_step(wire: WireWorld, state: Path, serial: str) -> None:
    state, diary = wire.make_device(state, serial), CutAfterEachStep()
    for _ in range(20):
        with suppress(PowerCutError):
            identity = boot(wire, state, diary=diary)
            break

    assert_one_and_whole(wire, state, serial, identity.certificate_id)
    own = {"CertificateIssued", "CertificateStaged", "ThingRegistered"}
    steps = own if wire.method in CLAIM_METHODS else {"CertificateInstalled"}
    assert steps | {"PublishAcknowledged", "IdentityPromoted"} <= set(diary.types())


@of("claim", "claim-aws-keys", "claim-own-ca")
def test_denied_a_claim_that_was_turned_off(wire: WireWorld, state: Path, serial: str) -> None:
    state = wire.make_device(state, serial)
    with open_device_storage(state, read_only=True) as storage:
        claim = certificate_id(storage.ps.get(Uid.CLAIM_CERTIFICATE))
    wire.set_status(claim, "INACTIVE")
    try:
        with raises(NOT_LET_IN):
            boot(wire, state, patience=IMPATIENT)
    finally:
        wire.set_status(claim, "ACTIVE")

    assert wire.certificates(serial) is None
    assert_one_and_whole(wire, state, serial, boot(wire, state).certificate_id)


@of("trusted-user")
def test_denied_a_claim_that_has_expired(wire: WireWorld, state: Path, serial: str) -> None:
    state = wire.make_device(state, serial)
    place = state.parent / "claim.json"
    wire.factory("claim", "--trusted-user", "--to", str(place))
    place.write_text(json.dumps(json.loads(place.read_text()) | {"expiration": 1_700_000_000}))

    with pytest.raises(ClaimExpiredError, match="older than 5 minutes"):
        boot(wire, state, patience=IMPATIENT)

    assert wire.certificates(serial) is None
    assert_one_and_whole(wire, state, serial, boot(wire, state).certificate_id)


@of("jitp")
def test_denied_while_the_ca_registers_nobody(wire: WireWorld, state: Path, serial: str) -> None:
    state = wire.make_device(state, serial)
    authorities = wire.factory("ca", "show")
    [ca] = [each["certificate_id"] for each in authorities if "JITP" in each["subject"]]
    wire.iot.update_ca_certificate(certificateId=ca, newAutoRegistrationStatus="DISABLE")
    try:
        with raises(NOT_ACTIVATED_YET):
            boot(wire, state, patience=IMPATIENT)
    finally:
        wire.iot.update_ca_certificate(certificateId=ca, newAutoRegistrationStatus="ENABLE")

    assert wire.certificates(serial) is None
    assert_one_and_whole(wire, state, serial, boot(wire, state).certificate_id)


@of("jitr")
def test_denied_off_the_allow_list(wire: WireWorld, state: Path, serial: str) -> None:
    state = wire.make_device(state, serial, "--not-allowed")
    with open_device_storage(state, read_only=True) as storage:
        leaf = certificate_id(installed_leaf(storage))

    with raises(NOT_ACTIVATED_YET) as raised:
        boot(wire, state, patience=IMPATIENT)

    assert "allow-list" in raised.value.next_step
    until(lambda: wire.status(leaf), "INACTIVE")  # the Lambda comes when the rule gets to it
    assert wire.certificates(serial) is None


@of("multi-account", "bulk", "single-thing")
def test_denied_with_an_inactive_certificate(wire: WireWorld, state: Path, serial: str) -> None:
    state = wire.make_device(state, serial)
    [certificate] = wire.certificates(serial) or {}
    wire.set_status(certificate, "INACTIVE")

    with raises(NOT_LET_IN) as raised:
        boot(wire, state, patience=IMPATIENT)

    assert "ACTIVE" in raised.value.next_step
    wire.set_status(certificate, "ACTIVE")
    assert_one_and_whole(wire, state, serial, boot(wire, state).certificate_id)


@of(*CLAIM_METHODS)
def test_slow_replies(wire: WireWorld, state: Path, serial: str) -> None:
    state, diary = wire.make_device(state, serial), Diary()
    wire.fault("delay-reply", operation="provision", seconds=2.3)

    identity = boot(wire, state, diary=diary)

    assert NO_REPLY in {cause.row for cause, _ in diary.waits}
    assert_one_and_whole(wire, state, serial, identity.certificate_id)


@pytest.mark.parametrize("percent", [5, 20, 50])
@of("claim")
def test_a_rude_cloud(wire: WireWorld, tmp_path: Path, serial: str, percent: int) -> None:
    for seed in range(effort.examples(1)):
        wire.be_rude(percent, seed)
        name = f"{serial}-{percent}-{seed}"
        state = wire.make_device(tmp_path / name, name)
        assert_one_and_whole(wire, state, name, boot(wire, state).certificate_id)


@pytest.mark.long
@pytest.mark.parametrize("percent", [20, 50])
def test_a_rude_cloud_by_every_method(
    wire: WireWorld, state: Path, serial: str, percent: int
) -> None:
    wire.be_rude(percent, seed=percent)
    state = wire.make_device(state, serial)
    assert_one_and_whole(wire, state, serial, boot(wire, state).certificate_id)


@of("jitp")
def test_slow_activation(wire: WireWorld, state: Path, serial: str) -> None:
    state, diary = wire.make_device(state, serial), Diary()
    wire.set(jitp_seconds=3.0)

    identity = boot(wire, state, diary=diary)

    assert {cause.row for cause, _ in diary.waits} == {NOT_ACTIVATED_YET}
    assert_one_and_whole(wire, state, serial, identity.certificate_id)


@of("multi-account")
def test_the_same_device_untouched_in_two_accounts_and_two_regions(
    wire: WireWorld, state: Path, serial: str
) -> None:
    places = ("411987654321:us-east-1", "411987654321:eu-west-1", "412987654321:eu-west-1")
    accounts = [word for place in places for word in ("--account", place)]
    wire.make_device(state, serial, *accounts)
    first, *others = [wire.endpoint_in(*place.split(":")) for place in places]
    config = {"DEVICE_PROXY": wire.proxy}
    words = ("--state", state, "--config", CONFIG / "multi-account.yaml", "--endpoint")
    booted = device_here("boot", *words, first, **config)
    assert booted.code == 0, booted.err
    held = contents_of(state)

    for endpoint in others:
        with running("run", *words, endpoint, **config) as started:
            started.wait_for("telemetry acknowledged")
            assert started.stop().code == 0

    assert contents_of(state) == held
    certificate = {booted.identity["certificate_id"]: "ACTIVE"}
    found = [wire.certificates(serial, *place.split(":")) for place in places]
    assert found == [certificate] * 3


def contents_of(state: Path) -> dict[str, bytes]:
    """Return every file but the counters of the last run."""
    files = [each for each in state.rglob("*") if each.is_file() and each.name != FILE]
    return {str(each): each.read_bytes() for each in files}


class SlowDecision(Diary):
    """Lets the rule work when the device has waited twice."""

    def __init__(self, wire: WireWorld) -> None:
        super().__init__()
        self._wire = wire
        wire.iot.disable_topic_rule(ruleName=jitr.RULE)

    def waiting(self, cause: FirstbootError, seconds: float) -> None:
        super().waiting(cause, seconds)
        if len(self.waits) == 2:
            self._wire.iot.enable_topic_rule(ruleName=jitr.RULE)


@of("jitr")
def test_slow_decision(wire: WireWorld, state: Path, serial: str) -> None:
    state, diary = wire.make_device(state, serial), SlowDecision(wire)

    identity = boot(wire, state, diary=diary)

    assert {cause.row for cause, _ in diary.waits} == {NOT_ACTIVATED_YET}
    assert len(diary.waits) >= 2
    assert_one_and_whole(wire, state, serial, identity.certificate_id)


@of("multi-account", "bulk", "single-thing")
def test_slow_to_open(wire: WireWorld, state: Path, serial: str) -> None:
    state, diary = wire.make_device(state, serial), Diary()
    wire.fault("cut-at-connect", client_id=serial)

    identity = boot(wire, state, diary=diary)

    assert diary.types().count("NotLetIn") >= 1
    assert_one_and_whole(wire, state, serial, identity.certificate_id)
