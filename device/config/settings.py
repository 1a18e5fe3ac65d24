"""Settings: what the station sealed, a YAML file, ``DEVICE_*`` variables, flags, in that order.

Each overrides the one before, key by key; `load_with_sources` makes one frozen object of them.

Nothing is guessed: an unknown key, a wrong type or an unusable value is a
`ConfigurationError` that names the file or variable, the key and what is wrong.
Every value is text as written, and a number only where the setting is one.
A nested key as a variable: ``claim.template`` is ``DEVICE_CLAIM__TEMPLATE``; a name of your
own keeps its case: ``claim.parameters.SerialNumber`` is ``DEVICE_CLAIM__PARAMETERS__SerialNumber``.
"""

import re
import threading
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal, TypeVar, get_args

import msgspec
from msgspec import Meta, Struct

from device.config import variables
from device.config.methods import METHODS
from device.config.sources import SEALED, Sources
from device.config.typed import Section, did_you_mean, leaves, typed
from device.errors import ConfigurationError
from device.errors.log import logger

if TYPE_CHECKING:
    from device.storage.manufacturing_data import SealedSettings

_WEEK: Final = 604_800
Seconds = Annotated[float, Meta(ge=0, le=_WEEK)]  # for ever is no number, and no timer takes it
TemplateName = Annotated[str, Meta(pattern=r"^[0-9A-Za-z_-]+\Z", max_length=36)]
KeyTypeName = Literal["ec-p256", "ec-p384", "rsa-2048"]

_log = logger(__name__)


class _Section(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A part of the file; unknown keys are refused."""


_SectionT = TypeVar("_SectionT", bound=_Section)


class Key(_Section, frozen=True):
    """Where the device key lives and what it is."""

    store: Annotated[str, Meta(pattern=r"^(sealed:\Z|pkcs11:)")] | None = None
    """``sealed:``, or the PKCS #11 URI of a secure element (RFC 7512). Default: in the element that
    the station installed, and sealed where it installed none."""
    type: KeyTypeName = "ec-p256"
    """The type of the key that the device makes."""
    pin_file: str | None = None
    """A file with the element's PIN that only its owner may read."""
    pin_credential: Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]+\Z")] | None = None
    """The name of a systemd credential with the element's PIN (``LoadCredential=``)."""
    tls13: bool = False
    """Whether a key in an element is used with TLS 1.3; some elements cannot sign for it."""


class Claim(_Section, frozen=True):
    """Fleet provisioning by claim."""

    template: TemplateName = "firstboot-claim"
    """The name of the provisioning template in AWS IoT."""
    parameters: dict[str, str] = msgspec.field(default_factory=lambda: {"SerialNumber": "{serial}"})
    """What the device tells the template. ``{proof}`` is an HMAC of the certificate at hand, for a
    template with a hook; ``{given_up}`` names the certificates that the device gave up, and a
    parameter with it is sent only if there are some."""
    client_id: str = "claim-{serial}"
    """The MQTT client id of the connection with the claim; two with one id evict each other."""
    template_file: str | None = None
    """The template as a file: its parameters are checked before the first connection."""


class JustInTime(_Section, frozen=True):
    """Just-in-time provisioning and registration."""

    budget: Seconds = 90.0
    """Seconds in which AWS IoT's refusals are expected, from the first on."""
    template_file: str | None = None
    """The CA's template as a file: its subject fields are checked before the first connection."""


class Retry(_Section, frozen=True):
    """How the device waits; full jitter everywhere."""

    shortest: Annotated[float, Meta(ge=1, le=_WEEK)] = 1.0
    """Seconds of the first wait; AWS IoT takes one CONNECT a second per client id."""
    longest: Annotated[float, Meta(ge=1, le=_WEEK)] = 120.0
    """Seconds that no wait exceeds."""
    stable_after: Seconds = 30.0
    """Seconds that a connection must hold before the waits begin again with the shortest."""
    give_up_unreachable_after: Seconds = 300.0
    """Seconds after which ``device boot`` gives up if nobody answers; ``device run`` never does."""
    give_up_refused_after: Seconds = 30.0
    """Seconds after which ``device boot`` gives up if AWS IoT refuses it."""
    after_denied: Seconds = 900.0
    """Seconds between the tries of ``device run`` after AWS IoT denied it something."""


