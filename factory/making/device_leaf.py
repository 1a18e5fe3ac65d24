"""A device's own certificate, from the station's CA: made with the device, on the line."""

from functools import cache, lru_cache
from pathlib import Path

from device.config.settings import Loaded, load_with_sources
from device.identity.certificates import leaf_of, subject_fields
from device.identity.csr import FIELD_IN_TEMPLATE, build_csr
from device.identity.pem import canonical_chain
from device.storage import installed_certificate
from device.storage.device_storage import DeviceStorage
from device.storage.keys import FIRST_DEVICE_KEY
from device.storage.secure_storage import Uid
from factory.errors import LEAF_SUBJECT, OTHER_METHOD, StationNotPreparedError
from factory.making.device_settings import device_subject
from factory.making.new_device import DeviceOrder
from factory.station.authorities import Authorities


def certificate_of(storage: DeviceStorage) -> bytes | None:
    """Return the certificate (PEM) of a finished device, proven or not, or None if it has none."""
    installed = installed_certificate.load(storage.ps)
    if installed is not None:
        return leaf_of(installed.chain_pem)
    if Uid.DEVICE_CERTIFICATE in storage.ps.uids():
        return leaf_of(storage.ps.get(Uid.DEVICE_CERTIFICATE))
    return None


def installed_leaf(storage: DeviceStorage) -> bytes:
    """Return the certificate (PEM) of a finished device, proven or not.

    Raises:
        OtherMethodError: the device has none: it was made for another method.
    """
    leaf = certificate_of(storage)
    if leaf is None:
        raise OTHER_METHOD.error("this device holds no certificate of its own")
    return leaf


def install_leaf(
    authorities: Authorities, method: str, storage: DeviceStorage, order: DeviceOrder
) -> None:
    """Make a key in the device, and install a leaf for it that the CA of ``method`` signs.

    The CA follows the leaf: AWS IoT wants it in the handshake of clients that send no SNI.

    Raises:
        StationNotPreparedError: ``prepare`` has not been run to its end for ``method``.
        LeafSubjectError: the leaf would lack a subject field that the template wants.
        ConfigurationError: ``order.config`` cannot be used.
    """
    wanted = authorities.wanted_fields(method)
    if wanted is None:
        raise StationNotPreparedError(f"this station was not prepared for {method}")
    authority = authorities.open(method)
    key = storage.keys.generate_key(FIRST_DEVICE_KEY, order.key_type)
    csr = build_csr(
        storage.keys.private_key(key), device_subject(order, order.settings or _loaded(order))
    )
    leaf = authority.issue_leaf(csr, order.made_at)
    if missing := sorted(wanted - subject_fields(leaf)):
        names = {field: FIELD_IN_TEMPLATE[field] for field in missing}
        raise LEAF_SUBJECT.error(
            serial_number=order.serial_number,
            config=order.config,
            lacking=", ".join(names),
            settings=", ".join(names.values()),
        )
    chain = leaf + _canonical(authority.certificate_pem)  # the CA writes leaves canonically
    installed_certificate.save(storage.ps, key, chain)


@cache
def _canonical(certificate_pem: bytes) -> bytes:
    """Return the CA's certificate as it is stored; it is the same in each device."""
    return canonical_chain(certificate_pem)


def _loaded(order: DeviceOrder) -> Loaded:
    """Return the settings of the device; those of a batch are read once."""
    changed = order.config.stat().st_mtime_ns if order.config.exists() else 0
    return _read(order.config, changed, tuple(sorted(order.environment.items())))


@lru_cache(maxsize=8)
def _read(config: Path, _changed: int, environment: tuple[tuple[str, str], ...]) -> Loaded:
    return load_with_sources(config, dict(environment), {})
