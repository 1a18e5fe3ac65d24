"""Does a device report itself to its shadow, do what is desired, and refuse the rest aloud?"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from device.operation.deeds import Configure, Done
from device.operation.shadow import CONFLICTS, LARGEST, REPORT_SECONDS, Shadow
from device.operation.task import Order, Reconfigured, Report
from device.provisioning.actions import Publish
from device.provisioning.events import MessageReceived

BASE = "$aws/things/SN-1/shadow"
UPDATE = f"{BASE}/update"
GET = Publish(f"{BASE}/get", b"")


class Device:
    """A shadow task, and the settings that its orders change."""

    def __init__(self, name: str = "") -> None:
        self.settings: dict[str, float] = {"telemetry.interval": 60.0, "metrics.interval": 60.0}
        self.base = f"{BASE}/name/{name}" if name else BASE
        self.task = Shadow(
            "SN-1", lambda: {"method": "claim"}, lambda: self.settings, name=name, version="1.2"
        )

    def hear(self, end: str, document: object) -> list[Order]:
        """Give it a message; do what it orders."""
        payload = document if isinstance(document, bytes) else json.dumps(document).encode()
        return self.done(self.task.on_message(MessageReceived(f"{self.base}/{end}", payload)))

    def done(self, orders: Sequence[Order]) -> list[Order]:
        found = list(orders)
        for order in orders:
            if isinstance(order, Configure):
                self.settings |= order.settings
                found += self.task.on_fact(Reconfigured(order.settings))
        return found

    def connected_at(self, version: int, desired: Mapping[str, Any] | None = None) -> list[Order]:
        self.task.on_connected()
        state = {"desired": desired} if desired is not None else {}
        return self.hear("get/accepted", {"state": state, "version": version})


def reported(orders: Sequence[Order]) -> dict[str, Any]:
    """Return the one update among ``orders``."""
    [update] = [o for o in orders if isinstance(o, Publish) and o.topic.endswith("/update")]
    return dict(json.loads(update.payload))


def test_a_connection_names_the_package_and_reads_the_shadow() -> None:
    package, get = Device().task.on_connected()

    assert isinstance(package, Publish)
    assert package.topic == f"{BASE}/name/$package/update"
    state = {"state": {"reported": {"firstboot": {"version": "1.2"}}}}
    assert json.loads(package.payload) == state
    assert get == GET


def test_the_package_is_named_once_a_start() -> None:
    device = Device()
    device.task.on_connected()
    device.task.on_disconnected()

    assert device.task.on_connected() == [GET]


def test_a_device_without_a_shadow_makes_one() -> None:
    device = Device()
    device.task.on_connected()

    found = reported(device.hear("get/rejected", {"code": 404, "message": "No shadow exists"}))

    assert found["state"]["reported"]["method"] == "claim"
    assert found["state"]["reported"]["settings"]["telemetry"] == {"interval": 60.0}
    assert "version" not in found


@pytest.mark.parametrize("name", ["", "config"])
def test_what_is_desired_is_done_and_reported(name: str) -> None:
    device = Device(name)

    orders = device.connected_at(7, {"settings": {"telemetry": {"interval": 5}}})

    assert device.settings["telemetry.interval"] == 5.0
    found = reported(orders)
    assert found["version"] == 7
    assert found["state"]["reported"]["settings"]["telemetry"] == {"interval": 5.0}
    assert found["state"]["reported"]["refused"] is None


def test_what_holds_already_is_not_done_again() -> None:
    device = Device()

    orders = device.connected_at(7, {"settings": {"telemetry": {"interval": 60}}})

    assert not any(isinstance(order, Configure) for order in orders)
    assert reported(orders)


@pytest.mark.parametrize(
    ("wanted", "name", "reason"),
    [
        ({"telemetry": {"interval": 0}}, "telemetry.interval", "is not from 0.1 to 604800"),
        ({"telemetry": {"interval": "5"}}, "telemetry.interval", "is not a number"),
        ({"telemetry": {"interval": True}}, "telemetry.interval", "is not a number"),
        ({"telemetry": {"interval": None}}, "telemetry.interval", "is not a number"),
        ({"method": "bulk"}, "method", "cannot be set from afar"),
        ({"telemetry": {"topic": "x"}}, "telemetry.topic", "cannot be set from afar"),
        ([5], "settings", "is not an object"),
        ({str(number): 1 for number in range(30)}, "settings", "more than 20 names"),
    ],
)
def test_what_may_not_be_set_is_refused_with_the_reason(
    wanted: object, name: str, reason: str
) -> None:
    device = Device()

    orders = device.connected_at(7, {"settings": wanted})

    assert reason in reported(orders)["state"]["reported"]["refused"][name]
    assert device.settings["telemetry.interval"] == 60.0
    assert any(isinstance(order, Report) and reason in order.detail for order in orders)


def test_of_several_wishes_the_good_are_done_and_the_bad_refused() -> None:
    device = Device()
    wanted = {"telemetry": {"interval": 5}, "metrics": {"interval": -1}}

    orders = device.connected_at(7, {"settings": wanted})

    assert device.settings == {"telemetry.interval": 5.0, "metrics.interval": 60.0}
    assert list(reported(orders)["state"]["reported"]["refused"]) == ["metrics.interval"]


def test_a_wish_that_comes_later_is_done_at_once() -> None:
    device = Device()
    device.connected_at(7)

    orders = device.hear(
        "update/delta", {"state": {"settings": {"telemetry": {"interval": 9}}}, "version": 8}
    )

    assert device.settings["telemetry.interval"] == 9.0
    assert reported(orders)["version"] == 8


def test_a_wish_that_stays_refused_is_reported_once() -> None:
    """Each report brings a delta while desired and reported differ; that must come to an end."""
    device = Device()
    device.connected_at(7)
    delta = {"state": {"settings": {"telemetry": {"interval": -1}}}}

    assert reported(device.hear("update/delta", delta | {"version": 8}))
    assert device.hear("update/delta", delta | {"version": 9}) == []


def test_an_older_wish_does_not_undo_a_later_one() -> None:
    device = Device()
    device.connected_at(7)
    later = {"state": {"settings": {"telemetry": {"interval": 9}}}, "version": 9}
    older = {"state": {"settings": {"telemetry": {"interval": 3}}}, "version": 8}
    device.hear("update/delta", later)

    [report] = device.hear("update/delta", older)

    assert isinstance(report, Report)
    assert "version 8 is older" in report.detail
    assert device.settings["telemetry.interval"] == 9.0


def test_a_conflict_of_versions_reads_the_shadow_again_and_ends() -> None:
    device = Device()
    device.connected_at(7)
    conflict = {"code": 409, "message": "Version conflict"}

    for _ in range(CONFLICTS):
        assert device.hear("update/rejected", conflict) == [GET]
    found = reported(device.hear("update/rejected", conflict))

    assert "version" not in found, "after so many, whoever is last wins"


def test_a_refusal_is_told() -> None:
    device = Device()
    device.connected_at(7)

    [report] = device.hear("update/rejected", {"code": 413, "message": "Too large"})

    assert report == Report("shadow refused", "update: 413 Too large")


@pytest.mark.parametrize("end", ["get/accepted", "update/delta", "update/rejected"])
@pytest.mark.parametrize(
    "payload",
    [b"", b"{", b"[]", b"\xff", b"null", b"[" * 5_000, b'{"state":3,"version":"x"}', b"{}" * 9999],
)
def test_a_message_that_makes_no_sense_changes_nothing(end: str, payload: bytes) -> None:
    device = Device()
    device.connected_at(7)

    orders = device.hear(end, payload)

    assert [type(order) for order in orders] == [Report]
    assert device.settings["telemetry.interval"] == 60.0


def test_a_message_that_is_too_large_is_not_read() -> None:
    device = Device()
    device.connected_at(7)
    padding = "x" * LARGEST

    [report] = device.hear("update/delta", {"state": {"settings": padding}, "version": 8})

    assert isinstance(report, Report)
    assert "more than" in report.detail


def test_a_setting_that_cannot_be_kept_is_refused() -> None:
    device = Device()
    device.connected_at(7)

    orders = device.task.on_fact(Done("shadow", problem="cannot be kept: the disk is full"))

    refused = reported(orders)["state"]["reported"]["refused"]
    assert refused == {"settings": "cannot be kept: the disk is full"}


def test_the_age_of_the_certificate_is_reported_once_a_day() -> None:
    device = Device()
    device.connected_at(7)
    assert device.task.on_due(10.0) == []

    assert device.task.next_due() == 10.0 + REPORT_SECONDS
    assert reported(device.task.on_due(10.0 + REPORT_SECONDS))