class Connection(_Section, frozen=True):
    """The MQTT connection."""

    first_connect_spread: Seconds = 0.0
    """Seconds of which a random part passes before the first CONNECT, so that a batch that is
    switched on at once stays below the account's rates."""
    connect_timeout: Annotated[float, Meta(gt=0, le=_WEEK)] = 20.0
    """Seconds in which TCP, TLS and MQTT must be connected."""
    reply_timeout: Annotated[float, Meta(gt=0, le=_WEEK)] = 15.0
    """Seconds in which AWS IoT must answer a request."""
    keep_alive: Annotated[int, Meta(ge=30, le=1200)] = 60
    """Seconds of MQTT's keep-alive; the limits are AWS IoT's."""
    session_expiry: Annotated[int, Meta(ge=0, le=_WEEK)] = 3600
    """Seconds for which AWS IoT keeps subscriptions and messages of a device that is away; an
    account allows 3,600 unless its quota is raised. 0 keeps nothing."""
    publish_rate: Annotated[int, Meta(ge=1, le=10_000)] = 100
    """Messages that ``device run`` publishes in a second at most; AWS IoT drops what is more than
    100 on one connection."""
    retry: Retry = Retry()


class Telemetry(_Section, frozen=True):
    """What ``device run`` publishes."""

    topic: str = "dt/{thing_name}/telemetry"
    """Where; ``{thing_name}`` is the name that AWS IoT gave."""
    interval: Annotated[float, Meta(ge=0.1, le=_WEEK)] = 60.0
    """Seconds between two messages; DeviceConfiguration's ``TelemetryInterval`` overrides it."""


class Renewal(_Section, frozen=True):
    """When the device renews its certificate, and by which template."""

    template: TemplateName = "firstboot-renewal"
    """The provisioning template that ``factory prepare --renewal`` makes."""
    at_fraction: Annotated[float, Meta(gt=0, lt=1)] = 0.667
    """The part of the certificate's life after which it is renewed."""
    max_age_days: Annotated[float, Meta(gt=0, le=3652)] | None = None
    """Days after which it is renewed, however long it is valid. AWS IoT's own certificates are
    valid until 2049, so for them this alone decides. Default: no limit."""
    jitter: Annotated[float, Meta(ge=0, le=0.5)] = 0.1
    """The part of that time by which a device may be early, each by its own share."""


class Recovery(_Section, frozen=True):
    """What a device may do whose certificate expired, or was set INACTIVE; see docs/renewal.md."""

    allowed: bool = False
    """Whether it asks for another certificate with its birth certificate, if it has one."""
    template: TemplateName = "firstboot-recovery"
    """The provisioning template that ``factory prepare --recovery`` makes."""


class Outbox(_Section, frozen=True):
    """What waits on disk until it is acknowledged; telemetry and an application have one each."""

    messages: Annotated[int, Meta(ge=1, le=100_000)] = 1000
    """How many messages wait. When one more comes, the oldest reading is dropped and counted; an
    application's message is refused."""
    bytes: Annotated[int, Meta(ge=1024, le=1_073_741_824)] = 1_048_576
    """How many bytes they have together."""


class Shadow(_Section, frozen=True):
    """The device's shadow: what it reports, and what it lets others set."""

    enabled: bool = True
    """Whether ``device run`` reports to a shadow and does what it desires."""
    name: Annotated[str, Meta(pattern=r"^[a-zA-Z0-9:_-]*\Z", max_length=64)] = ""
    """The name of the shadow; empty for the classic shadow."""


class Jobs(_Section, frozen=True):
    """AWS IoT Jobs."""

    enabled: bool = True
    """Whether ``device run`` carries out jobs."""


class Commands(_Section, frozen=True):
    """AWS IoT Commands."""

    enabled: bool = True
    """Whether ``device run`` carries out commands."""


class Restart(_Section, frozen=True):
    """What a job or a command to reboot does."""

    reboots: Literal["firmware", "machine"] = "firmware"
    """``firmware`` starts this program anew; ``machine`` runs ``systemctl reboot``."""


class Metrics(_Section, frozen=True):
    """What ``device run`` counts, in a file for ``device metrics`` and for Prometheus."""

    file: str | None = None
    """The path of the file, from the device's folder on, such as one ending in ``.prom`` in the
    folder of node_exporter's textfile collector. Default: ``metrics.prom``."""
    interval: Annotated[float, Meta(ge=1, le=_WEEK)] = 60.0
    """Seconds between two writes."""


class Application(_Section, frozen=True):
    """A program of your own that publishes and subscribes as this device, by a Unix socket."""

    socket: str | None = None
    """The path of the socket, from the device's folder on; without one there is no socket."""
    publish: str = ""
    """Topic filters that the program may publish to, between spaces; ``{thing_name}`` stands for
    the name that AWS IoT gave."""
    subscribe: str = ""
    """Topic filters that the device subscribes to for the program, between spaces."""


