"""The Lambdas of a renewal: the hook that allows a device its own thing, and the confirmation."""

import json
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import boto3
import pytest

from lambdas import renewal, renewal_hook

OLD, NEW, OTHER = "a1" * 32, "b2" * 32, "c3" * 32
ARN = "arn:aws:iot:eu-central-1:123456789012:cert/"
CONTEXT = SimpleNamespace(
    invoked_function_arn="arn:aws:lambda:eu-central-1:123456789012:function:firstboot-renewal"
)
TEMPLATE = "arn:aws:iot:eu-central-1:123456789012:provisioningtemplate/firstboot-renewal"


class FakeIot:
    """A registry: things and policies of certificates, by id; a test edits the fields."""

    def __init__(self) -> None:
        self.things = {OLD: ["SN-1"], NEW: ["SN-1"], OTHER: ["SN-2"]}
        self.policies = {OLD: ["firstboot-device"], NEW: ["firstboot-device"]}
        self.status = dict.fromkeys(self.things, "ACTIVE")
        self.calls: list[str] = []
        self.published: list[tuple[str, Any]] = []

    class exceptions:  # noqa: N801 - boto3's name
        class ResourceNotFoundException(Exception):  # noqa: N818 - boto3's name
            pass

        class InvalidRequestException(Exception):  # noqa: N818 - boto3's name
            pass

    def list_principal_things(self, *, principal: str) -> Mapping[str, Any]:
        identifier = principal.removeprefix(ARN)
        if identifier not in self.things:
            raise self.exceptions.ResourceNotFoundException
        return {"things": self.things[identifier]}

    def list_attached_policies(self, *, target: str, pageSize: int) -> Mapping[str, Any]:  # noqa: N803 - boto3's
        names = self.policies.get(target.removeprefix(ARN), [])
        return {"policies": [{"policyName": name} for name in names]}

    def update_certificate(self, *, certificateId: str, newStatus: str) -> None:  # noqa: N803
        self.calls.append("update_certificate")
        self.status[certificateId] = newStatus

    def detach_thing_principal(self, *, thingName: str, principal: str) -> None:  # noqa: N803
        self.calls.append("detach_thing_principal")
        self.things[principal.removeprefix(ARN)].remove(thingName)

    def publish(self, *, topic: str, qos: int, payload: bytes) -> None:
        self.published.append((topic, json.loads(payload)))


@pytest.fixture
def iot(monkeypatch: pytest.MonkeyPatch) -> FakeIot:
    fake = FakeIot()
    monkeypatch.setattr(boto3, "client", {"iot": fake, "iot-data": fake}.__getitem__)
    return fake


def asked(step: str, principal: str, replaces: str, thing: str = "SN-1") -> dict[str, str]:
    event = {"step": step, "replaces": replaces, "thing": thing, "principal": principal}
    return renewal.handler(event, CONTEXT)


def allowed(asks: str, thing: str) -> bool:
    event = {
        "claimCertificateId": asks,
        "certificateId": NEW,
        "templateArn": TEMPLATE,
        "parameters": {"ThingName": thing},
    }
    return bool(renewal_hook.handler(event, None)["allowProvisioning"])


def test_a_device_may_ask_for_its_own_thing(iot: FakeIot) -> None:
    assert allowed(OLD, "SN-1")


@pytest.mark.parametrize("thing", ["SN-2", "", "SN-1 "])
def test_a_device_may_ask_for_no_other_thing(iot: FakeIot, thing: str) -> None:
    assert not allowed(OLD, thing)


def test_the_certificate_that_aws_iot_saw_is_confirmed(iot: FakeIot) -> None:
    asked("prove", NEW, OLD)

    topic, answer = iot.published[0]
    assert topic == "firstboot/renewal/SN-1/cloud"
    assert answer == {"step": "confirmed", "certificateId": NEW}
    assert iot.calls == []


def test_a_certificate_without_a_policy_of_the_old_one_is_refused(iot: FakeIot) -> None:
    iot.policies[OLD].append("of-the-customer")

    answer = asked("prove", NEW, OLD)

    assert answer["step"] == "refused"
    assert "of-the-customer" in answer["reason"]


@pytest.mark.parametrize("step", ["prove", "retire"])
def test_a_certificate_of_another_thing_gets_no_answer(iot: FakeIot, step: str) -> None:
    with pytest.raises(ValueError, match="does not belong"):
        asked(step, OTHER, OLD)
    assert (iot.published, iot.calls) == ([], [])


def test_the_old_certificate_is_turned_off_before_it_is_detached(iot: FakeIot) -> None:
    asked("retire", NEW, OLD)

    assert iot.calls == ["update_certificate", "detach_thing_principal"]
    assert (iot.status[OLD], iot.things[OLD]) == ("INACTIVE", [])
    assert iot.published[0][1] == {"step": "retired", "certificateId": OLD}


def test_the_same_request_twice_changes_nothing_more(iot: FakeIot) -> None:
    first = asked("retire", NEW, OLD)
    again = asked("retire", NEW, OLD)

    assert first == again
    assert len(iot.calls) == 2


@pytest.mark.parametrize("other", [OTHER, NEW, "d4" * 32, ""])
def test_no_certificate_of_another_thing_is_turned_off_nor_the_one_that_asks(
    iot: FakeIot, other: str
) -> None:
    asked("retire", NEW, other)

    assert iot.calls == []
    assert set(iot.status.values()) == {"ACTIVE"}
