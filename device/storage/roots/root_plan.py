"""Which root of trust a device has, and where its key is: what the station notes.

None of it is secret, and none of it is a proof: a plan that was swapped leads to another key,
under which nothing opens (docs/adr/0015-root-of-trust-descriptor.md).
"""

from collections.abc import Callable
from typing import Annotated, ClassVar, Final, TypeAlias, get_args

import msgspec
from msgspec import Meta, Struct

from device.errors import ConfigurationError
from device.storage.filesystem import Fs
from device.storage.roots.root_of_trust import RootOfTrust


class _Plan(Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind"):
    """Each kind knows where its key is; unknown fields are refused."""

    example: ClassVar[str]
    """How it is written on a command line."""

    @property
    def kind(self) -> str:
        """Its name, in the descriptor and on the command line."""
        return str(self.__struct_config__.tag)


class FilePlan(_Plan, frozen=True, tag="file"):
    """Fuses simulated by files."""

    example: ClassVar[str] = "file"


class CredentialPlan(_Plan, frozen=True, tag="systemd-credential"):
    """A credential that systemd hands to the unit (``LoadCredentialEncrypted=``)."""

    example: ClassVar[str] = "systemd-credential:firstboot-root"
    credential: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]*\Z")] = "firstboot-root"


class TpmPlan(_Plan, frozen=True, tag="tpm"):
    """A TPM 2.0, reached as tpm2-tss writes it.

    Of its many ways only these: some of the others run a command, and the place where this is
    kept is not authenticated.
    """

    example: ClassVar[str] = "tpm:device:/dev/tpmrm0"
    tcti: Annotated[str, Meta(pattern=r"^(device|swtpm|tabrmd):[!-~]*\Z")] = "device:/dev/tpmrm0"


class Pkcs11Plan(_Plan, frozen=True, tag="pkcs11"):
    """An HMAC key in a PKCS #11 token; ``uri`` is of RFC 7512, with module-path."""

    example: ClassVar[str] = "pkcs11:token=LABEL?module-path=/path/to/module.so&pin-source=FILE"
    uri: Annotated[str, Meta(pattern=r"^pkcs11:")]


class OtpPlan(_Plan, frozen=True, tag="raspberry-pi-otp"):
    """A key in the one-time-programmable memory of a Raspberry Pi."""

    example: ClassVar[str] = "raspberry-pi-otp:1"
    key: Annotated[int, Meta(ge=1, le=255)] = 1


RootPlan: TypeAlias = FilePlan | CredentialPlan | TpmPlan | Pkcs11Plan | OtpPlan
RootMaker: TypeAlias = Callable[[RootPlan, Fs], RootOfTrust]
"""Makes the root of trust of a plan, with its files in a folder; tests bring fake hardware."""

FILE: Final = FilePlan()
_PLANS: Final[dict[str, type[RootPlan]]] = {
    str(each.__struct_config__.tag): each for each in get_args(RootPlan)
}


def parse_plan(text: str, source: str) -> RootPlan:
    """Read ``KIND[:PARAMETER]``, the parameter being the one key that the kind has.

    For example ``file``, ``systemd-credential:my-root``, ``tpm:device:/dev/tpmrm0``,
    ``raspberry-pi-otp:1``. A PKCS #11 URI is a plan as it stands.

    Raises:
        ConfigurationError: no such kind, or the parameter does not fit it; ``source`` is the
            option that said so.
    """
    kind, colon, parameter = text.partition(":")
    if kind not in _PLANS:
        step = f"Choose one of: {', '.join(_PLANS)}."
        raise ConfigurationError(source, "", f"unknown root of trust {kind!r}", step)
    plan = _PLANS[kind]
    names = plan.__struct_fields__
    fields = {"kind": kind}
    if colon:
        fields[names[0] if names else ""] = text if kind == "pkcs11" else parameter
    try:
        return msgspec.convert(fields, plan, strict=False)
    except msgspec.ValidationError:
        problem = f"{text!r} is not a root of trust of the kind {kind}"
        step = f"Write it like this: {plan.example}"
        raise ConfigurationError(source, "", problem, step) from None


def make_root(plan: RootPlan, fs: Fs) -> RootOfTrust:
    """Return the root of trust of ``plan`` on this machine, with its files in ``fs``."""
    match plan:
        case FilePlan():
            from device.storage.roots.file_fuses import FileFuses  # noqa: PLC0415

            return FileFuses(fs)
        case CredentialPlan(credential=name):
            from device.storage.roots.systemd_credential import SystemdCredential  # noqa: PLC0415

            return SystemdCredential(fs, name)
        case TpmPlan(tcti=tcti):
            from device.storage.roots.tpm import Tpm2  # noqa: PLC0415
            from device.storage.roots.tpm_root import TpmRoot  # noqa: PLC0415

            return TpmRoot(fs, Tpm2(tcti))
        case Pkcs11Plan(uri=uri):
            from device.storage.roots.pkcs11_root import Pkcs11Root  # noqa: PLC0415

            return Pkcs11Root(fs, uri)
        case OtpPlan(key=key):
            from device.storage.roots.firmware_mailbox import FirmwareMailbox  # noqa: PLC0415
            from device.storage.roots.raspberry_pi_otp import RaspberryPiOtp  # noqa: PLC0415

            return RaspberryPiOtp(fs, FirmwareMailbox(), key)