class Settings(_Section, frozen=True):
    """Everything a device can be told; `load` makes one."""

    method: str
    """The provisioning method; it has no default."""
    endpoint: str | None = None
    """The account's data endpoint, ``HOST`` or ``HOST:PORT`` (8883, or 443 by ALPN). Default: what
    the station installed."""
    proxy: str | None = None
    """An HTTP proxy, ``http://HOST:PORT`` or ``http://USER:PASSWORD@HOST:PORT`` with ``@`` in them
    written as ``%40``."""
    root_ca: str | None = None
    """A PEM file with the CAs that vouch for the endpoint. Default: what the station installed."""
    issuer_ca: str | None = None
    """A PEM file with the CAs one of which must have signed the device's certificate."""
    thing_name: str = "{serial}"
    """What the template calls the thing, which is also the client id; ``{cloud}`` (by claim only):
    the template alone knows, and the name that comes is taken."""
    key: Key = Key()
    subject: dict[str, str] = msgspec.field(default_factory=lambda: {"common_name": "{serial}"})
    """The subject of the certificate, or of the request for one."""
    claim: Claim = Claim()
    just_in_time: JustInTime = JustInTime()
    connection: Connection = Connection()
    telemetry: Telemetry = Telemetry()
    renewal: Renewal = Renewal()
    recovery: Recovery = Recovery()
    outbox: Outbox = Outbox()
    shadow: Shadow = Shadow()
    jobs: Jobs = Jobs()
    commands: Commands = Commands()
    restart: Restart = Restart()
    metrics: Metrics = Metrics()
    application: Application = Application()

    def __repr__(self) -> str:
        """Leave the proxy out: its address may hold a password."""
        shown = msgspec.structs.replace(self, proxy=None) if self.proxy else self
        return super(Settings, shown).__repr__()


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


@dataclass(frozen=True)
class Loaded:
    """Settings, and where each of them came from."""

    settings: Settings
    sources: Sources
    raw: Section = field(repr=False)
    """What is set, as written; the proxy's password is in it."""


def load(path: Path, environment: Mapping[str, str], flags: Mapping[str, str | None]) -> Settings:
    """Return the settings of `load_with_sources`."""
    return load_with_sources(path, environment, flags).settings


def load_with_sources(
    path: Path | None,
    environment: Mapping[str, str],
    flags: Mapping[str, str | None],
    sealed: "SealedSettings | None" = None,
) -> Loaded:
    """Return ``sealed``, overridden by ``path``, then by ``environment``, then by ``flags``.

    Variables and flags are text as written; YAML has no say in them. An empty variable leaves an
    optional setting unset. Relative paths in the file are relative to the file. Where the file has
    a section of your own names, such as ``claim.parameters``, nothing of the sealed one is used.

    Raises:
        ConfigurationError: the file, a variable or a flag is missing or not usable.
    """
    read = _in_file(path, sealed)
    in_file = frozenset(leaves(read))
    raw = _laid_over(_sections_of(sealed), read)
    from_station = {key: SEALED for key in leaves(raw) if key not in in_file}
    elsewhere: dict[str, str] = {}
    for name, value in environment.items():
        if (key := variables.key_of(name, Settings)) is not None:
            _override(raw, key, variables.text_of(name, key, value), elsewhere, name)
    for name, flag in flags.items():
        if flag is not None:
            _override(raw, name, _flag_text(name, flag), elsewhere, _flag_name(name))
    named = SEALED if path is None else str(path)
    sources = Sources(named, from_station | elsewhere, in_file)
    folder = Path() if path is None else path.parent
    try:
        return Loaded(_convert(raw, sources, folder), sources, raw)
    except ConfigurationError as error:
        if error.source != SEALED:
            raise
        raise sources.error(error.key, error.problem) from None  # nobody can edit what is sealed


def _sections_of(sealed: "SealedSettings | None") -> Section:
    return {} if sealed is None else deepcopy(sealed.sections) | {"method": sealed.method}


def _in_file(path: Path | None, sealed: "SealedSettings | None") -> Section:
    if path is not None:
        from device.config.settings_file import read_settings_file  # noqa: PLC0415 - loads yaml

        return read_settings_file(path)
    if sealed is None:
        step = "Pass --config FILE or set DEVICE_CONFIG; config/ has one file for each method."
        raise ConfigurationError("--config", "", f"no settings file given, and no {SEALED}", step)
    return {}


