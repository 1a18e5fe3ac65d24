"""The checks that need no network: storage, root of trust, certificate, clock, settings."""

from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cryptography import x509

from device.config import settings as settings_of
from device.config.device_plan import plan_for
from device.config.endpoint import Endpoint
from device.config.settings import Loaded
from device.doctor.case import Case, Held, held_by, needed
from device.doctor.finding import (
    DiagnosedError,
    Finding,
    SkippedError,
    failed,
    ok,
    warning,
)
from device.errors import ConfigurationError, FirstbootError
from device.errors.doctor import CREDENTIAL_EXPIRED
from device.errors.provisioning import (
    CREDENTIAL_UNUSABLE,
    INSTALLED_CERTIFICATE,
    CertificateUnacceptableError,
    clock_behind,
)
from device.errors.storage import DECOMMISSIONED, DoesNotExistError, LifecycleError
from device.identity.certificates import CLOCK_SKEW
from device.identity.pem import parse_chain
from device.identity.public_key import spki
from device.identity.suitability import check_suitable
from device.lifecycle import journal
from device.lifecycle.made_for import check_has_claim, check_made_for
from device.provisioning.events import Credential
from device.runtime.clock import EARLIEST_PLAUSIBLE
from device.storage.device_storage import open_device_storage
from device.storage.element.installation import element_of
from device.storage.entries import StorageFlag
from device.storage.lifecycle import Lifecycle
from device.storage.manufacturing_data import made_at, sealed_settings, serial_number
from device.storage.secure_storage import Uid

_OF_THE_ROOT: Final = ("FB-2", "FB-3")
"""How the codes of roots of trust, and of tokens that hold one, begin."""
_ANOTHER_KEY: Final = "The certificate was issued for another key."
_SOON: Final = 30 * 86_400.0
"""Seconds before its end at which a certificate is worth a warning; if it lives that long."""
_FAR_AHEAD: Final = 365 * 86_400.0
"""Seconds; a clock so far ahead of the newest moment known is more likely wrong than right."""
_LATE: Final = 1 / 3
"""The part of its life before the end at which a shorter-lived certificate is."""


def storage(case: Case) -> Finding:
    """Open the storage for reading, and see that the station finished the device."""
    try:
        case.storage = open_device_storage(case.questions.state, read_only=True)
    except FirstbootError as error:
        if not error.code.startswith(_OF_THE_ROOT):
            raise
        case.refusal = error
        raise SkippedError("the root of trust cannot be used, so nothing can be opened") from None
    opened = case.storage
    if opened.lifecycle is not Lifecycle.SECURED:
        state, case.storage = opened.lifecycle.name, None
        opened.close()
        if opened.lifecycle is Lifecycle.DECOMMISSIONED:
            raise DECOMMISSIONED.error("the device is DECOMMISSIONED: its root key is destroyed")
        raise LifecycleError(f"the device is {state}, not {Lifecycle.SECURED.name}")
    words = f"generation {opened.generation}, serial number {serial_number(opened)}"
    return ok(words + (", open in another process" if case.is_running else ""))


def root_of_trust(case: Case) -> Finding:
    """Say which root of trust opened the storage, and against what it does not protect."""
    if case.refusal is not None:
        raise case.refusal
    root = needed(case.storage, "the storage").root_of_trust
    flags = [flag.name or "" for flag in root.protection]
    words = f"{root.kind}: {root.strength.note}"
    if StorageFlag.NO_REPLAY_PROTECTION in root.protection:
        words += f" ({', '.join(flags)}: a whole old state can be put back)"
    return ok(words)


def credential(case: Case) -> Finding:
    """See that the certificate belongs to the key that is stored, and that TLS can use it."""
    opened = needed(case.storage, "the storage")
    try:
        held = held_by(opened)
    except FirstbootError:
        sealed = sealed_settings(opened)
        if sealed is not None and sealed.method == "trusted-user":
            raise SkippedError("a trusted user has yet to hand over a claim") from None
        raise
    chain = _chain_of(held)
    if spki(opened.keys.export_public_key(held.key)) != spki(chain[0].public_key()):
        error = _of_another_key(held)
        raise DiagnosedError(error, failed(error, _ANOTHER_KEY))
    check_suitable(chain[0])
    case.held = held
    words = f"the {held.credential} {_id_of(chain[0])} belongs to {opened.keys.uri(held.key)}"
    return ok(f"{words}; issued by {chain[0].issuer.rfc4514_string()}")


def _chain_of(held: Held) -> tuple[x509.Certificate, ...]:
    try:
        return parse_chain(held.chain_pem)
    except CertificateUnacceptableError as error:
        raise CREDENTIAL_UNUSABLE.error(str(error), credential=held.credential) from None


def _of_another_key(held: Held) -> FirstbootError:
    problem = "it belongs to another key than the one that is stored"
    if held.credential is Credential.INSTALLED:
        return INSTALLED_CERTIFICATE.error(problem)
    return CREDENTIAL_UNUSABLE.error(problem, credential=held.credential)


def _id_of(certificate: x509.Certificate) -> str:
    from cryptography.hazmat.primitives import hashes  # noqa: PLC0415 - beside x509, not at import

    return certificate.fingerprint(hashes.SHA256()).hex()


