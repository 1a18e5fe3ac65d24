"""A single thing is registered once, whatever is cut, and never over another device."""

from pathlib import Path

import pytest

from device.errors.provisioning import CertificateUnacceptableError
from device.errors.storage import StorageExistsError
from device.storage.device_storage import open_device_storage
from device.storage.lifecycle import Lifecycle
from factory.account.documents import CONFIG
from factory.errors import NOT_REGISTERED, THING_TAKEN
from factory.making.new_device import DeviceOrder, new_device_id
from factory.methods.single_thing import RegisteredBy, make_registered
from tests.support.certificates import DeviceAuthority, new_key
from tests.support.devices import installed_chain
from tests.support.errors import raises
from tests.support.simulated_registry import SimulatedRegistry
from tests.support.station_cloud import PowerCutError

SERIAL = "SN-1"
BOTH = list(RegisteredBy)
MOST_CALLS = {RegisteredBy.REGISTER_THING: 2, RegisteredBy.HAND: 10}


def order(serial: str = SERIAL) -> DeviceOrder:
    config = CONFIG / "single-thing.yaml"
    return DeviceOrder(serial, new_device_id(), "localhost:8883", b"a CA", config)


def make(cloud: SimulatedRegistry, out: Path, by: RegisteredBy, *, exclusive: bool = True) -> str:
    return make_registered(cloud, order(), out, by, exclusive=exclusive)


def installed(out: Path) -> bytes:
    with open_device_storage(out) as storage:
        assert storage.lifecycle is Lifecycle.SECURED
        return installed_chain(storage)


@pytest.mark.parametrize("by", BOTH)
def test_device_holds_the_one_active_certificate_of_its_thing(
    tmp_path: Path, by: RegisteredBy
) -> None:
    cloud = SimulatedRegistry()

    certificate_id = make(cloud, tmp_path, by)

    assert cloud.active == {SERIAL: [certificate_id]}
    certificate = cloud.certificates[certificate_id]
    assert str(certificate["certificatePem"]).encode() == installed(tmp_path)
    assert list(cloud.policies.values()) == [["firstboot-device"]]


@pytest.mark.parametrize("exclusive", [False, True])
@pytest.mark.parametrize("by", BOTH)
def test_attachment_is_exclusive_if_it_is_to_be(
    tmp_path: Path, by: RegisteredBy, *, exclusive: bool
) -> None:
    cloud = SimulatedRegistry()
    make(cloud, tmp_path, by, exclusive=exclusive)
    (kind,) = cloud.things[SERIAL].values()
    assert kind == ("EXCLUSIVE_THING" if exclusive else "NON_EXCLUSIVE_THING")


@pytest.mark.parametrize("by", BOTH)
def test_the_cuts_below_are_all_that_there_are(tmp_path: Path, by: RegisteredBy) -> None:
    cloud = SimulatedRegistry()
    make(cloud, tmp_path, by)
    assert len(cloud.calls) == MOST_CALLS[by]


@pytest.mark.parametrize("reply_lost", [False, True], ids=["never-sent", "reply-lost"])
@pytest.mark.parametrize(
    ("by", "cut_at"), [(by, at) for by in BOTH for at in range(1, MOST_CALLS[by] + 1)]
)
@pytest.mark.parametrize("then", BOTH)
def test_interrupted_run_is_completed_by_the_next(
    tmp_path: Path, by: RegisteredBy, cut_at: int, then: RegisteredBy, *, reply_lost: bool
) -> None:
    cloud = SimulatedRegistry()
    cloud.cut_at, cloud.reply_lost = cut_at, reply_lost
    with pytest.raises(PowerCutError):
        make(cloud, tmp_path, by)
    cloud.cut_at = 0

    certificate_id = make(cloud, tmp_path, then)

    assert cloud.active == {SERIAL: [certificate_id]}
    assert list(cloud.certificates) == [certificate_id], "something was registered twice"
    assert list(cloud.policies.values()) == [["firstboot-device"]]
    installed(tmp_path)


