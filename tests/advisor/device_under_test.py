"""Make a proven device out of what the advisor gives, and become ``device run``.

The advisor runs it as ``python -m tests.advisor.device_under_test``.
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from advisor.cases import provisioning
from device.identity.csr import subject_name
from device.runtime.clock import SystemClock
from device.runtime.enrolment import Enrolment
from device.storage import installed_certificate
from device.storage.device_storage import create_device_storage, open_device_storage
from device.storage.keys import FIRST_DEVICE_KEY, KeyType
from device.storage.lifecycle import Lifecycle
from device.storage.secure_storage import Uid
from tests.support.devices import make_device

CONFIG = Path(__file__).parents[2] / "config" / "single-thing.yaml"
CLAIM = CONFIG.with_name("claim.yaml")
QUICK: Mapping[str, str] = {
    "DEVICE_CONNECTION__CONNECT_TIMEOUT": "3",
    "DEVICE_CONNECTION__REPLY_TIMEOUT": "3",
    "DEVICE_CONNECTION__KEEP_ALIVE": "30",
    "DEVICE_CONNECTION__RETRY__LONGEST": "8",
    "DEVICE_CONNECTION__RETRY__AFTER_DENIED": "5",
    "DEVICE_TELEMETRY__INTERVAL": "1",
}
"""Shorter times than the defaults, where the settings allow them."""


def make_proven_device(state: Path, told: Mapping[str, str]) -> None:
    """Make a device that holds its certificate and has proven it."""
    with create_device_storage(state) as storage:
        storage.advance(Lifecycle.PSA_ROT_PROVISIONING)
        with storage.transaction():
            storage.its.set(Uid.SERIAL_NUMBER, told["ADVISOR_THING"].encode())
            storage.its.set(Uid.DEVICE_ID, b"00" * 16)
            storage.ps.set(Uid.ENDPOINT, told["ADVISOR_ENDPOINT"].encode())
            storage.ps.set(Uid.ROOT_CA, Path(told["ADVISOR_CA"]).read_bytes())
            key = Path(told["ADVISOR_KEY"]).read_bytes()
            storage.keys.import_key(FIRST_DEVICE_KEY, key)
            certificate = Path(told["ADVISOR_CERTIFICATE"]).read_bytes()
            installed_certificate.save(storage.ps, FIRST_DEVICE_KEY, certificate)
        storage.advance(Lifecycle.SECURED)
    with open_device_storage(state) as storage:
        enrolment = Enrolment(
            storage,
            SystemClock(),
            method="single-thing",
            key_type=KeyType.EC_P256,
            subject=subject_name({"common_name": told["ADVISOR_THING"]}),
            issuer_pem=None,
        )
        enrolment.promote(told["ADVISOR_THING"])


def make_new_device(state: Path, told: Mapping[str, str]) -> None:
    """Make a device that holds a claim, as the station delivers it."""
    names = ("CERTIFICATE", "KEY", "CA")
    certificate, key, ca = (Path(told[f"ADVISOR_{name}"]).read_bytes() for name in names)
    make_device(
        state,
        serial=told["ADVISOR_THING"],
        endpoint=told["ADVISOR_ENDPOINT"],
        root_ca=ca,
        claim=(certificate, key),
    )


def main() -> None:
    """Become the device."""
    state = Path(os.environ["ADVISOR_FOLDER"]) / "device"
    is_new = os.environ["ADVISOR_CASE"] in {case.id for case in provisioning.CASES}
    make, config = (make_new_device, CLAIM) if is_new else (make_proven_device, CONFIG)
    make(state, os.environ)
    words = ["-m", "device", "run", "--state", str(state), "--config", str(config), "--json"]
    os.environ.update(QUICK)
    os.execv(sys.executable, [sys.executable, *words])  # noqa: S606 - no shell wanted


if __name__ == "__main__":
    main()
