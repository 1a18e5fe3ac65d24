"""Does a device go on when its element was pulled, logged out, or restarted under its feet?"""

from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from device.config.settings import Connection
from device.connection.awscrt_session import AwscrtSession
from device.provisioning import actions as act
from device.provisioning import events as ev
from device.storage.device_storage import DeviceStorage, open_device_storage
from device.storage.element.installation import InstalledElement, attach_element, plan_of
from device.storage.element.pin import RefusedPins
from device.storage.element.secure_element import SecureElement
from device.storage.keys import FIRST_DEVICE_KEY, KeyType
from tests.support.elements import ElementBench, module_of
from tests.support.library_faults import (
    close_all_sessions,
    finalize,
    log_out,
)
from tests.support.own_process import in_own_process
from tests.support.sealed_device import make_device
from tests.support.tls_broker import TlsBroker, tls_broker

LOSSES = ("sessions closed", "logged out", "module finalised")
ONCE = ec.ECDSA(hashes.SHA256())


class Operating:
    """A device with its element open, and a broker to connect to."""

    def __init__(self, storage: DeviceStorage, element: InstalledElement, broker: TlsBroker):
        self._storage = storage
        self.plan = plan_of(element)
        self.module_path = module_of(self.plan).path
        attach_element(storage, self.plan)
        storage.keys.generate_key(FIRST_DEVICE_KEY, KeyType.EC_P256)
        public_key = storage.keys.export_public_key(FIRST_DEVICE_KEY)
        self.certificate = broker.certificate_for(public_key)
        self.session = AwscrtSession(
            broker.endpoint,
            broker.ca_pem,
            lambda _: storage.keys.tls_identity(FIRST_DEVICE_KEY, self.certificate),
            Connection(),
        )

    def lose(self, how: str) -> None:
        """Take the element away, in a process that does not know of it."""
        refused = RefusedPins(self._storage.its, self._storage.root_of_trust)
        other = SecureElement(module_of(self.plan), self.plan.uri, self.plan.pin, refused)
        slot, session = other.run(lambda session: (session.token.slot_id, session.handle))
        match how:
            case "sessions closed":
                close_all_sessions(self.module_path, slot)
            case "logged out":
                log_out(self.module_path, session)
            case "module finalised":
                finalize(self.module_path)

    def sign(self) -> str:
        key = self._storage.keys.private_key(FIRST_DEVICE_KEY)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        key.public_key().verify(key.sign(b"data", ONCE), b"data", ONCE)
        return "signed"

    def connect(self) -> str:
        self.session.perform(act.Connect(ev.Credential.DEVICE, "SN-1"))
        return type(self.session.next_event(20.0)).__name__


def operate_through(how: str, element: dict[str, Any], folder: str) -> list[str]:
    """Sign and connect, lose the element, and do both again; say what came of each."""
    installed = InstalledElement(**element)
    with (
        tls_broker(Path(folder)) as broker,
        open_device_storage(make_device(Path(folder) / "device")) as storage,
    ):
        device = Operating(storage, installed, broker)
        seen = [device.sign(), device.connect()]
        device.lose(how)
        seen.append(device.sign())
        device.lose(how)
        seen.append(device.connect())
        device.session.close()
    return seen


@pytest.mark.parametrize("how", LOSSES)
def test_a_lost_element_is_opened_again_for_csr_and_tls(
    bench: ElementBench, label: str, tmp_path: Path, how: str
) -> None:
    element = bench.new_token(label)
    fields = {"uri": element.uri, "environment": element.environment}
    seen = in_own_process(operate_through, how, fields, str(tmp_path))
    assert seen == ["signed", "Connected"] * 2