def expiry(case: Case) -> Finding:
    """Compare the certificate's end with our clock, and with the newest moment known for certain.

    Raises:
        CredentialExpiredError: it has ended by one of the two.
    """
    held = needed(case.held, "key and certificate")
    leaf = _chain_of(held)[0]
    end, begin = leaf.not_valid_after_utc.timestamp(), leaf.not_valid_before_utc.timestamp()
    now, known = case.clock.wall(), _newest_known(case)
    words = f"valid from {_day(begin)} to {_day(end)}; now {_day(now)}"
    if known > end or now > end:
        by = "a time that has certainly passed" if known > end else "this device's clock"
        error = CREDENTIAL_EXPIRED.error(credential=held.credential, end=_day(end), by=by)
        raise DiagnosedError(error, _expired(error, now, known, is_certain=known > end))
    left = end - now
    if left < min(_SOON, _LATE * (end - begin)):
        return warning(
            f"{words}; {left / 86_400:.0f} days are left",
            "The certificate ends soon.",
            CREDENTIAL_EXPIRED.next_step,
            CREDENTIAL_EXPIRED.code,
        )
    return ok(f"{words}; {left / 86_400:.0f} days are left, {(now - begin) / 86_400:.0f} old")


def _expired(error: FirstbootError, now: float, known: float, *, is_certain: bool) -> Finding:
    """Name the clock first where it alone says so, and is far ahead of all that is known."""
    if is_certain or now - known < _FAR_AHEAD:
        return failed(error)
    cause = f"The device's clock is ahead: it says {_day(now)}, and the newest moment known for "
    return failed(error, f"{cause}certain is {_day(known)}.", error.row.causes[:1])


def clock(case: Case) -> Finding:
    """Compare the clock with the newest moment that has passed for certain.

    Raises:
        ClockBehindError: the clock is before it.
    """
    known, now = _newest_known(case), case.clock.wall()
    if now + CLOCK_SKEW.total_seconds() < known:
        raise clock_behind(now, known)
    return ok(f"the clock says {_day(now)}; the newest moment known is {_day(known)}")


def _newest_known(case: Case) -> float:
    """Return a moment that has passed, whatever our clock says, in seconds since the epoch."""
    moments = [EARLIEST_PLAUSIBLE]
    if case.storage is not None:
        moments.append(made_at(case.storage) or 0.0)
        if (identity := journal.load_identity(case.storage.ps)) is not None:
            moments.append(identity.not_before)
    if case.held is not None:
        leaf = _chain_of(case.held)[0]
        moments.append(leaf.not_valid_before_utc.timestamp())
    return max(moments)


def _day(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def settings(case: Case) -> Finding:
    """Load the settings and make the plan, as a boot does before its first packet.

    Raises:
        ConfigurationError: they cannot be used on this device.
    """
    asked = case.questions
    if case.storage is None and asked.config is None:
        _where_at_least(case)
        raise SkippedError("needs the storage, or a settings file")
    sealed = None if case.storage is None else sealed_settings(case.storage)
    try:
        loaded = settings_of.load_with_sources(asked.config, asked.environment, asked.flags, sealed)
        case.settings = loaded.settings
        if case.storage is None:
            _where_without_storage(case, loaded)
            raise SkippedError("read, but not compared with the device: needs the storage")
        check_made_for(case.storage, loaded.settings.method, loaded.sources.of("method"))
        plan = plan_for(case.storage, loaded.settings, loaded.sources)
    except ConfigurationError:
        _where_at_least(case)
        raise
    case.plan, case.endpoint, case.root_ca_pem = plan, plan.endpoint, plan.root_ca_pem
    if loaded.settings.method != "trusted-user":
        check_has_claim(case.storage, loaded.settings.method)
    return ok(f"method {loaded.settings.method}, endpoint {plan.endpoint}")


def secure_element(case: Case) -> Finding:
    """Load the module and look for the token, without a login.

    Raises:
        ElementError: the module, the token or the PIN cannot be used.
    """
    opened, plan = needed(case.storage, "the storage"), needed(case.plan, "settings")
    if plan.element is None:
        raise SkippedError("the device's key is sealed in its storage")
    element = element_of(opened, plan.element)
    token = element.look()
    return ok(f"token {token.label} by {element.module_path}; no login was tried")


def _where_without_storage(case: Case, loaded: Loaded) -> None:
    chosen = loaded.settings
    if chosen.endpoint is not None:
        case.endpoint = Endpoint.parse(chosen.endpoint, loaded.sources.of("endpoint"))
    if chosen.root_ca is not None:
        with suppress(OSError):
            case.root_ca_pem = Path(chosen.root_ca).read_bytes()


def _where_at_least(case: Case) -> None:
    """Keep what still says where the device connects, so that the network can be looked at."""
    asked = case.questions
    named = asked.flags.get("endpoint") or asked.environment.get("DEVICE_ENDPOINT")
    with suppress(ConfigurationError, DoesNotExistError, UnicodeDecodeError):
        if named:
            case.endpoint = Endpoint.parse(named, "--endpoint")
        elif case.storage is not None:
            case.endpoint = Endpoint.parse(case.storage.ps.get(Uid.ENDPOINT).decode(), "storage")
        if case.storage is not None:
            case.root_ca_pem = case.storage.ps.get(Uid.ROOT_CA)
