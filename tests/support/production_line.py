"""A station at its command line, in an account of its own on the local AWS."""

import io
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import pytest

from factory.account.aws import Aws
from factory.cli import main
from factory.methods import METHODS
from tests.support.device_process import Finished, device_here
from tests.support.station_cloud import REGION, aws_of
from tests.wire.conftest import ROOT, LocalCloud, client_of

CONFIG: Final = ROOT / "config"
_AWS: Final[dict[tuple[str, str], Aws]] = {}


@dataclass(frozen=True)
class ProductionLine:
    """Where the station works, for one method."""

    cloud: LocalCloud
    account: str
    folder: Path
    method: str

    def of(self, method: str) -> "ProductionLine":
        """Return the same line, for another method."""
        return replace(self, method=method)

    @property
    def station(self) -> Path:
        """The station's folder."""
        return self.folder / "station"

    @property
    def aws(self) -> Aws:
        """The station's view of its account."""
        where = self.cloud.api_url, self.account
        if where not in _AWS:  # its clients take a third of a second to make
            _AWS[where] = aws_of(self.cloud, account=self.account)
        return _AWS[where]

    @property
    def environment(self) -> Mapping[str, str]:
        """What the station and a device's maker have set."""
        return {
            **self.cloud.environment,
            "AWS_ACCESS_KEY_ID": self.account,
            "AWS_DEFAULT_REGION": REGION,
        }

    def run(self, *words: str | Path) -> Finished:
        """Run a command of the station, in this process."""
        out, err = io.StringIO(), io.StringIO()
        arguments = [*map(str, words), "--station", str(self.station)]
        with redirect_stdout(out), redirect_stderr(err):
            code = main(arguments)
        assert "Traceback" not in err.getvalue()
        return Finished(code, out.getvalue(), err.getvalue())

    def prepare(self) -> Finished:
        """Run ``factory prepare``."""
        return self.run("prepare", "--method", self.method)

    def teardown(self) -> Finished:
        """Run ``factory teardown --devices``."""
        return self.run("teardown", "--method", self.method, "--devices")

    def make(self, state: Path, *words: str | Path) -> Path:
        """Make a device called as its folder is, and return that."""
        made = self.run(
            "make", "--method", self.method, "--serial", state.name, "--out", state, *words
        )
        assert made.code == 0, made.err
        return state

    def boot(self, state: Path, *words: str | Path, **settings: str) -> Finished:
        """Boot a device, in this process, with the settings that are sealed in it."""
        return device_here("boot", "--state", state, *words, **settings)

    def boot_with_claim(self, state: Path, *words: str | Path, **settings: str) -> Finished:
        """Boot a device; where a trusted user hands over a claim, have one handed over."""
        if self.method != "trusted-user":
            return self.boot(state, *words, **settings)
        place = state.parent / f"{state.name}.json"
        handed = self.run("claim", "--trusted-user", "--to", place)
        assert handed.code == 0, handed.err
        return self.boot(state, "--wait-for-claim", place, *words, **settings)

    def active(self, thing: str) -> list[str]:
        """Return the ids of the ACTIVE certificates that are attached to a thing."""
        iot = self.client("iot")
        principals = iot.list_thing_principals(thingName=thing)["principals"]
        ids = [principal.rpartition("/")[2] for principal in principals]
        described = [
            iot.describe_certificate(certificateId=each)["certificateDescription"] for each in ids
        ]
        return [each["certificateId"] for each in described if each["status"] == "ACTIVE"]

    def things(self) -> list[str]:
        """Return the names of all things in the account."""
        listed = self.client("iot").list_things()["things"]
        return sorted(each["thingName"] for each in listed)

    def client(self, service: str) -> Any:
        """Return a boto3 client, as anybody would make one."""
        secret = self.cloud.environment["AWS_SECRET_ACCESS_KEY"]
        return client_of(service, self.cloud.api_url, self.account, secret, REGION)


@contextmanager
def production_line(
    cloud: LocalCloud, account: str, folder: Path, method: str
) -> Iterator[ProductionLine]:
    """Open a line; what it leaves in the account is removed in the end."""
    with _opened(ProductionLine(cloud, account, folder, method)) as line:
        yield line
    METHODS[method].teardown(line.aws, None, devices=True)


@contextmanager
def prepared_line(
    cloud: LocalCloud, account: str, folder: Path, *methods: str
) -> Iterator[ProductionLine]:
    """Open a line on which one station has prepared ``methods``, in an account for this alone."""
    with _opened(ProductionLine(cloud, account, folder, methods[0])) as line:
        for method in methods:
            prepared = line.of(method).prepare()
            assert prepared.code == 0, prepared.err
        yield line


@contextmanager
def _opened(line: ProductionLine) -> Iterator[ProductionLine]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in line.environment.items():
            patch.setenv(name, value)
        yield line


def as_object(text: str) -> dict[str, Any]:
    """Return the last JSON object that a command printed."""
    return dict(json.loads(text.splitlines()[-1]))
