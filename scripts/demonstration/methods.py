"""What the demo tells of each method, how its device is made, and what must happen.

Standard library only, as ``--help`` is answered before there is a .venv.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from device.config import methods as table
from device.config.methods import Credential, KeyMaker, MachineKind

Command = tuple[str, ...]

_AT_WORK: Final = "telemetry acknowledged"
_KEY_MADE: Final = "key made"
_PROMOTED: Final = "certificate promoted"
_BY_CLAIM: Final = (
    "storage opened",
    _KEY_MADE,
    "claim connected",
    "certificate issued",
    "certificate staged",
    "thing registered",
    "identity proven",
)
_HOLDING_ITS_CERTIFICATE: Final = (
    "storage opened",
    "device connected",
    "identity proven",
    _PROMOTED,
    _AT_WORK,
)
_MAKE: Final = ("factory", "make", "--method", "{method}", "--serial", "{serial}")
_ACCOUNTS: Final = (("111111111111", "eu-central-1"), ("222222222222", "eu-west-1"))


@dataclass(frozen=True)
class Method:
    """One way of provisioning, as the demo shows it."""

    name: str
    lesson: tuple[str, ...]
    """What is special about it, in lines."""
    why: Mapping[str, str] = field(default_factory=dict)
    """Words on single steps, where they differ from those of the other methods."""
    make: Command = _MAKE
    """The station's command for a device, with {method}, {serial} and {batch}."""
    serial: str = "{batch}"
    """The serial number of the device that is booted."""
    accounts: tuple[tuple[str, str], ...] = ()
    """Accounts and Regions that the device reaches, if not the one of the local AWS."""
    try_also: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """What else to try with it, and its command lines: {serial} is new, its folder in {devices}."""
    signs_for_all: bool = False
    """Whether its CA signs for the devices of other methods too, until it is torn down."""

    @property
    def _row(self) -> table.Method:
        return table.METHODS[self.name]

    @property
    def steps(self) -> tuple[str, ...]:
        """What a device must have reported in the end, each at least once."""
        if self._row.machine is MachineKind.PRESENTED:
            refused = ("refused by AWS IoT",) if self._row.just_in_time else ()
            return (*refused, *_HOLDING_ITS_CERTIFICATE)
        last = "claim destroyed" if self._row.begins_with is Credential.CLAIM else _PROMOTED
        return (*(s for s in _BY_CLAIM if s != _KEY_MADE or self.makes_its_key), last, _AT_WORK)

    @property
    def makes_its_key(self) -> bool:
        """Whether the device makes its key, so that it can be made in a secure element."""
        return self._row.key_made_by is KeyMaker.DEVICE

    @property
    def waits_for_claim(self) -> bool:
        """Whether the device waits until an app hands it a claim."""
        return self._row.begins_with is Credential.HANDED_CLAIM

    @property
    def boot(self) -> Command:
        """The command for the first boot, but for the state."""
        return ("device", "boot", *(["--wait-for-claim"] if self.waits_for_claim else []))

    def serial_of(self, batch: str) -> str:
        """Return the serial number of the device that is booted."""
        return self.serial.format(batch=batch)

    def making(self, batch: str, element: str = "") -> Command:
        """Return the station's command for the device; its key is made in ``element``, if any."""
        names = {"method": self.name, "serial": self.serial_of(batch), "batch": batch}
        where = ("--element", element) if element else ()
        return (*(word.format_map(names) for word in self.make), *where)

    def environment(self, place: int = 0) -> Command:
        """Return the command that prints what leads to the ``place``-th account."""
        command = ("localcloud", "env")
        if not self.accounts:
            return command
        account, region = self.accounts[place]
        return (*command, "--account", account, "--region", region)


