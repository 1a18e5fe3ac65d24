"""The hook that decides whether a device may come back; without an audit event none does."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest

from lambdas import recovery_hook

OLD, NEW, BIRTH = "a1" * 32, "b2" * 32, "c3" * 32
ARN = "arn:aws:iot:eu-central-1:123456789012:cert/"
NOW = datetime(2027, 5, 1, tzinfo=UTC)
DAY = timedelta(days=1)


class FakeIot:
    """A registry with one thing; a test edits the fields."""

    def __init__(self) -> None:
        self.status, self.expires, self.changed = "ACTIVE", NOW - DAY, NOW - 90 * DAY
        self.principals = [OLD]
        self.published: list[tuple[str, Any]] = []
        self.can_publish = True

    class exceptions:  # noqa: N801 - boto3's name
        class ResourceNotFoundException(Exception):  # noqa: N818 - boto3's name
            pass

    def list_thing_principals(self, *, thingName: str) -> Mapping[str, Any]:  # noqa: N803 - boto3's
        if thingName != "SN-1":
            raise self.exceptions.ResourceNotFoundException
        return {"principals": [ARN + each for each in self.principals]}

    def describe_certificate(self, *, certificateId: str) -> Mapping[str, Any]:  # noqa: N803
        old = {
            "status": self.status,
            "validity": {"notAfter": self.expires},
            "lastModifiedDate": self.changed,
        }
        new = {"creationDate": NOW}
        found = new if certificateId == NEW else old
        return {"certificateDescription": {"certificateId": certificateId, **found}}

    def publish(self, *, topic: str, qos: int, payload: bytes) -> None:
        if not self.can_publish:
            raise ConnectionError
        self.published.append((topic, json.loads(payload)))


@pytest.fixture
def iot(monkeypatch: pytest.MonkeyPatch) -> FakeIot:
    fake = FakeIot()
    monkeypatch.setattr(boto3, "client", {"iot": fake, "iot-data": fake}.__getitem__)
    monkeypatch.setenv("WINDOW_DAYS", "30")
    return fake


def allowed(thing: str = "SN-1", client_id: str = "recover-SN-1") -> bool:
    event = {
        "claimCertificateId": BIRTH,
        "certificateId": NEW,
        "clientId": client_id,
        "parameters": {"ThingName": thing},
    }
    return bool(recovery_hook.handler(event, None)["allowProvisioning"])


@pytest.mark.parametrize("days", [0.01, 1, 29.9, 30])
def test_inside_the_window_after_its_expiry_a_device_comes_back(iot: FakeIot, days: float) -> None:
    iot.expires = NOW - days * DAY
    assert allowed()


@pytest.mark.parametrize("days", [30.01, 90, 5000])
def test_outside_the_window_it_does_not(iot: FakeIot, days: float) -> None:
    iot.expires = NOW - days * DAY
    assert not allowed()


@pytest.mark.parametrize(("days", "is_inside"), [(1, True), (29, True), (31, False)])
def test_the_window_counts_from_when_it_was_set_inactive(
    iot: FakeIot, days: float, is_inside: bool
) -> None:
    iot.status, iot.expires, iot.changed = "INACTIVE", NOW + 900 * DAY, NOW - days * DAY
    assert allowed() is is_inside


def test_an_inactive_certificate_that_expired_long_ago_is_outside(iot: FakeIot) -> None:
    """Whoever touches an old certificate opens no window."""
    iot.status, iot.expires, iot.changed = "INACTIVE", NOW - 100 * DAY, NOW - DAY
    assert not allowed()


@pytest.mark.parametrize("status", ["REVOKED", "PENDING_TRANSFER", "PENDING_ACTIVATION"])
def test_a_certificate_of_another_status_is_none_to_come_back_from(
    iot: FakeIot, status: str
) -> None:
    iot.status = status
    assert not allowed()


def test_a_device_whose_certificate_is_good_does_not_need_it(iot: FakeIot) -> None:
    iot.expires = NOW + DAY
    assert not allowed()


def test_a_retired_device_whose_thing_has_no_certificate_does_not_come_back(iot: FakeIot) -> None:
    iot.principals = []
    assert not allowed()


@pytest.mark.parametrize(
    ("thing", "client_id"),
    [("SN-1", "recover-SN-2"), ("SN-2", "recover-SN-2"), ("SN-1", "SN-1"), ("", "recover-")],
)
def test_a_device_comes_back_as_its_own_thing_alone(
    iot: FakeIot, thing: str, client_id: str
) -> None:
    assert not allowed(thing, client_id)


@pytest.mark.parametrize("days", [1, 31])
def test_each_decision_is_an_audit_event(iot: FakeIot, days: float) -> None:
    iot.expires = NOW - days * DAY

    is_allowed = allowed()

    [(topic, told)] = iot.published
    assert topic == "firstboot/recovery/SN-1/audit"
    assert (told["allowed"], told["birthCertificateId"]) == (is_allowed, BIRTH)
    assert told["reason"]


def test_without_an_audit_event_no_device_comes_back(iot: FakeIot) -> None:
    iot.can_publish = False
    with pytest.raises(ConnectionError):
        allowed()


@pytest.mark.parametrize("thing", ["a/b", "+", "#", "x" * 129, "\u00e9"])
def test_a_name_that_is_none_is_no_level_of_a_topic(iot: FakeIot, thing: str) -> None:
    assert not allowed(thing)
    assert iot.published[0][0] == "firstboot/recovery/unknown/audit"
