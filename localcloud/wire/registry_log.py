"""What changed in the registry, lately, as short words: for the page that shows it beside the wire.

A change is told by the keeper when it is brought to the disk, so nothing is asked twice and nothing
is missed between two questions. No document and no certificate is kept, only names and states.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from localcloud.durable.journal import Change

_KEPT: Final = 2000
_ID_CHARACTERS: Final = 12
_MOST_WORDS: Final = 12

Record = Mapping[str, Any]


class RegistryLog:
    """The latest changes of the registry, the oldest first."""

    def __init__(self, next_number: Callable[[], int]) -> None:
        """Number the changes with ``next_number``, which also numbers the packets."""
        self._next_number = next_number
        self._rows: deque[dict[str, object]] = deque(maxlen=_KEPT)

    def note(self, change: Change) -> None:
        """Keep what ``change`` says, if it is about provisioning."""
        kind, words_of = _KINDS.get((change.service, change.store), ("", None))
        if words_of is None or not change.key:
            return
        *place, key = map(str, change.key)
        name = key[:_ID_CHARACTERS] if kind in _BY_ID else key
        row = {"kind": kind, "place": " ".join(place), "name": name, "is_gone": change.is_gone}
        words = [] if change.is_gone else list(words_of(change.value))[:_MOST_WORDS]
        self._rows.append({"number": self._next_number(), **row, "words": words})

    def listed(self, after: int = 0) -> list[dict[str, object]]:
        """Return every change with a ``number`` above ``after``."""
        return [row for row in self._rows if int(str(row["number"])) > after]

    def forget(self) -> None:
        """Begin again."""
        self._rows.clear()


def _certificate(record: Record) -> Iterator[str]:
    yield str(record["status"])
    yield from (f"thing {_short(arn)}" for arn in _names(record, "attachedThings"))
    yield from (f"policy {name}" for name in _names(record, "attachedPolicies"))


def _thing(record: Record) -> Iterator[str]:
    attributes = record.get("attributes") or {}
    yield from (f"{name}={value}" for name, value in sorted(attributes.items()))
    for principal in _names(record, "principals"):
        yield f"certificate {_short(principal)[:_ID_CHARACTERS]}"
    yield from (f"group {name}" for name in _names(record, "thingGroupNames"))


def _template(record: Record) -> Iterator[str]:
    yield str(record.get("type", "FLEET_PROVISIONING"))
    yield "enabled" if record.get("enabled") else "not enabled"
    if record.get("preProvisioningHook"):
        yield "with a hook"


def _ca(record: Record) -> Iterator[str]:
    yield str(record["status"])
    yield f"auto-registration {record.get('autoRegistrationStatus')}"
    template = (record.get("registrationConfig") or {}).get("templateName")
    if template:
        yield f"template {template}"


def _there(_record: Record) -> Iterable[str]:
    return ()


def _short(arn: str) -> str:
    return arn.rpartition("/")[2]


def _names(record: Record, field: str) -> list[str]:
    return [str(each) for each in record.get(field) or ()]


_KINDS: Final[Mapping[tuple[str, str], tuple[str, Callable[[Record], Iterable[str]]]]] = {
    ("iot", "things"): ("thing", _thing),
    ("iot", "certificates"): ("certificate", _certificate),
    ("iot", "policies"): ("policy", _there),
    ("iot", "provisioning_templates"): ("template", _template),
    ("iot", "ca_certificates"): ("CA certificate", _ca),
    ("iot", "thing_groups"): ("thing group", _there),
    ("iot", "topic_rules"): ("topic rule", _there),
    ("iam", "roles"): ("role", _there),
    ("lambda", "functions"): ("Lambda", _there),
}
_BY_ID: Final = frozenset({"certificate", "CA certificate"})
