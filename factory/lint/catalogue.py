"""Which documents of config/ each method uses."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from factory.account.documents import CONFIG

_DEVICE: Final = "policies/firstboot-device"
_PROVISIONING: Final = "policies/firstboot-provisioning"
_BY_CLAIM: Final = (
    "templates/firstboot-claim", "policies/firstboot-claim", _DEVICE, _PROVISIONING,
    "policies/firstboot-claim-hook", "policies/firstboot-lambda",
)  # fmt: skip

DOCUMENTS: Final[Mapping[str, tuple[str, ...]]] = {
    "claim": _BY_CLAIM,
    "claim-aws-keys": _BY_CLAIM,
    "claim-own-ca": (
        "templates/firstboot-claim-own-ca", "policies/firstboot-claim-own-ca", _DEVICE,
        _PROVISIONING, "policies/firstboot-own-ca", "policies/firstboot-lambda",
    ),
    "trusted-user": (
        "templates/firstboot-trusted-user", _DEVICE, _PROVISIONING,
        "policies/firstboot-app", "policies/firstboot-app-trust",
    ),
    "jitp": ("templates/firstboot-jitp", _DEVICE, _PROVISIONING),
    "jitr": ("policies/firstboot-jitr-activate", "policies/firstboot-lambda", _DEVICE),
    "multi-account": (_DEVICE,),
    "bulk": ("templates/firstboot-bulk", _DEVICE, _PROVISIONING, "policies/firstboot-bulk"),
    "single-thing": ("templates/firstboot-single-thing", _DEVICE),
}  # fmt: skip
"""By method; the names are those of files in config/, without their ending."""


def documents_of(method: str, folder: Path = CONFIG) -> Iterator[Path]:
    """Yield the files that ``factory prepare`` would send to AWS for ``method``."""
    for name in DOCUMENTS[method]:
        yield folder / f"{name}.json"
