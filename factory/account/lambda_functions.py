"""The station's Lambdas: lambdas/*.py, one file a function, made, kept right, removed.

AWS Lambda API reference: CreateFunction, UpdateFunctionCode, AddPermission.
"""

import base64
import hashlib
import time
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Final

from factory.account.changes import Change, Outcome
from factory.account.cloud import MADE_BY_STATION, Cloud, Response, Value, structure
from factory.account.documents import FILES
from factory.account.lambda_permission import permit_iot
from factory.account.propagation import Sleep, wait_until, with_new_role
from factory.account.tags import check_owned
from factory.errors import NotInCloudError

KIND: Final = "Lambda function"
LAMBDAS: Final = (FILES / "lambdas").resolve()
_RUNTIME: Final = "python3.13"
_SECONDS: Final = 4
"""AWS IoT waits five seconds for a hook."""


@dataclass(frozen=True)
class Function:
    """A Lambda as it should be; ``invoked_by`` is the ARN of the rule or template that calls it."""

    name: str
    module: str
    role_arn: str
    environment: Mapping[str, str]
    invoked_by: str

    @property
    def package(self) -> bytes:
        """The code as a zip file; the same code is the same bytes, wherever it is packed."""
        packed = BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:  # stored: zlib differs between machines
            file = zipfile.ZipInfo(f"{self.module}.py")
            file.external_attr = 0o644 << 16  # else nobody may read it at AWS
            archive.writestr(file, (LAMBDAS / file.filename).read_bytes())
        return packed.getvalue()

    @property
    def configuration(self) -> dict[str, Value]:
        """What CreateFunction and UpdateFunctionConfiguration take, and AWS answers."""
        return {
            "Runtime": _RUNTIME,
            "Handler": f"{self.module}.handler",
            "Role": self.role_arn,
            "Timeout": _SECONDS,
            "Environment": {"Variables": dict(self.environment)},
        }


def ensure_function(cloud: Cloud, wanted: Function, sleep: Sleep = time.sleep) -> Change:
    """Create the function, or update its code, settings and permission to invoke it.

    Raises:
        NotMadeByStationError: someone else's function has this name.
        CloudError: AWS did not answer, or said no.
    """
    found = _find(cloud, wanted.name)
    if found is None:
        with_new_role(lambda: _create(cloud, wanted), sleep)
        _settle(cloud, wanted.name, sleep)
        permit_iot(cloud, wanted.name, wanted.invoked_by)
        return Change(KIND, wanted.name, Outcome.CREATED)
    _settle(cloud, wanted.name, sleep)
    repairs = _update(cloud, wanted, structure(found, "Configuration"), sleep)
    if permit_iot(cloud, wanted.name, wanted.invoked_by):
        repairs.append("permission to invoke it")
    if not repairs:
        return Change(KIND, wanted.name, Outcome.UNCHANGED)
    return Change(KIND, wanted.name, Outcome.UPDATED, f"restored: {', '.join(repairs)}")


def remove_function(cloud: Cloud, name: str) -> Change:
    """Delete the function ``name``.

    Raises:
        NotMadeByStationError: someone else's function has this name.
        CloudError: AWS did not answer, or said no.
    """
    if _find(cloud, name) is None:
        return Change(KIND, name, Outcome.ABSENT)
    cloud.call("lambda", "DeleteFunction", FunctionName=name)
    return Change(KIND, name, Outcome.REMOVED)


def environment_of(cloud: Cloud, name: str) -> Mapping[str, str]:
    """Return the variables of the function ``name``; none if there is no such function.

    Raises:
        NotMadeByStationError: someone else's function has this name.
        CloudError: AWS did not answer, or said no.
    """
    found = structure(_find(cloud, name) or {}, "Configuration")
    return {
        key: str(value)
        for key, value in structure(structure(found, "Environment"), "Variables").items()
    }


def function_arn(cloud: Cloud, name: str) -> str:
    """Return the function's ARN, without asking."""
    return cloud.account.arn("lambda", f"function:{name}")


def _find(cloud: Cloud, name: str) -> Response | None:
    try:
        found = cloud.call("lambda", "GetFunction", FunctionName=name)
    except NotInCloudError:
        return None
    check_owned(KIND, name, structure(found, "Tags"))
    return found


def _create(cloud: Cloud, wanted: Function) -> Response:
    return cloud.call(
        "lambda", "CreateFunction", FunctionName=wanted.name, Code={"ZipFile": wanted.package},
        Description="Decides on new devices (Firstboot)", Tags=dict(MADE_BY_STATION),
        **wanted.configuration,
    )  # fmt: skip


def _update(cloud: Cloud, wanted: Function, found: Response, sleep: Sleep) -> list[str]:
    repairs = []
    digest = base64.b64encode(hashlib.sha256(wanted.package).digest()).decode()
    if found["CodeSha256"] != digest:
        cloud.call("lambda", "UpdateFunctionCode", FunctionName=wanted.name, ZipFile=wanted.package)
        _settle(cloud, wanted.name, sleep)
        repairs.append("code")
    drifted = {key: value for key, value in wanted.configuration.items() if found.get(key) != value}
    if drifted:
        cloud.call("lambda", "UpdateFunctionConfiguration", FunctionName=wanted.name, **drifted)
        _settle(cloud, wanted.name, sleep)
        repairs += sorted(drifted)
    return repairs


def _settle(cloud: Cloud, name: str, sleep: Sleep) -> None:
    """Wait until AWS takes the next change."""

    def is_settled() -> bool:
        found = cloud.call("lambda", "GetFunctionConfiguration", FunctionName=name)
        return found.get("State") != "Pending" and found.get("LastUpdateStatus") != "InProgress"

    wait_until(f"the {KIND} {name}", is_settled, sleep)
