"""Settings: a YAML file, then ``DEVICE_*`` variables, then flags, into one frozen object.

Nothing is guessed: an unknown key, a wrong type or an unusable value is a
`ConfigurationError` that names the file or variable, the key and what is wrong.
A nested key as a variable: ``claim.template`` is ``DEVICE_CLAIM__TEMPLATE``; a name of your
own keeps its case: ``claim.parameters.SerialNumber`` is ``DEVICE_CLAIM__PARAMETERS__SerialNumber``.
"""

import difflib
import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec
import yaml
from msgspec import Meta, Struct

from device.errors import ConfigurationError

Method = Literal[
    "claim",
    "claim-aws-keys",
    "trusted-user",
    "jitp",
    "jitr",
    "multi-account",
    "bulk",
    "single-thing",
]
_WEEK: Final = 604_800
Seconds = Annotated[float, Meta(ge=0, le=_WEEK)]  # for ever is no number, and no timer takes it
TemplateName = Annotated[str, Meta(pattern=r"^[0-9A-Za-z_-]+\Z", max_length=36)]
KeyTypeName = Literal["ec-p256", "ec-p384", "rsa-2048"]

_log = logging.getLogger(__name__)

_ENVIRONMENT_PREFIX: Final = "DEVICE_"
_PLACES: Final = frozenset({"DEVICE_STATE", "DEVICE_CONFIG"})  # read by the command line itself


