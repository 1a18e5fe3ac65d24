"""The local AWS over TLS, and devices of every method as the real station makes them."""

import io
import json
import os
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, Final
from unittest import mock

import msgspec

from device.config.endpoint import Endpoint
from device.config.settings import Connection, Retry, Settings, load
from device.connection.awscrt_session import AwscrtSession
from device.connection.session import Session
from device.provisioning.events import Credential
from device.runtime.claim_delivery import DeliveredClaim
from device.runtime.clock import SystemClock
from device.runtime.credentials import ClaimSource
from device.storage.filesystem import Fs, OsFs
from device.storage.keys import TlsIdentity
from factory.cli import main
from tests.support.hang import SECONDS
from tests.support.worlds import Registry
from tests.wire.conftest import ROOT, LocalCloud

QUICK: Final = Connection(retry=Retry(longest=1.0), reply_timeout=SECONDS, connect_timeout=SECONDS)
"""Time is real here, so the waits between attempts are short."""

_LATEST_SECONDS: Final = 0.2
"""What a rude cloud holds back; time is real here."""

UNANSWERED: Final = msgspec.structs.replace(QUICK, reply_timeout=2.0)
"""For replies that never come, or late."""


class WireWorld:
    """One method on the local AWS, prepared by the station."""

    def __init__(
        self,
        local_cloud: LocalCloud,
        station: Path,
        method: str = "claim",
        account: str | None = None,
    ) -> None:
        config = load(ROOT / "config" / f"{method.removesuffix('-aws-keys')}.yaml", {}, {})
        self.clock = SystemClock()
        self.settings: Settings = msgspec.structs.replace(config, method=method, connection=QUICK)
        self.method = method
        self._cloud = local_cloud
        self._station = station
        self._account = account
        self.factory("prepare", "--method", method)

    def open_session(
        self,
        endpoint: Endpoint,
        root_ca_pem: bytes,
        tls_identity: Callable[[Credential], TlsIdentity],
        options: Connection,
    ) -> Session:
        return AwscrtSession(endpoint, root_ca_pem, tls_identity, options)

    def make_device(self, state: Path, serial: str, *options: str) -> Path:
        if self.method == "bulk":
            serials = state.parent / "serials"
            serials.write_text(f"{serial}\n")
            where = ("--out", str(state.parent))
            self.factory("bulk", "--batch", serial, "--serials", str(serials), *where, *options)
            return state.parent / serial
        device = ("--serial", serial, "--out", str(state), *options)
        if self.method == "single-thing":
            self.factory("single", *device)
        else:
            self.factory("make", "--method", self.method, *device)
        return state

    def claims(self, state: Path) -> ClaimSource | None:
        if self.method != "trusted-user":
            return None
        place = state.parent / "claim.json"
        if not place.exists():
            self.factory("claim", "--trusted-user", "--to", str(place))
        return DeliveredClaim(place, self.clock, lambda _: None)

    def mount(self, folder: Path) -> Fs:
        return OsFs(folder)

    def fault(self, kind: str, **fields: Any) -> None:
        if kind in {"drop-reply", "delay-reply"}:
            self.settings = msgspec.structs.replace(self.settings, connection=UNANSWERED)
        self._cloud.fault(kind, **fields)

    def clear_faults(self) -> None:
        self.settings = msgspec.structs.replace(self.settings, connection=QUICK)
        self._cloud.clear_faults()

    def set(self, **settings: float) -> None:
        """Change settings of the local AWS (docs/local-aws.md)."""
        self._cloud.admin("PUT", "settings", settings)

    def be_rude(self, percent: int, seed: int) -> None:
        """Let the local AWS be rude from now on, in the sequence of ``seed``; 0: no more."""
        manners = {"percent": percent, "seed": seed, "latest_seconds": _LATEST_SECONDS}
        self._cloud.admin("PUT", "rude", manners)

    def expire_tokens(self) -> None:
        self._cloud.fault("expire-tokens")

    def registry(self, serial: str) -> Registry:
        statuses = self.certificates(serial)
        if statuses is None:
            return Registry([], [])
        active = [identifier for identifier, status in statuses.items() if status == "ACTIVE"]
        return Registry([serial], active)

    def certificates(
        self, serial: str, account: str | None = None, region: str | None = None
    ) -> Mapping[str, str] | None:
        """Return the status of each certificate of a thing; None if there is no such thing."""
        iot = self._cloud.client("iot", account or self._account, region)
        if serial not in [thing["thingName"] for thing in iot.list_things()["things"]]:
            return None
        principals = iot.list_thing_principals(thingName=serial)["principals"]
        ids = [arn.rpartition("/")[2] for arn in principals]
        return {each: _status(iot, each) for each in ids}

    def status(self, certificate_id: str) -> str:
        """Return the status of a certificate."""
        return _status(self.iot, certificate_id)

    def endpoint_in(self, account: str, region: str) -> str:
        """Return what a device dials for an account in a Region."""
        iot = self._cloud.client("iot", account, region)
        told = iot.describe_endpoint(endpointType="iot:Data-ATS")
        return f"{told['endpointAddress']}:{self._cloud.mqtt_port}"

    @property
    def proxy(self) -> str:
        """The local AWS's own proxy, without which its names lead nowhere."""
        return f"http://{self._cloud.mqtt_host}:{self._cloud.mqtt_port}"

    def set_status(self, certificate_id: str, status: str) -> None:
        """Turn a certificate off, or on."""
        self.iot.update_certificate(certificateId=certificate_id, newStatus=status)

    @property
    def iot(self) -> Any:
        """A client of IoT Core, as its owner."""
        return self._cloud.client("iot", self._account)

    @property
    def _key(self) -> Mapping[str, str]:
        """The access key of an account of its own: the local AWS takes twelve digits for one."""
        return {"AWS_ACCESS_KEY_ID": self._account} if self._account else {}

    def factory(self, *arguments: str) -> list[Any]:
        """Run the station, in this process: it loads once; return the objects that it printed."""
        words = [*arguments, "--json", "--station", str(self._station)]
        with (
            mock.patch.dict(os.environ, {**self._cloud.environment, **self._key}),
            redirect_stdout(io.StringIO()) as said,
        ):
            assert main(words) == 0
        return [json.loads(line) for line in said.getvalue().splitlines()]


def _status(iot: Any, certificate_id: str) -> str:
    found = iot.describe_certificate(certificateId=certificate_id)
    return str(found["certificateDescription"]["status"])
