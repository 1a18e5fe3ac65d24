"""The device's shadow: what the device reports of itself, and what others want of its settings.

At each connection the device reads its shadow, does what is desired, and reports. A delta that
comes later is done at once. What may not be set is reported under ``refused``, with the reason. An
update carries the version that it is made upon, so that AWS IoT refuses one that came too late; the
device then reads the shadow again. (AWS IoT Core Developer Guide, "Device Shadow MQTT topics".)
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from device.errors.text import foreign
from device.operation.configuration import judge, nested
from device.operation.deeds import Configure, Done
from device.operation.task import Order, QuietTask, Reconfigured, Report
from device.provisioning.actions import Publish
from device.provisioning.events import Event, MessageReceived
from device.provisioning.messages import UNREADABLE

LARGEST: Final = 32 * 1024
"""Bytes of a document: AWS IoT takes 8 KiB of state, and its metadata comes on top."""
CONFLICTS: Final = 5
"""After so many conflicts in a row the device reports without a version."""
REPORT_SECONDS: Final = 24 * 3600.0
"""The age of the certificate is reported once a day."""
TICKET: Final = "shadow"
_CONFLICT: Final = 409
_NOT_FOUND: Final = 404
_PACKAGE: Final = "firstboot"


class _State(msgspec.Struct):
    desired: Any = None
    delta: Any = None


class _Document(msgspec.Struct):
    """The reply to a get."""

    state: _State = msgspec.field(default_factory=_State)
    version: int = 0


_DOCUMENT: Final = msgspec.json.Decoder(_Document)


class _Delta(msgspec.Struct):
    state: dict[str, Any]
    version: int


_DELTA: Final = msgspec.json.Decoder(_Delta)


class _Error(msgspec.Struct):
    code: int = 0
    message: str = ""


_ERROR: Final = msgspec.json.Decoder(_Error)


class Shadow(QuietTask):
    """The task that keeps the shadow ``name`` of ``thing_name``; no name is the classic one."""

    def __init__(
        self,
        thing_name: str,
        describe: Callable[[], Mapping[str, Any]],
        settings: Callable[[], Mapping[str, float]],
        *,
        name: str = "",
        version: str = "",
    ) -> None:
        """Report what ``describe`` and ``settings`` return, and the package's ``version``."""
        base = f"$aws/things/{thing_name}/shadow"
        self._topic: Final = f"{base}/name/{name}" if name else base
        self._package: Final = f"{base}/name/$package/update"
        self._describe: Final = describe
        self._settings: Final = settings
        self._firmware: Final = version
        self._version = self._conflicts = 0
        self._refused: dict[str, str] = {}
        self._is_connected = self._is_package_told = False
        self._due = math.inf

    def subscriptions(self) -> Sequence[str]:
        """Hear replies and wishes."""
        ends = (
            "get/accepted",
            "get/rejected",
            "update/accepted",
            "update/rejected",
            "update/delta",
        )
        return [f"{self._topic}/{end}" for end in ends]

    def on_connected(self) -> Sequence[Order]:
        """Read the shadow; what is desired may have changed meanwhile."""
        self._is_connected, self._version, self._conflicts = True, 0, 0
        self._due = -math.inf
        return [*self._report_package(), self._get()]

    def on_disconnected(self) -> None:
        """Say nothing any more."""
        self._is_connected, self._due = False, math.inf

    def on_message(self, message: MessageReceived) -> Sequence[Order]:
        """Do what the shadow wants."""
        end = message.topic.removeprefix(f"{self._topic}/")
        if len(message.payload) > LARGEST:
            return [_ignored(end, f"it has {len(message.payload)} bytes, more than {LARGEST}")]
        try:
            match end:
                case "get/accepted":
                    return self._read(_DOCUMENT.decode(message.payload))
                case "update/accepted":
                    return self._accepted(_DOCUMENT.decode(message.payload))
                case "update/delta":
                    return self._changed(_DELTA.decode(message.payload))
                case _:
                    error = _ERROR.decode(message.payload)
                    return self._rejected(end, error)
        except UNREADABLE as error:
            return [_ignored(end, str(error))]

    def on_fact(self, fact: Event) -> Sequence[Order]:
        """Report settings that were changed, whoever changed them."""
        if isinstance(fact, Done) and fact.ticket == TICKET:
            self._refused = {"settings": fact.problem}
        elif not isinstance(fact, Reconfigured):
            return []
        return [self._report()] if self._is_connected and self._version else []

    def next_due(self) -> float:
        """Return when the device reports again, though nothing was asked."""
        return self._due

    def on_due(self, now: float) -> Sequence[Order]:
        """Report the age of the certificate."""
        is_first, self._due = self._due == -math.inf, now + REPORT_SECONDS
        return [] if is_first or not self._version else [self._report()]

    def _read(self, document: _Document) -> Sequence[Order]:
        self._version = document.version
        desired = document.state.desired
        return self._do(desired.get("settings") if isinstance(desired, dict) else None)

    def _accepted(self, document: _Document) -> Sequence[Order]:
        """Take the version of our own update, or of another's; its delta says the rest."""
        self._version, self._conflicts = max(self._version, document.version), 0
        return []

    def _changed(self, delta: _Delta) -> Sequence[Order]:
        """Do what is desired, unless a later wish was done before."""
        if delta.version < self._version:
            return [_ignored("update/delta", f"version {delta.version} is older than the known")]
        self._version = delta.version
        known = self._refused
        orders = self._do(delta.state.get("settings"))
        is_news = self._refused != known or any(isinstance(each, Configure) for each in orders)
        return orders if is_news else []  # else each report would bring the same delta again

    def _do(self, wanted: object) -> Sequence[Order]:
        verdict = judge({} if wanted is None else wanted)
        self._refused = verdict.refused
        held = self._settings()
        news = {name: new for name, new in verdict.accepted.items() if held.get(name) != new}
        said = [Report("settings refused", f"{n}: {why}") for n, why in verdict.refused.items()]
        # The report of what is changed follows the fact.
        return [*said, Configure(TICKET, news) if news else self._report()]

    def _rejected(self, end: str, error: _Error) -> Sequence[Order]:
        if end == "get/rejected" and error.code == _NOT_FOUND:
            return self._read(_Document())  # no shadow yet: the first report makes it
        if end == "update/rejected" and error.code == _CONFLICT:
            self._conflicts += 1
            return [self._get() if self._conflicts <= CONFLICTS else self._report()]
        why = f"{error.code} {foreign(error.message)}"
        return [Report("shadow refused", f"{end.partition('/')[0]}: {why}")]

    def _get(self) -> Publish:
        return Publish(f"{self._topic}/get", b"")

    def _report(self) -> Publish:
        reported = {
            **self._describe(),
            "settings": nested(self._settings()),
            "refused": self._refused or None,
        }
        document: dict[str, Any] = {"state": {"reported": reported}}
        if self._version and self._conflicts <= CONFLICTS:
            document["version"] = self._version
        return Publish(f"{self._topic}/update", msgspec.json.encode(document))

    def _report_package(self) -> Sequence[Order]:
        """Name the installed version, for AWS IoT's Software Package Catalog, once a start."""
        if self._is_package_told or not self._firmware:
            return []
        self._is_package_told = True
        state = {"reported": {_PACKAGE: {"version": self._firmware}}}
        return [Publish(self._package, msgspec.json.encode({"state": state}))]


def _ignored(what: str, why: str) -> Report:
    return Report("shadow message ignored", f"{what}: {foreign(why)}")