class _Section(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A part of the file; unknown keys are refused."""


_SectionT = TypeVar("_SectionT", bound=_Section)


class Key(_Section, frozen=True):
    """Where the device key lives and what it is."""

    store: Annotated[str, Meta(pattern=r"^(sealed:\Z|pkcs11:)")] | None = None
    """None: in the element that the station installed, and sealed where it installed none."""
    type: KeyTypeName = "ec-p256"
    pin_file: str | None = None
    pin_credential: Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]+\Z")] | None = None
    """The name of a systemd credential (``LoadCredential=``)."""
    tls13: bool = False


class Claim(_Section, frozen=True):
    """Fleet provisioning by claim."""

    template: TemplateName = "firstboot-claim"
    parameters: dict[str, str] = msgspec.field(default_factory=lambda: {"SerialNumber": "{serial}"})
    client_id: str = "claim-{serial}"
    template_file: str | None = None


class JustInTime(_Section, frozen=True):
    """Just-in-time provisioning and registration."""

    budget: Seconds = 90.0
    template_file: str | None = None


class Retry(_Section, frozen=True):
    """How the device waits; full jitter everywhere."""

    shortest: Annotated[float, Meta(ge=1, le=_WEEK)] = 1.0
    longest: Annotated[float, Meta(ge=1, le=_WEEK)] = 120.0
    stable_after: Seconds = 30.0
    give_up_unreachable_after: Seconds = 300.0
    give_up_refused_after: Seconds = 30.0
    after_denied: Seconds = 900.0


class Connection(_Section, frozen=True):
    """The MQTT connection."""

    first_connect_spread: Seconds = 0.0
    connect_timeout: Annotated[float, Meta(gt=0, le=_WEEK)] = 20.0
    reply_timeout: Annotated[float, Meta(gt=0, le=_WEEK)] = 15.0
    keep_alive: Annotated[int, Meta(ge=30, le=1200)] = 60
    retry: Retry = Retry()


class Telemetry(_Section, frozen=True):
    """What ``device run`` publishes."""

    topic: str = "dt/{thing_name}/telemetry"
    interval: Annotated[float, Meta(ge=0.1, le=_WEEK)] = 60.0


class Settings(_Section, frozen=True):
    """Everything a device can be told; `load` makes one."""

    method: Method
    endpoint: str | None = None
    proxy: str | None = None
    root_ca: str | None = None
    issuer_ca: str | None = None
    thing_name: str = "{serial}"
    key: Key = Key()
    subject: dict[str, str] = msgspec.field(default_factory=lambda: {"common_name": "{serial}"})
    claim: Claim = Claim()
    just_in_time: JustInTime = JustInTime()
    connection: Connection = Connection()
    telemetry: Telemetry = Telemetry()


def configured(settings: Settings, device_configuration: Mapping[str, str] | None) -> Settings:
    """Return ``settings`` with what AWS IoT configured this device to do.

    The provisioning template's DeviceConfiguration may set ``TelemetryInterval``, in seconds;
    what is unknown or unusable in it is left alone, since the device cannot correct it.
    """
    text = (device_configuration or {}).get("TelemetryInterval")
    if text is None:
        return settings
    try:
        interval = float(text)
        telemetry = msgspec.convert(
            {"topic": settings.telemetry.topic, "interval": interval}, Telemetry
        )
    except (ValueError, msgspec.ValidationError):
        _log.warning("DeviceConfiguration: TelemetryInterval %r is not used", text)
        return settings
    return msgspec.structs.replace(settings, telemetry=telemetry)


def load(path: Path, environment: Mapping[str, str], flags: Mapping[str, str | None]) -> Settings:
    """Return the settings of ``path``, overridden by ``environment``, then by ``flags``.

    Relative paths in the file are relative to the file.

    Raises:
        ConfigurationError: the file, a variable or a flag is missing or not usable.
    """
    sources = {"": str(path)}
    raw = _read(path)
    for name, value in environment.items():
        key = _key_of(name)
        if key is not None:
            _override(raw, key, _scalar(name, value), sources, name)
    for key, flag in flags.items():
        if flag is not None:
            _override(raw, key, flag, sources, f"--{key.replace('_', '-')}")
    return _convert(raw, sources, path.parent)


def _read(path: Path) -> dict[str, Any]:
    try:
        raw = yaml.load(path.read_text(encoding="utf-8"), Loader=_LOADER)  # noqa: S506 - safe
    except FileNotFoundError:
        raise ConfigurationError(
            str(path), "", "no such file", "Name one with --config; config/ has one per method."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(str(path), "", f"cannot be read: {error}") from None
    except yaml.YAMLError as error:
        problem = " ".join(str(error).split())
        raise ConfigurationError(str(path), "", f"is not YAML: {problem}") from None
    if not isinstance(raw, dict):
        what = "is empty" if raw is None else f"holds a {type(raw).__name__}, not keys and values"
        raise ConfigurationError(str(path), "", what)
    return raw


_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _key_of(variable: str) -> str | None:
    if not variable.startswith(_ENVIRONMENT_PREFIX) or variable in _PLACES:
        return None
    names = variable.removeprefix(_ENVIRONMENT_PREFIX).split("__")
    key = ".".join(name.lower() if name.isupper() else name for name in names)
    return key if key.partition(".")[0] in Settings.__struct_fields__ else None


def _scalar(name: str, value: str) -> object:
    try:
        return yaml.load(value, Loader=_LOADER) if value else value  # noqa: S506 - safe
    except yaml.YAMLError:
        raise ConfigurationError(name, "", "is not a plain value") from None


def _override(
    raw: dict[str, Any], key: str, value: object, sources: dict[str, str], source: str
) -> None:
    section = raw
    *parents, last = key.split(".")
    for parent in parents:
        child = section.setdefault(parent, {})
        if not isinstance(child, dict):
            raise ConfigurationError(source, key, f"{parent} is not a section")
        section = child
    section[last] = value
    sources[key] = source


def _convert(raw: dict[str, Any], sources: Mapping[str, str], folder: Path) -> Settings:
    try:
        settings = msgspec.convert(raw, Settings)
    except msgspec.ValidationError as error:
        raise _explained(str(error), sources) from None
    return _with_paths_from(settings, folder, sources)


def _with_paths_from(settings: Settings, folder: Path, sources: Mapping[str, str]) -> Settings:
    """Make the paths that the file itself names relative to the file."""

    def moved(section: _SectionT, prefix: str, *names: str) -> _SectionT:
        changes = {
            name: str(folder / value)
            for name in names
            if (value := getattr(section, name)) and prefix + name not in sources
        }
        return msgspec.structs.replace(section, **changes)

    return msgspec.structs.replace(
        moved(settings, "", "root_ca", "issuer_ca"),
        key=moved(settings.key, "key.", "pin_file"),
        claim=moved(settings.claim, "claim.", "template_file"),
        just_in_time=moved(settings.just_in_time, "just_in_time.", "template_file"),
    )


_PATH = re.compile(r" - at (?:`key` in )?`\$\.?(?P<path>[^`]*)`$")
_UNKNOWN = re.compile(r"unknown field `(?P<name>[^`]+)`")
_MISSING = re.compile(r"missing required field `(?P<name>[^`]+)`")


def _explained(message: str, sources: Mapping[str, str]) -> ConfigurationError:
    """Turn msgspec's sentence into file, key and problem."""
    at = _PATH.search(message)
    parent = at["path"] if at else ""
    text = _PATH.sub("", message)
    named = _UNKNOWN.search(text) or _MISSING.search(text)
    key = ".".join(filter(None, [parent, named["name"] if named else ""]))
    source = sources.get(key, sources[""])
    if _UNKNOWN.search(text):
        return ConfigurationError(source, key, "unknown key", _did_you_mean(parent, key))
    if _MISSING.search(text):
        return ConfigurationError(source, key, "is missing", f"Set {key} in {source}.")
    return ConfigurationError(source, key, text[:1].lower() + text[1:])


def _did_you_mean(parent: str, key: str) -> str:
    section: Any = Settings
    for name in filter(None, parent.split(".")):
        types = dict(zip(section.__struct_fields__, _field_types(section), strict=True))
        section = types[name]
    known = list(section.__struct_fields__)
    near = difflib.get_close_matches(key.rpartition(".")[2], known, 1)
    return f"Did you mean {near[0]}?" if near else f"Known keys here: {', '.join(known)}."


def _field_types(section: type[Struct]) -> list[object]:
    return [field.type for field in msgspec.structs.fields(section)]
