"""A run from beginning to end: make devices, let them live, look into the registry, clean up."""

import os
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

from device.connection.awscrt_session import Network
from device.connection.pump import Pump
from fleet import invariants
from fleet.account import Permission, Place, open_place, refuse_used_account
from fleet.crowd import Crowd, Moment, memory_kib
from fleet.limits import refuse_too_many, share_heap, this_machine, use_what_is_allowed
from fleet.order import FleetOrder
from fleet.record import Record
from fleet.report import Run
from fleet.sessions import Ceiling
from fleet.simulated_device import Shared


@dataclass(frozen=True)
class Hearer:
    """Is told what happens."""

    phase: Callable[[str], None]
    moment: Callable[[Moment], None]


def run_fleet(
    order: FleetOrder,
    folder: Path,
    permission: Permission,
    hearer: Hearer,
    *,
    with_quotas: bool = True,
) -> Run:
    """Run the fleet; Ctrl-C ends it early, with a report of what was.

    Raises:
        FleetError: it cannot run as ordered; no device was switched on.
    """
    account = permission.real_account(order)
    refuse_too_many(order, this_machine(), with_local_aws=account is None)
    use_what_is_allowed()
    share_heap()
    words = f"using account {account.account_id}" if account else "starting the local AWS"
    hearer.phase(words)
    with open_place(folder, account) as place:
        if account is not None:
            refuse_used_account(place.station.registry, order.serials)
        hearer.phase(f"making {order.devices:,} devices")
        issued: set[str] = set()
        try:
            folders = place.make(order)
            if with_quotas:
                place.apply_quotas()
            run = live(order, folders, place, Ceiling(permission.most_calls), hearer)
            issued.update(*(record.issued for record in run.records))
            return run
        finally:
            if account is not None:
                hearer.phase("removing what the fleet made")
                _tear_down(order, place, issued)


def live(
    order: FleetOrder, folders: Sequence[Path], place: Place, ceiling: Ceiling, hearer: Hearer
) -> Run:
    """Let the devices in ``folders`` live, and judge what the registry says of them then."""
    registry = place.station.registry
    before = frozenset(invariants.read_certificates(registry))
    load, baseline = os.getloadavg()[0], memory_kib("self")
    pid = place.local_aws.pid if place.local_aws else None
    crowd = Crowd(folders, Shared(order, Network(Pump()), ceiling), hearer.moment, pid)
    ended_by = "done"
    try:
        hearer.phase("switching them on")
        crowd.run()
    except KeyboardInterrupt:
        ended_by = "Ctrl-C"
    hearer.phase("looking into the registry")
    violations, left = _judge(crowd.records, place, before)
    return Run(
        order, crowd.records, crowd.moments, violations, baseline, left, crowd.storm_at,
        how_it_ended(ended_by, crowd, ceiling), (load, os.getloadavg()[0]),
    )  # fmt: skip


def how_it_ended(ended_by: str, crowd: Crowd, ceiling: Ceiling) -> str:
    """Return what ended the fleet: ceiling, limit, Ctrl-C, or that it was done."""
    if ceiling.is_reached:
        return "ceiling"
    are_done = all(each.is_proven or each.failure for each in crowd.records)
    if ended_by == "done" and not (are_done and crowd.is_through):
        return "limit"
    return ended_by


def _judge(
    records: Sequence[Record], place: Place, before: Set[str]
) -> tuple[list[invariants.Violation], int]:
    names = [each.thing_name or each.serial for each in records]
    found = invariants.read_registry(place.station.registry, names)
    left = len(invariants.unregistered(records, found))
    return list(invariants.broken(records, found, before)), left


def _tear_down(order: FleetOrder, place: Place, issued: set[str]) -> None:
    """Remove the things, the certificates that were ``issued``, and what the station prepared."""
    registry = place.station.registry
    for name in set(order.serials).intersection(registry.things()):
        registry.thing(name).delete()
    for certificate_id in issued.intersection(invariants.read_certificates(registry)):
        registry.client("iot").delete_certificate(certificateId=certificate_id, forceDelete=True)
    for cloud in place.station.clouds:
        place.station.teardown_in(cloud, order.method, renews=order.renews)
