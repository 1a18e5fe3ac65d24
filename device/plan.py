"""Settings made concrete for one device: placeholders filled, files read, all checked.

Whatever can be known to be wrong before the first packet is said here.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from device.element_plan import element_plan
from device.errors import ConfigurationError
from device.errors.provisioning import CertificateUnacceptableError, SubjectFieldMissingError
from device.errors.storage import DoesNotExistError
from device.manufacture import device_id, serial_number
from device.methods import CLAIM_METHODS, JUST_IN_TIME_METHODS, check_made_for
from device.provisioning import messages, template
from device.provisioning.claim import ClaimPlan
from device.provisioning.presented import PresentedPlan
from device.provisioning.refusal_causes import refusal_causes
from device.runtime.endpoint import Endpoint
from device.settings import Settings
from device.storage.decoding import decoded
from device.storage.device_storage import DeviceStorage
from device.storage.element.installation import ElementPlan
from device.storage.secure_storage import Uid

_PLACEHOLDER: Final = re.compile(r"\{([^{}]*)\}")
_THING_NAME: Final = re.compile(messages.THING_NAME)
_TOPIC: Final = re.compile(r"[^$+#\0][^+#\0]*")  # MQTT 5, 4.7; lengths from AWS IoT Core quotas
_MAX_CLIENT_ID_BYTES: Final = 128  # AWS IoT Core quotas
_AWSCRT_REPORTS_FIRST: Final = 5.0
"""Seconds that the machine waits longer than awscrt, whose errors say more than a time-out."""
_INSTALLED: Final = "the device's storage"


@dataclass(frozen=True)
class Plan:
    """What one device is to do, and where."""

    endpoint: Endpoint
    root_ca_pem: bytes
    issuer_pem: bytes | None
    subject: Mapping[str, str]
    machine: ClaimPlan | PresentedPlan
    """Which machine provisions the device, and with what."""
    element: ElementPlan | None = None
    """The secure element that the device key lives in, if it is to live in one."""


def plan_for(storage: DeviceStorage, settings: Settings, source: str) -> Plan:
    """Return the plan for the device in ``storage``; ``source`` names the settings in errors.

    Raises:
        ConfigurationError: a setting, or a file it names, cannot be used on this device.
    """
    names = {
        "serial": serial_number(storage),
        "device_id": device_id(storage),
    }
    fill = _Filler(source, names)
    check_made_for(storage, settings.method, source)
    by_claim = settings.method in CLAIM_METHODS
    if settings.method == "jitp":
        _check_subject(storage, settings.just_in_time.template_file)
    return Plan(
        endpoint=_endpoint(storage, settings, source),
        root_ca_pem=_root_ca(storage, settings),
        issuer_pem=_certificates_in(settings.issuer_ca, "issuer_ca"),
        subject={name: fill(f"subject.{name}", text) for name, text in settings.subject.items()},
        machine=(_claim_plan if by_claim else _presented_plan)(settings, fill, source),
        element=element_plan(storage, settings.key, source),
    )


class _Filler:
    """Fills ``{serial}`` and the like into a setting."""

    def __init__(self, source: str, names: Mapping[str, str]) -> None:
        self._source = source
        self._names = names

    def __call__(self, key: str, text: str, *, keep: str = "") -> str:
        def value(match: re.Match[str]) -> str:
            name = match.group(1)
            if keep and name == keep:
                return match.group(0)
            if name not in self._names:
                known = ", ".join("{" + known + "}" for known in [*self._names, keep] if known)
                problem = f"unknown placeholder {{{name}}}"
                raise ConfigurationError(self._source, key, problem, f"Known here: {known}.")
            return self._names[name]

        return _PLACEHOLDER.sub(value, text)


def _claim_plan(settings: Settings, fill: _Filler, source: str) -> ClaimPlan:
    claim = settings.claim
    parameters = {
        name: fill(f"claim.parameters.{name}", text, keep="proof")
        for name, text in claim.parameters.items()
    }
    _check_parameters(parameters, claim.template_file, source)
    thing_name = _thing_name(settings, fill, source)
    return ClaimPlan(
        template_name=claim.template,
        parameters=parameters,
        claim_client_id=_claim_client_id(settings, fill, source, thing_name),
        expected_thing_name=thing_name,
        proof_topic=_telemetry_topic(settings, fill, source),
        keys_made_by_aws=settings.method == "claim-aws-keys",
        reply_timeout=settings.connection.reply_timeout,
        connect_timeout=settings.connection.connect_timeout + _AWSCRT_REPORTS_FIRST,
    )


def _presented_plan(settings: Settings, fill: _Filler, source: str) -> PresentedPlan:
    return PresentedPlan(
        thing_name=_thing_name(settings, fill, source),
        proof_topic=_telemetry_topic(settings, fill, source),
        refusal_causes=refusal_causes(settings.method),
        just_in_time=settings.method in JUST_IN_TIME_METHODS,
        reply_timeout=settings.connection.reply_timeout,
        connect_timeout=settings.connection.connect_timeout + _AWSCRT_REPORTS_FIRST,
    )


def _thing_name(settings: Settings, fill: _Filler, source: str) -> str:
    name = fill("thing_name", settings.thing_name)
    if not _THING_NAME.fullmatch(name):
        problem = f"{name!r} is no AWS thing name (1 to 128 of a-z A-Z 0-9 : _ -)"
        raise ConfigurationError(source, "thing_name", problem)
    return name


def _telemetry_topic(settings: Settings, fill: _Filler, source: str) -> str:
    topic = fill("telemetry.topic", settings.telemetry.topic, keep="thing_name")
    if not _TOPIC.fullmatch(topic) or topic.count("/") > 7 or len(topic.encode()) > 256:
        problem = f"{topic!r} is no topic to publish on (1 to 256 bytes, 8 levels, no + # $)"
        raise ConfigurationError(source, "telemetry.topic", problem)
    return topic


def _claim_client_id(settings: Settings, fill: _Filler, source: str, thing_name: str) -> str:
    client_id = fill("claim.client_id", settings.claim.client_id)
    if not 0 < len(client_id.encode()) <= _MAX_CLIENT_ID_BYTES or client_id.startswith("$"):
        problem = f"{client_id!r} is no MQTT client id AWS IoT takes (1 to 128 bytes, no $ first)"
        raise ConfigurationError(source, "claim.client_id", problem)
    if client_id == thing_name:
        problem = "the claim connection needs a client id of its own, not the thing's name"
        raise ConfigurationError(source, "claim.client_id", problem)
    return client_id


def _check_subject(storage: DeviceStorage, template_file: str | None) -> None:
    """A certificate that lacks a field stays PENDING_ACTIVATION, and AWS tells nobody."""
    if template_file is None or Uid.STAGED_CERTIFICATE not in storage.ps.uids():
        return
    from device.identity.certificates import leaf_of, subject_fields  # noqa: PLC0415 - slow

    body = _read(Path(template_file), "just_in_time.template_file")
    held = subject_fields(leaf_of(storage.ps.get(Uid.STAGED_CERTIFICATE)))
    missing = sorted(template.required_subject_fields(body, template_file) - held)
    if missing:
        raise SubjectFieldMissingError(template_file, tuple(missing))


def _check_parameters(
    parameters: Mapping[str, str], template_file: str | None, source: str
) -> None:
    if template_file is None:
        return
    body = _read(Path(template_file), "claim.template_file")
    for name in sorted(template.required_parameters(body, template_file) - set(parameters)):
        problem = f"the template {template_file} wants {name}, and it is not set"
        raise ConfigurationError(source, f"claim.parameters.{name}", problem)


def _endpoint(storage: DeviceStorage, settings: Settings, source: str) -> Endpoint:
    endpoint = _address(storage, settings, source)
    if settings.proxy is None:
        return endpoint
    proxy = settings.proxy.removeprefix("http://").rstrip("/")
    return replace(endpoint, proxy=Endpoint.parse(proxy, source, "proxy"))


def _address(storage: DeviceStorage, settings: Settings, source: str) -> Endpoint:
    if settings.endpoint is not None:
        return Endpoint.parse(settings.endpoint, source)
    try:
        installed = decoded(storage.ps.get(Uid.ENDPOINT), bytes.decode, "the endpoint")
        return Endpoint.parse(installed, _INSTALLED)
    except DoesNotExistError:
        problem = "is not set, and the station installed none"
        raise ConfigurationError(source, "endpoint", problem) from None


def _root_ca(storage: DeviceStorage, settings: Settings) -> bytes:
    named = _certificates_in(settings.root_ca, "root_ca")
    if named is not None:
        return named
    try:
        return storage.ps.get(Uid.ROOT_CA)
    except DoesNotExistError:
        problem = "is not set, and the station installed none"
        raise ConfigurationError("settings", "root_ca", problem) from None


def _certificates_in(path: str | None, key: str) -> bytes | None:
    if path is None:
        return None
    pem = _read(Path(path), key)
    if not pem.strip():
        raise ConfigurationError(path, key, "is empty")
    # 8 ms, and most devices use the CAs that are installed
    from device.identity.trust_anchors import canonical_trust_anchors  # noqa: PLC0415

    try:
        return canonical_trust_anchors(pem)
    except CertificateUnacceptableError as error:
        raise ConfigurationError(path, key, str(error)) from None


def _read(path: Path, key: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigurationError(str(path), key, f"cannot be read: {error.strerror}") from None