def _laid_over(under: Section, over: Section, prefix: str = "") -> Section:
    """Return ``under`` with the keys of ``over`` in their place."""
    found = dict(under)
    for name, value in over.items():
        below = found.get(name)
        if isinstance(value, dict) and isinstance(below, dict) and prefix + name not in OWN_NAMES:
            found[name] = _laid_over(below, value, f"{prefix}{name}.")
        else:
            found[name] = value
    return found


def _flag_name(key: str) -> str:
    return f"--{key.replace('_', '-')}"


def _flag_text(key: str, flag: str) -> str:
    if not flag:
        raise ConfigurationError(_flag_name(key), key, "is empty", "Set one, or leave it out.")
    return flag


def _override(raw: Section, key: str, value: str, elsewhere: dict[str, str], source: str) -> None:
    other = elsewhere.get(key)
    if other is not None and not source.startswith("--"):
        raise ConfigurationError(source, key, f"{other} sets the same", "Remove one of the two.")
    section = raw
    *parents, last = key.split(".")
    for parent in parents:
        child = section.setdefault(parent, {})
        if not isinstance(child, dict):
            raise ConfigurationError(source, key, f"{parent} is not a section")
        section = child
    section[last] = value
    elsewhere[key] = source


_ONE_THREAD: Final = threading.Lock()
"""msgspec 0.22 crashes if two threads are the first to convert to a type; a fleet has many."""


def _convert(raw: Section, sources: Sources, folder: Path) -> Settings:
    def source_of(key: str) -> str:
        return sources.elsewhere.get(key, sources.file)

    values = typed(raw, Settings, source_of)
    try:
        with _ONE_THREAD:
            settings = msgspec.convert(values, Settings)
    except msgspec.ValidationError as error:
        raise _explained(str(error), source_of) from None
    if settings.method not in METHODS:
        raise _unknown_method(settings.method, source_of("method"))
    return _with_paths_from(settings, folder, sources.elsewhere)


def _with_paths_from(settings: Settings, folder: Path, elsewhere: Mapping[str, str]) -> Settings:
    """Make the paths that the file itself names relative to the file."""

    def moved(section: _SectionT, prefix: str, *names: str) -> _SectionT:
        changes = {
            name: str(folder / value)
            for name in names
            if (value := getattr(section, name)) and prefix + name not in elsewhere
        }
        return msgspec.structs.replace(section, **changes)

    return msgspec.structs.replace(
        moved(settings, "", "root_ca", "issuer_ca"),
        key=moved(settings.key, "key.", "pin_file"),
        claim=moved(settings.claim, "claim.", "template_file"),
        just_in_time=moved(settings.just_in_time, "just_in_time.", "template_file"),
    )


def _unknown_method(name: str, source: str) -> ConfigurationError:
    problem = f"there is no method {name!r}; one of {', '.join(METHODS)}"
    return ConfigurationError(source, "method", problem, did_you_mean(name, METHODS, "Name one."))


OWN_NAMES: Final = frozenset({"subject", "claim.parameters"})
"""Sections whose keys are not settings."""
_PATH: Final = re.compile(r" - at `\$\.?(?P<path>[^`]*)`$")
_MISSING: Final = re.compile(r"missing required field `(?P<name>[^`]+)`")
_RULES: Final = {
    "claim.template": "1 to 36 of a-z A-Z 0-9 _ -",  # AWS IoT API reference, TemplateName
    "renewal.template": "1 to 36 of a-z A-Z 0-9 _ -",
    "recovery.template": "1 to 36 of a-z A-Z 0-9 _ -",
    "key.store": 'use "sealed:" or a URI that begins with pkcs11:',
    "key.pin_credential": "use the name of a systemd credential: a-z A-Z 0-9 . _ -",
}
"""What a pattern says, for people."""


def _explained(message: str, source_of: Callable[[str], str]) -> ConfigurationError:
    """Turn msgspec's sentence about a value that is out of bounds into file, key and problem."""
    at = _PATH.search(message)
    key = at["path"] if at else ""
    text = _PATH.sub("", message)
    if named := _MISSING.search(text):
        key, source = named["name"], source_of("")
        return ConfigurationError(source, key, "is missing", f"Set {key} in {source}.")
    problem = text[:1].lower() + text[1:]
    if key in _RULES:
        problem = f"cannot be used: {_RULES[key]}"
    elif key in _CHOICES:
        problem += f"; one of {', '.join(_CHOICES[key])}"
    return ConfigurationError(source_of(key), key, problem)


_CHOICES: Final = {"key.type": get_args(KeyTypeName)}
