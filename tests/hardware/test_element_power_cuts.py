"""Pull the plug around every call to a real element while a key is made: one key, no orphan.

A cut here is the end of a process, and the next boot is in another: SoftHSM never syncs its
files, so it could not show more.
"""

from contextlib import suppress
from itertools import pairwise
from pathlib import Path

from device.identity.csr import build_csr, subject_name
from device.storage.device_storage import DeviceStorage, open_device_storage
from device.storage.element.cryptoki import Module, Template
from device.storage.element.cryptoki_codes import Attribute, ObjectClass
from device.storage.element.installation import ElementPlan, InstalledElement, plan_of
from device.storage.element.pin import RefusedPins
from device.storage.element.pkcs11 import Pkcs11KeyStore
from device.storage.element.secure_element import ElementSession, SecureElement
from device.storage.filesystem import Fs, OsFs
from device.storage.keys import KeyId, KeyType
from device.storage.sealed_keys import SealedKeyStore
from tests.hardware.conftest import Figures
from tests.support.effort import is_long
from tests.support.elements import ElementBench, module_of
from tests.support.own_process import in_own_process
from tests.support.power import PowerCutError, PowerSupply
from tests.support.sealed_device import make_device

KEY = KeyId("device-key.1")
CUTS = 40 if is_long() else 8
"""So many moments of a boot are cut; an element in memory is cut at each
(tests/scenarios/test_element_power_cuts.py)."""


class PoweredModule(Module):
    """A real module that loses power before or after any call."""

    def __init__(self, path: Path, supply: PowerSupply) -> None:
        self._supply = supply
        super().__init__(path)

    def _call(self, name: str, *arguments: object) -> None:
        self._supply.tick()
        super()._call(name, *arguments)
        self._supply.tick()


def element_of(storage: DeviceStorage, module: Module, plan: ElementPlan) -> SecureElement:
    refused = RefusedPins(storage.its, storage.root_of_trust)
    return SecureElement(module, plan.uri, plan.pin, refused)


def boot(state: Path, plan: ElementPlan, supply: PowerSupply) -> None:
    """Boot as far as the device key and its CSR, unless they are there already."""

    def mount(folder: Path) -> Fs:
        return supply.mount(OsFs(folder))

    with open_device_storage(state, mount=mount) as storage:
        element = element_of(storage, PoweredModule(module_of(plan).path, supply), plan)
        keys = Pkcs11KeyStore(storage, SealedKeyStore(storage.its), element)
        keys.recover()
        if keys.keys():
            return
        with storage.transaction():
            keys.generate_key(KEY, KeyType.EC_P256)
            build_csr(keys.private_key(KEY), subject_name({"common_name": "SN-1"}))


def labels(session: ElementSession) -> list[str]:
    template: Template = {Attribute.CLASS: ObjectClass.PRIVATE_KEY}
    found = session.module.find(session.handle, template)
    values = (session.module.attribute(session.handle, each, Attribute.LABEL) for each in found)
    return [value.decode() for value in values]


def erase(session: ElementSession) -> None:
    for handle in session.module.find(session.handle, {}):
        session.module.destroy(session.handle, handle)


def one_life(uri: str, folder: str, moment: int) -> dict[str, object]:
    """Mend what the process before left, look at the token, be cut at ``moment``, if any."""
    plan, state, disk = plan_of(InstalledElement(uri)), Path(folder) / "device", Path(folder)
    with open_device_storage(make_device(disk / f"onlooker-{moment}")) as storage:
        onlooker = element_of(storage, module_of(plan), plan)
        left_over = len(onlooker.run(labels))
        if state.exists():
            boot(state, plan, PowerSupply())
            state.rename(disk / f"before-{moment}")
        found = onlooker.run(labels)
        onlooker.run(erase)
        supply = PowerSupply(cut_at=moment)
        with suppress(PowerCutError):
            boot(make_device(state), plan, supply)
    return {"left_over": left_over, "found": found, "moments": supply.moments}


def test_a_cut_at_any_moment_of_making_a_key(
    bench: ElementBench, label: str, tmp_path: Path, figures: Figures
) -> None:
    uri, folder = bench.new_token(label).uri, str(tmp_path)
    count = in_own_process(one_life, uri, folder, 0)["moments"]
    moments, left_over = range(1, count + 1, -(-count // CUTS)), 0
    assert in_own_process(one_life, uri, folder, moments[0])["found"] == ["device-key.1"]
    for before, moment in pairwise([*moments, -1]):
        life = in_own_process(one_life, uri, folder, moment)
        assert life["found"] == ["device-key.1"], before
        left_over += life["left_over"]
    figures(f"{len(moments)} cuts, {left_over} of them after the key was made: one key each time")
    assert left_over, "some cuts come when the element has the key and the device does not know"
