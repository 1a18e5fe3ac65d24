"""What reads bytes that others wrote: each target takes any bytes, and raises our errors alone."""

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import yaml

from device.config import settings_file
from device.config.endpoint import Endpoint
from device.errors import FirstbootError
from device.identity.pem import parse_certificate, parse_chain
from device.identity.trust_anchors import canonical_trust_anchors
from device.lifecycle import journal
from device.operation.commands import Commands
from device.operation.jobs import Jobs
from device.operation.shadow import Shadow
from device.operation.task import Task, matches
from device.provisioning import messages, topics
from device.provisioning.claim import ClaimMachine, ClaimPlan
from device.provisioning.events import MessageReceived
from device.runtime.claim_delivery import read_claim
from device.runtime.durable_outbox import DurableOutbox
from device.storage import installed_certificate
from device.storage.decoding import decoded
from device.storage.element import pkcs11_uri
from device.storage.image import Sealer
from device.storage.roots.descriptor import NAME, read_descriptor
from device.storage.roots.file_fuses import FileFuses
from device.storage.roots.root_plan import parse_plan
from tests.property.test_claim_machine_property import EVENTS
from tests.support.clock import FakeClock
from tests.support.memory_disk import MemoryDisk
from tests.support.sealed_device import make_device

_REQUESTS: Final = (
    topics.CREATE_CERTIFICATE_FROM_CSR,
    topics.CREATE_KEYS_AND_CERTIFICATE,
    topics.register_thing("T"),
)
_PLAN: Final = ClaimPlan("T", {}, "claim-1", "thing", "dt/{thing_name}/telemetry", 15, 30)
_FOLDER: Final = Path("fuses")


def _reply(data: bytes) -> None:
    chosen, payload = data[:1] or b"\0", data[1:]
    request = _REQUESTS[chosen[0] % 3]
    suffix = "rejected" if chosen[0] & 4 else "accepted"
    messages.decode(MessageReceived(f"{request}/{suffix}", payload))


def _told(new_task: Callable[[], Task]) -> Callable[[bytes], None]:
    """Return what gives a task one message on each of its topics."""
    filters = new_task().subscriptions()

    def tell(data: bytes) -> None:
        chosen, payload = data[:1] or b"\0", data[1:]
        topic = filters[chosen[0] % len(filters)].replace("+", "7")
        task = new_task()
        task.on_connected()
        task.on_message(MessageReceived(topic, payload))
        task.on_message(MessageReceived(topic, payload))

    return tell


def _shadow() -> Task:
    return Shadow("thing", dict, lambda: {"telemetry.interval": 60.0})


def _jobs() -> Task:
    return Jobs(
        "thing", None, lambda: {"reboot": "1", "factory-reset": "2", "rotate-certificate": "3"}
    )


def _commands() -> Task:
    return Commands("thing", None, lambda: "boot")


def _machine(data: bytes) -> None:
    """Each byte is an event: the machine takes it, or says that it cannot happen."""
    machine = ClaimMachine(_PLAN)
    for byte in data[:200]:
        try:
            machine.receive(EVENTS[byte % len(EVENTS)])
        except FirstbootError:
            continue


def _fuses(name: str) -> Callable[[bytes], object]:
    def read(data: bytes) -> object:
        disk = MemoryDisk().with_file([(_FOLDER, name)], data)
        fuses = FileFuses(disk.mount(_FOLDER))
        return fuses.read_anchor() if name == "anchor" else fuses.lifecycle

    return read


def _descriptor(data: bytes) -> None:
    disk = MemoryDisk().with_file([(_FOLDER, NAME)], data)
    read_descriptor(disk.mount(_FOLDER))


def _settings(data: bytes) -> None:
    """As `read_settings_file` does, without the file."""
    try:
        settings_file._Reader("fuzz").document(data.decode("utf-8-sig"))
    except (UnicodeDecodeError, yaml.YAMLError):
        return


def _outbox(data: bytes) -> None:
    disk = MemoryDisk().with_file([(_FOLDER, "0000000000000001")], data)
    outbox = DurableOutbox(disk.mount(_FOLDER), bytes(32))
    assert outbox.damaged == 1


def _sealer() -> Callable[[bytes], object]:
    disk = MemoryDisk()
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder)
        (state / "storage").mkdir()
        make_device(state, disk.mount)
        return Sealer(FileFuses(disk.mount(state / "fuses"))).unseal


def _text(read: Callable[[str], object]) -> Callable[[bytes], object]:
    return lambda data: read(data.decode("utf-8", "replace"))


def _stored(decode: Callable[[bytes], object]) -> Callable[[bytes], object]:
    return lambda data: decoded(data, decode, "what is stored")


TARGETS: Final[Mapping[str, Callable[[bytes], object]]] = {
    "reply": _reply,
    "shadow": _told(_shadow),
    "jobs": _told(_jobs),
    "commands": _told(_commands),
    "claim-machine": _machine,
    "journal": _stored(journal._PROGRESS.decode),
    "identity": _stored(journal._IDENTITY.decode),
    "given-up": _stored(journal._GIVEN_UP.decode),
    "installed-certificate": _stored(installed_certificate._DECODER.decode),
    "image": _sealer(),
    "anchor": _fuses("anchor"),
    "lifecycle": _fuses("lifecycle"),
    "descriptor": _descriptor,
    "outbox": _outbox,
    "certificate": parse_certificate,
    "chain": parse_chain,
    "trust-anchors": canonical_trust_anchors,
    "claim-delivery": lambda data: read_claim(data, FakeClock()),
    "settings": _settings,
    "endpoint": _text(lambda text: Endpoint.parse(text, "fuzz")),
    "proxy": _text(lambda text: Endpoint.parse_proxy(text, "fuzz")),
    "root-of-trust": _text(lambda text: parse_plan(text, "fuzz")),
    "pkcs11-uri": _text(pkcs11_uri.parse),
    "topic-filter": _text(lambda text: matches(*text.partition("\n")[::2])),
}
"""By name, which is that of the folder of the corpus."""


def run(target: str, data: bytes) -> None:
    """Give ``data`` to ``target``.

    Raises:
        Exception: anything but an error of our own, which is what a fuzzer looks for.
    """
    try:
        TARGETS[target](data)
    except FirstbootError:
        return