def test_thing_with_the_certificate_of_another_device_is_left_alone(tmp_path: Path) -> None:
    cloud = SimulatedRegistry()
    make(cloud, tmp_path / "one", RegisteredBy.REGISTER_THING)
    before = dict(cloud.active)

    with raises(THING_TAKEN, match=f"thing {SERIAL} exists") as raised:
        make(cloud, tmp_path / "other", RegisteredBy.HAND)

    assert cloud.active == before
    assert f"--thing-name {SERIAL}" in raised.value.next_step


def test_thing_without_a_certificate_is_taken(tmp_path: Path) -> None:
    cloud = SimulatedRegistry()
    cloud.things[SERIAL] = {}
    make(cloud, tmp_path, RegisteredBy.HAND)
    assert "CreateThing" not in cloud.calls


def test_wrong_kind_of_attachment_is_corrected_by_the_next_run(tmp_path: Path) -> None:
    cloud = SimulatedRegistry()
    cloud.cut_at, cloud.reply_lost = MOST_CALLS[RegisteredBy.REGISTER_THING], True
    with pytest.raises(PowerCutError):
        make(cloud, tmp_path, RegisteredBy.REGISTER_THING, exclusive=False)

    make(cloud, tmp_path, RegisteredBy.REGISTER_THING)

    assert list(cloud.things[SERIAL].values()) == ["EXCLUSIVE_THING"]


@pytest.mark.parametrize(
    ("reason", "next_step"),
    [
        ("ThingGroup 1:devices not found.", "factory prepare --method single-thing"),
        ("Policy default version not found", "factory prepare --method single-thing"),
        ("CSR violates constraints", "P-256"),
        ("Existing AttributePayload: {} conflicts", "OverrideSettings"),
        ("User x is not authorized to perform: iot:CreateThing", "docs/station.md"),
        ("Cannot resolve reference value: Batch", "factory lint --method single-thing"),
        ("Rate exceeded", "a few minutes"),
        ("something new", "AWS's message"),
    ],
)
def test_refusal_keeps_awss_words_and_names_a_next_step(
    tmp_path: Path, reason: str, next_step: str
) -> None:
    cloud = SimulatedRegistry()
    cloud.refused[SERIAL] = reason
    with raises(NOT_REGISTERED) as raised:
        make(cloud, tmp_path, RegisteredBy.REGISTER_THING)
    assert reason in str(raised.value)
    assert next_step in raised.value.next_step


def test_refused_device_is_made_when_the_cause_is_gone(tmp_path: Path) -> None:
    cloud = SimulatedRegistry()
    cloud.refused[SERIAL] = "Rate exceeded"
    with raises(NOT_REGISTERED):
        make(cloud, tmp_path, RegisteredBy.REGISTER_THING)
    cloud.refused.clear()
    assert cloud.active == {}
    make(cloud, tmp_path, RegisteredBy.REGISTER_THING)
    installed(tmp_path)


def test_missing_policy_of_the_hand_sequence_has_a_next_step(tmp_path: Path) -> None:
    cloud = SimulatedRegistry()
    cloud.known_policies.clear()
    with raises(NOT_REGISTERED, match="iot:AttachPolicy was rejected"):
        make(cloud, tmp_path, RegisteredBy.HAND)


def test_certificate_for_another_key_is_not_installed(tmp_path: Path) -> None:
    cloud, authority = SimulatedRegistry(), DeviceAuthority()
    cloud.bend = lambda _, csr: authority.issue(new_key().public_key(), csr.subject)
    with pytest.raises(CertificateUnacceptableError, match="another key"):
        make(cloud, tmp_path, RegisteredBy.REGISTER_THING)


def test_finished_device_is_not_made_again(tmp_path: Path) -> None:
    cloud = SimulatedRegistry()
    make(cloud, tmp_path, RegisteredBy.REGISTER_THING)
    with pytest.raises(StorageExistsError, match="finished device"):
        make(cloud, tmp_path, RegisteredBy.REGISTER_THING)
    assert len(cloud.certificates) == 1
