"""Settings made concrete for one device: placeholders filled, files read, all checked.

Whatever can be known to be wrong before the first packet is said here.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from msgspec import Struct, structs

from device.config import template
from device.config.element_plan import element_plan
from device.config.endpoint import Endpoint
from device.config.methods import METHODS, KeyMaker, MachineKind
from device.config.regular_file import read_regular_file
from device.config.settings import Settings
from device.config.sources import Sources
from device.errors import ConfigurationError
from device.errors.provisioning import SUBJECT_FIELD_MISSING, CertificateUnacceptableError
from device.errors.storage import DoesNotExistError
from device.provisioning import messages
from device.provisioning.claim import GIVEN_UP, ClaimPlan
from device.provisioning.presented import PresentedPlan
from device.storage import installed_certificate
from device.storage.decoding import decoded
from device.storage.device_storage import DeviceStorage
from device.storage.element.installation import ElementPlan
from device.storage.manufacturing_data import device_id, serial_number
from device.storage.secure_storage import Uid

if TYPE_CHECKING:
    from device.provisioning.renewal import RenewalPlan

_PLACEHOLDER: Final = re.compile(r"\{([^{}]*)\}")
_THING_NAME: Final = re.compile(messages.THING_NAME)
_TOPIC: Final = re.compile(r"[^$+#{}\0-\x1f\x7f][^+#{}\0-\x1f\x7f]*")
"""MQTT 5, 4.7; lengths from AWS IoT Core quotas; a brace is a placeholder that was not closed."""
_CLIENT_ID: Final = re.compile(r"[^${}\0-\x1f\x7f][^{}\0-\x1f\x7f]*")
_MAX_CLIENT_ID_BYTES: Final = 128  # AWS IoT Core quotas
RENEWAL_CLIENT: Final = "renew-"
"""Begins the client id of a connection beside the one that operates; a policy names it."""
RECOVERY_CLIENT: Final = "recover-"
"""Begins the client id of a connection with the birth certificate; a policy names it."""
AWSCRT_REPORTS_FIRST: Final = 5.0
"""Seconds that the machine waits longer than awscrt, whose errors say more than a time-out."""
NAMED_BY_CLOUD: Final = "{cloud}"
"""As ``thing_name``: only the template knows the name, so the one that comes is taken."""
_INSTALLED: Final = "the device's storage"
_NOT_INSTALLED: Final = "is not set, and the station did not install one"


class Plan(Struct, frozen=True):
    """What one device is to do, and where."""

    endpoint: Endpoint
    root_ca_pem: bytes
    issuer_pem: bytes | None
    subject: Mapping[str, str]
    telemetry_topic: str
    """Where an operating device publishes; ``{thing_name}`` stands for the name it got."""
    machine: ClaimPlan | PresentedPlan
    """Which machine provisions the device, and with what."""
    element: ElementPlan | None = None
    """The secure element that the device key lives in, if it is to live in one."""


def plan_for(storage: DeviceStorage, settings: Settings, source: Sources | str) -> Plan:
    """Return the plan for the device in ``storage``; ``source`` names the settings in errors.

    Raises:
        ConfigurationError: a setting, or a file it names, cannot be used on this device.
    """
    sources = Sources.named(source)
    names = {
        "serial": serial_number(storage),
        "device_id": device_id(storage),
    }
    fill = _Filler(sources, names)
    by_claim = METHODS[settings.method].machine is MachineKind.CLAIM
    return Plan(
        endpoint=_endpoint(storage, settings, sources),
        root_ca_pem=_root_ca(storage, settings, sources),
        issuer_pem=_issuer(storage, settings, sources),
        subject=_subject(storage, settings, fill, sources),
        telemetry_topic=fill("telemetry.topic", settings.telemetry.topic, keep=("thing_name",)),
        machine=(_claim_plan if by_claim else _presented_plan)(storage, settings, fill, sources),
        element=element_plan(storage, settings.key, sources),
    )


class _Filler:
    """Fills ``{serial}`` and the like into a setting."""

    def __init__(self, sources: Sources, names: Mapping[str, str]) -> None:
        self._sources = sources
        self._names = names

    def __call__(self, key: str, text: str, *, keep: tuple[str, ...] = ()) -> str:
        def value(match: re.Match[str]) -> str:
            name = match.group(1)
            if name in keep:
                return match.group(0)
            if name not in self._names:
                known = ", ".join("{" + known + "}" for known in [*self._names, *keep])
                problem = f"unknown placeholder {{{name}}}"
                raise self._sources.error(key, problem, f"Known here: {known}.")
            return self._names[name]

        return _PLACEHOLDER.sub(value, text)


def _subject(
    storage: DeviceStorage, settings: Settings, fill: _Filler, sources: Sources
) -> Mapping[str, str]:
    """Return the subject; a proven device has one in its certificate, so it is checked at renewal.

    The check loads 2 MiB that a device at work does not need.
    """
    subject = {name: fill(f"subject.{name}", text) for name, text in settings.subject.items()}
    if Uid.DEVICE_CERTIFICATE not in storage.ps.uids():
        from device.identity.csr import subject_name  # noqa: PLC0415 - slow

        subject_name(subject, sources.of)
    return subject


def renewal_plan(  # noqa: PLR0913 - each has a name at the one call
    settings: Settings,
    thing: str,
    certificate_id: str,
    *,
    serial: str,
    expired_at: float | None,
    recovers: bool = False,
) -> "RenewalPlan":
    """Return the plan to renew the certificate ``certificate_id`` of ``thing``.

    ``expired_at``: when that expired, in seconds since the epoch, if it has. ``recovers``: the
    birth certificate asks in its place.
    """
    from device.provisioning.renewal import RenewalPlan  # noqa: PLC0415 - seldom asked for

    return RenewalPlan(
        thing_name=thing,
        certificate_id=certificate_id,
        template_name=settings.recovery.template if recovers else settings.renewal.template,
        birth_client_id=RECOVERY_CLIENT + thing if recovers else None,
        proof_client_id=RENEWAL_CLIENT + thing,
        method=settings.method,
        serial=serial,
        expired_at=expired_at,
        reply_timeout=settings.connection.reply_timeout,
        connect_timeout=settings.connection.connect_timeout + AWSCRT_REPORTS_FIRST,
    )


def _claim_plan(_: DeviceStorage, settings: Settings, fill: _Filler, sources: Sources) -> ClaimPlan:
    claim = settings.claim
    parameters = {
        name: fill(f"claim.parameters.{name}", text, keep=("proof", "given_up"))
        for name, text in claim.parameters.items()
    }
    _check_template(parameters, claim.template_file, sources)
    named_by_cloud = settings.thing_name == NAMED_BY_CLOUD
    thing_name = (
        fill("thing_name", "{serial}") if named_by_cloud else _thing_name(settings, fill, sources)
    )
    return ClaimPlan(
        template_name=claim.template,
        parameters=parameters,
        claim_client_id=_claim_client_id(settings, fill, sources, thing_name),
        expected_thing_name=thing_name,
        proof_topic=_telemetry_topic(settings, fill, sources, thing_name),
        keys_made_by_aws=METHODS[settings.method].key_made_by is KeyMaker.AWS,
        named_by_cloud=named_by_cloud,
        reply_timeout=settings.connection.reply_timeout,
        connect_timeout=settings.connection.connect_timeout + AWSCRT_REPORTS_FIRST,
    )


def _presented_plan(
    storage: DeviceStorage, settings: Settings, fill: _Filler, sources: Sources
) -> PresentedPlan:
    method = METHODS[settings.method]
    if method.just_in_time:
        _check_installed_subject(storage, settings.just_in_time.template_file, sources)
    thing_name = _thing_name(settings, fill, sources)
    return PresentedPlan(
        thing_name=thing_name,
        proof_topic=_telemetry_topic(settings, fill, sources, thing_name),
        refusal_causes=method.refusal_causes,
        just_in_time=method.just_in_time,
        reply_timeout=settings.connection.reply_timeout,
        connect_timeout=settings.connection.connect_timeout + AWSCRT_REPORTS_FIRST,
    )


def _thing_name(settings: Settings, fill: _Filler, sources: Sources) -> str:
    name = fill("thing_name", settings.thing_name)
    if not _THING_NAME.fullmatch(name):
        problem = f"{name!r} is not an AWS thing name (1 to 128 of a-z A-Z 0-9 : _ -)"
        raise sources.error("thing_name", problem)
    return name


def _telemetry_topic(settings: Settings, fill: _Filler, sources: Sources, thing_name: str) -> str:
    topic = fill("telemetry.topic", settings.telemetry.topic, keep=("thing_name",))
    shown = topic.replace("{thing_name}", thing_name)  # as the settings expect it
    if not _TOPIC.fullmatch(shown) or shown.count("/") > 7 or len(shown.encode()) > 256:
        problem = (
            f"{shown!r} is not a topic to publish on (1 to 256 bytes, 8 levels, no + # $ {{ }})"
        )
        raise sources.error("telemetry.topic", problem)
    return topic


def _claim_client_id(settings: Settings, fill: _Filler, sources: Sources, thing_name: str) -> str:
    client_id = fill("claim.client_id", settings.claim.client_id)
    if not _CLIENT_ID.fullmatch(client_id) or len(client_id.encode()) > _MAX_CLIENT_ID_BYTES:
        problem = (
            f"{client_id!r} is not an MQTT client id that AWS IoT accepts (1 to 128 bytes, no $ "
            "first, no "
            "control characters, no braces but {serial} and {device_id})"
        )
        raise sources.error("claim.client_id", problem)
    if client_id == thing_name:
        problem = "the claim connection needs its own client id; it must not be the thing name"
        raise sources.error("claim.client_id", problem)
    return client_id


def _check_installed_subject(
    storage: DeviceStorage, template_file: str | None, sources: Sources
) -> None:
    """A certificate that lacks a field stays PENDING_ACTIVATION, without an error from AWS."""
    if template_file is None:
        return
    body = _template(template_file, "just_in_time.template_file", sources)
    installed = installed_certificate.load(storage.ps)
    if installed is None:
        return
    from device.identity.certificates import leaf_of, subject_fields  # noqa: PLC0415 - slow

    held = subject_fields(leaf_of(installed.chain_pem))
    missing = sorted(template.required_subject_fields(body, template_file) - held)
    if missing:
        raise SUBJECT_FIELD_MISSING.error(template=template_file, lacking=", ".join(missing))


def _check_template(
    parameters: Mapping[str, str], template_file: str | None, sources: Sources
) -> None:
    if template_file is None:
        return
    body = _template(template_file, "claim.template_file", sources)
    always = {name for name, text in parameters.items() if GIVEN_UP not in text}
    for name in sorted(template.required_parameters(body, template_file) - always):
        problem = f"the template {template_file} needs {name}, but it is not set"
        raise sources.missing(f"claim.parameters.{name}", problem)


def _template(path: str, key: str, sources: Sources) -> bytes:
    """Return the template in ``path``, which has to make a thing: the device is to be one."""
    with _in_the_file(path, key, sources):
        body = read_regular_file(Path(path))
        template.check_makes_a_thing(body, path)
    return body


@contextmanager
def _in_the_file(path: str, key: str, sources: Sources) -> Iterator[None]:
    """Let an error about a file name the setting that names the file, and where that is set."""
    try:
        yield
    except ConfigurationError as error:
        step = f"Correct {path}, or name another file: {key} in {sources.of(key)}."
        raise sources.error(key, str(error), error.next_step if error.key else step) from None


def _endpoint(storage: DeviceStorage, settings: Settings, sources: Sources) -> Endpoint:
    endpoint = _address(storage, settings, sources)
    if settings.proxy is None:
        return endpoint
    return structs.replace(
        endpoint, proxy=Endpoint.parse_proxy(settings.proxy, sources.of("proxy"))
    )


def _address(storage: DeviceStorage, settings: Settings, sources: Sources) -> Endpoint:
    if settings.endpoint is not None:
        return Endpoint.parse(settings.endpoint, sources.of("endpoint"))
    try:
        installed = decoded(storage.ps.get(Uid.ENDPOINT), bytes.decode, "the endpoint")
        return Endpoint.parse(installed, _INSTALLED)
    except DoesNotExistError:
        raise sources.missing("endpoint", _NOT_INSTALLED) from None


def _root_ca(storage: DeviceStorage, settings: Settings, sources: Sources) -> bytes:
    named = _certificates_in(settings.root_ca, "root_ca", sources)
    if named is not None:
        return named
    try:
        return storage.ps.get(Uid.ROOT_CA)
    except DoesNotExistError:
        raise sources.missing("root_ca", _NOT_INSTALLED) from None


def _issuer(storage: DeviceStorage, settings: Settings, sources: Sources) -> bytes | None:
    """Return the CA whose certificates are accepted; None if anybody's are."""
    named = _certificates_in(settings.issuer_ca, "issuer_ca", sources)
    if named is None and Uid.ISSUER_CA in storage.ps.uids():
        return storage.ps.get(Uid.ISSUER_CA)
    return named


def _certificates_in(path: str | None, key: str, sources: Sources) -> bytes | None:
    if path is None:
        return None
    with _in_the_file(path, key, sources):
        pem = read_regular_file(Path(path))
        # 8 ms, and most devices use the CAs that are installed
        from device.identity.trust_anchors import canonical_trust_anchors  # noqa: PLC0415

        try:
            return canonical_trust_anchors(pem)
        except CertificateUnacceptableError as error:
            raise ConfigurationError(path, "", str(error)) from None
