"""What makes two nodes of the search one: all that matters, with names and times left out."""

from collections.abc import Hashable
from typing import TYPE_CHECKING

from device.errors.renewal import RECOVERY_REFUSED
from device.identity.certificates import certificate_id, leaf_of
from device.lifecycle import journal
from device.lifecycle.journal import Keyed, Registered, Staged
from device.provisioning import actions as act
from device.provisioning import events as ev
from device.storage import installed_certificate
from device.storage.device_storage import DeviceStorage
from device.storage.secure_storage import Uid
from tests.exhaustive.cloud import status

if TYPE_CHECKING:
    from tests.exhaustive.device_node import DeviceNode


def summary_of(
    node: "DeviceNode", storage: DeviceStorage, *, only_active_orphans: bool = False
) -> Hashable:
    """Return what machine, storage and cloud are, as a value to compare.

    With ``only_active_orphans`` it does not matter what else was issued, unless the machine still
    remembers the token of another certificate.
    """
    progress = journal.load(storage.ps)
    held = getattr(progress, "certificate_id", "") or installed_id(storage)
    token = getattr(progress, "ownership_token", "")
    is_remembered = _same(vars(node.machine).get("_token"), token) == "other"
    return (
        _stored(storage, progress),
        _registry(node, storage, held, only_active=only_active_orphans and not is_remembered),
        (status(node.cloud, held), token in node.cloud.tokens, held in node.proofs),
        (node.link, node.user_is_there, node.machine.state.name),
        _memory(node, held, token),
        tuple(_kind(node, each) for each in node.orders),
        tuple(_kind(node, each) for each in node.facts),
    )


def installed_id(storage: DeviceStorage) -> str:
    """Return the id of the certificate that the station installed, or nothing."""
    installed = installed_certificate.load(storage.ps)
    return "" if installed is None else certificate_id(leaf_of(installed.chain_pem))


def id_in_use(storage: DeviceStorage) -> str:
    """Return the id of the certificate that a proof is published with."""
    progress = journal.load(storage.ps)
    return getattr(progress, "certificate_id", "") or installed_id(storage)


def _stored(storage: DeviceStorage, progress: journal.Progress | None) -> Hashable:
    return (
        _progress(progress),
        frozenset({Uid.STAGED_CERTIFICATE, Uid.CLAIM_CERTIFICATE} & set(storage.ps.uids())),
        bool(journal.load_given_up(storage.ps)),
        journal.load_identity(storage.ps) is not None,
    )


def _registry(
    node: "DeviceNode", storage: DeviceStorage, held: str, *, only_active: bool
) -> Hashable:
    """Of certificates that the device does not hold it matters whether there are such."""
    identity = journal.load_identity(storage.ps)
    known = {held, node.cloud.claim_id, *journal.load_given_up(storage.ps)}
    known.update(journal.load_to_retire(storage.ps))
    known |= {identity.certificate_id} if identity else set()
    orphans = {
        (each.status, each.thing is not None)
        for identifier, each in node.cloud.certificates.items()
        if identifier not in known and (each.status == "ACTIVE" or not only_active)
    }
    return tuple(node.cloud.things), len(node.cloud._unknown), frozenset(orphans)


def _memory(node: "DeviceNode", held: str, token: str) -> Hashable:
    """What the machine remembers, compared with what is stored."""
    remembered = vars(node.machine)
    return (
        remembered.get("_csr_pem") is not None,
        _same(remembered.get("_token"), token),
        _same(remembered.get("_certificate_id"), held),
        bool(remembered.get("_given_up")),
        remembered.get("_configuration") is not None,
        remembered.get("_thing_name"),
        min(remembered.get("_refusals", 0), 1),
    )


def _kind(node: "DeviceNode", item: act.Action | ev.Event) -> Hashable:
    match item:
        case act.Connect(credential):
            return "Connect", credential
        case act.Request(topic):
            return "Request", topic
        case act.WaitBeforeRetry(cause):
            return "WaitBeforeRetry", cause.row is RECOVERY_REFUSED  # a person acts on that one
        case act.StageCertificate() | ev.CertificateIssued():
            is_claim = item.certificate_pem == node.cloud.claim_pem
            return type(item).__name__, status(node.cloud, item.certificate_id), is_claim
        case ev.ThingRegistered(name):
            return "ThingRegistered", name
        case ev.RequestRefused(error_code=code):
            return "RequestRefused", code
    return type(item).__name__


def _same(remembered: object, stored: object) -> str:
    if not remembered:
        return "-"
    return "stored" if remembered == stored else "other"


def _progress(progress: journal.Progress | None) -> Hashable:
    match progress:
        case Keyed():
            return ("keyed",)
        case Staged():
            return "staged", progress.csr_pem is not None, progress.evidence.rounds
        case Registered():
            configured = progress.device_configuration is not None
            own = progress.csr_pem is not None
            return "registered", own, configured, progress.evidence.rounds
    return "nothing"
