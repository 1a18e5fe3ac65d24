"""What must be true of the registry after anything: one thing a device, one ACTIVE certificate.

`broken` is pure; `read_registry` asks AWS what it needs.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from fleet.record import Record

if TYPE_CHECKING:
    from factory import Registry

_ACTIVE: Final = "ACTIVE"


@dataclass(frozen=True)
class Registered:
    """What the registry holds."""

    things: Mapping[str, Sequence[str]]
    """The ids of the certificates that are attached, by thing."""
    status: Mapping[str, str]
    """The status of each certificate of the account, by id."""


@dataclass(frozen=True)
class Violation:
    """An invariant that does not hold."""

    invariant: str
    detail: str


def broken(records: Sequence[Record], found: Registered, before: Set[str]) -> Iterator[Violation]:
    """Yield each violation; ``before``: certificates that were there before the devices were on."""
    yield from _lost(records, found)
    yield from _not_one_active(records, found)
    yield from _duplicates(records)
    yield from _orphans(found, before)


def unregistered(records: Sequence[Record], found: Registered) -> list[str]:
    """Return certificates that were issued and are not attached: a power cut leaves such.

    They were never activated, so nobody can connect with them: they are no orphans.
    """
    attached = {each for ids in found.things.values() for each in ids}
    issued = {each for record in records for each in record.issued - record.retired}
    return sorted(each for each in issued - attached if each in found.status)


def _lost(records: Sequence[Record], found: Registered) -> Iterator[Violation]:
    for record in records:
        if not record.is_proven:
            continue
        attached = found.things.get(record.thing_name)
        if attached is None:
            yield Violation("nothing lost", f"{record.serial}: there is no thing")
        elif record.certificate_id not in attached:
            yield Violation("nothing lost", f"{record.serial}: its certificate is not attached")


def _not_one_active(records: Sequence[Record], found: Registered) -> Iterator[Violation]:
    for record in records:
        name = record.thing_name or record.serial
        ids = found.things.get(name, ())
        active = [each for each in ids if found.status.get(each) == _ACTIVE]
        most = 2 if record.is_renewing else 1
        if len(active) > most or (record.is_proven and not active):
            yield Violation("one ACTIVE certificate", f"{name} has {len(active)}")


def _duplicates(records: Sequence[Record]) -> Iterator[Violation]:
    proven = [record for record in records if record.is_proven]
    for what in ("thing_name", "certificate_id"):
        counted = Counter(getattr(record, what) for record in proven)
        for value, count in counted.items():
            if count > 1:
                yield Violation("no duplicate", f"{count} devices have the {what} {value}")


def _orphans(found: Registered, before: Set[str]) -> Iterator[Violation]:
    attached = {each for ids in found.things.values() for each in ids}
    for certificate_id, status in found.status.items():
        if status == _ACTIVE and certificate_id not in attached | before:
            yield Violation("no orphan", f"certificate {certificate_id} is ACTIVE without a thing")


def read_certificates(registry: "Registry") -> dict[str, str]:
    """Return the status of each certificate of the account."""
    pages = registry.client("iot").get_paginator("list_certificates").paginate(pageSize=250)
    return {
        each["certificateId"]: each["status"] for page in pages for each in page["certificates"]
    }


def read_registry(registry: "Registry", names: Sequence[str]) -> Registered:
    """Return what the registry has of the things ``names``; of the certificates, all."""
    iot, existing = registry.client("iot"), set(registry.things())
    things = {}
    for name in names:
        if name in existing:
            pages = iot.get_paginator("list_thing_principals").paginate(thingName=name)
            arns = [each for page in pages for each in page["principals"]]
            things[name] = [arn.rpartition("/")[2] for arn in arns]
    return Registered(things, read_certificates(registry))