METHODS: Final[Mapping[str, Method]] = {
    method.name: method
    for method in (
        Method(
            "claim",
            (
                "A device that holds a serial number, and a claim certificate that its whole",
                "batch shares, becomes a thing with a certificate of its own.",
            ),
        ),
        Method(
            "claim-aws-keys",
            (
                "As by claim, for a device that cannot make keys: AWS makes the key and sends it",
                "over the claim's connection. Whoever can make keys should; it stays inside.",
            ),
            {
                "certificate issued": "AWS made the key as well: {short}...",
                "certificate staged": "with the key from AWS, sealed at once; not trusted yet",
            },
        ),
        Method(
            "claim-own-ca",
            (
                "As by claim, but your CA signs: AWS IoT hands each request to a Lambda, which has",
                "it signed by a key in KMS, for a week. An account has one such Lambda, for all of",
                "its devices, so the demo removes it in the end.",
            ),
            {
                "certificate issued": "your CA signed the device's own request: {short}...",
                "certificate staged": "checked: it is of the CA that the station installed",
            },
            signs_for_all=True,
        ),
        Method(
            "trusted-user",
            (
                "The device leaves the factory without any credential and waits. Someone who is",
                "trusted stands beside it with an app, which gets a claim for five minutes from",
                "AWS and hands it over. The device uses it once, from memory.",
            ),
            {
                "claim connected": "with the app's claim, which expires in five minutes",
                "certificate promoted": "the claim was never stored, so nothing is left of it",
            },
        ),
        Method(
            "jitp",
            (
                "The station's own CA signs the device's certificate; AWS knows the CA, and a",
                "template. AWS IoT learns of the device from its first connection, and drops that:",
                "the certificate is not ACTIVE yet. Seconds later the template has been applied.",
            ),
            {
                "refused by AWS IoT": "expected: AWS IoT registers the certificate meanwhile",
                "waiting": "{pause}, with jitter, and 90 s at most in all",
                "device connected": "the template has made the thing and activated the certificate",
            },
        ),
        Method(
            "jitr",
            (
                "As JITP, but you decide: AWS IoT registers the certificate and tells a rule;",
                "the rule calls a Lambda of yours, and that looks into an allow-list. On it:",
                "thing, policy, ACTIVE. Not on it: INACTIVE, for good.",
            ),
            {
                "refused by AWS IoT": "expected: registered, and the rule has called the Lambda",
                "waiting": "{pause}, with jitter, and 90 s at most in all",
                "device connected": "the Lambda found it on the allow-list, and activated it",
            },
            try_also={
                "see one refused that is not on the allow-list (exit code 4)": (
                    "factory make --method jitr --serial {serial}-X --not-allowed",
                    "DEVICE_JUST_IN_TIME__BUDGET=3 device boot --state {devices}/{serial}-X",
                )
            },
        ),
        Method(
            "multi-account",
            (
                "One certificate, registered without its CA in two accounts and Regions. Nothing",
                "in the device is changed to move it: the name that it dials (SNI) chooses the",
                "account, DEVICE_ENDPOINT here. DEVICE_PROXY leads that name to this machine.",
            ),
            {"device connected": "at the name of the first account"},
            make=(
                *_MAKE,
                *(w for at in _ACCOUNTS for w in ("--account", ":".join(at))),
            ),
            accounts=_ACCOUNTS,
        ),
        Method(
            "bulk",
            (
                "The station makes a batch: each device its own key, all requests in one file, one",
                "registration task for the file, and a report with a line a device, from which",
                "each gets its certificate. Nothing is left to do when the device first connects.",
            ),
            {"device connected": "at once: AWS has known this certificate since the factory"},
            make=("factory", "bulk", "--batch", "{batch}", "--count", "3"),
            serial="{batch}-0001",
        ),
        Method(
            "single-thing",
            (
                "One device, registered by one call: RegisterThing takes the device's own request",
                "and a template. For a bench, a repair, or a line that is always online.",
            ),
            {"device connected": "at once: AWS has known this certificate since the factory"},
            make=("factory", "single", "--serial", "{serial}"),
        ),
    )
}
