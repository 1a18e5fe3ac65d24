"""What a foreign client needs of an account: a device that may do all, a fleet, a job."""

import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.wire.conftest import LocalCloud
from tests.wire.localcloud_registry import mark
from tests.wire.localcloud_sdk import Credential, Fleet, add_certificate, policy, prepare_fleet

_ANYTHING = policy(
    ("Connect", ["client/*"]), ("Publish Receive", ["topic/*"]), ("Subscribe", ["topicfilter/*"])
)


@dataclass(frozen=True)
class Files:
    """A certificate and its key, as most clients want them."""

    certificate: Path
    key: Path


@dataclass(frozen=True)
class Place:
    """One account of a local AWS, prepared."""

    cloud: LocalCloud
    folder: Path
    fleet: Fleet
    device: Credential

    def context(self, credential: Credential) -> ssl.SSLContext:
        """Return the TLS context of a client that uses Python's."""
        context = ssl.create_default_context(cafile=str(self.cloud.root_ca))
        files = self.files(credential)
        context.load_cert_chain(files.certificate, files.key)
        return context

    def files(self, credential: Credential) -> Files:
        """Write a credential down."""
        start = self.folder / credential.certificate_id[:8]
        files = Files(start.with_suffix(".crt"), start.with_suffix(".key"))
        for file, content in (
            (files.certificate, credential.certificate_pem),
            (files.key, credential.private_key_pem),
        ):
            file.touch(0o600)
            file.write_text(content)
        return files

    def thing(self) -> str:
        """Make a thing; any device certificate here may act for it."""
        name: str = self.cloud.client("iot").create_thing(thingName=mark("foreign"))["thingName"]
        return name

    def thing_with_job(self) -> tuple[str, str]:
        """Make a thing, and a job for it."""
        thing, job = self.thing(), mark("job")
        arn = f"arn:aws:iot:us-east-1:000000000000:thing/{thing}"
        document = json.dumps({"operation": "echo"})
        self.cloud.client("iot").create_job(jobId=job, targets=[arn], document=document)
        return thing, job

    def job_status(self, thing: str, job: str) -> str:
        """Return how a job goes, as the fleet's owner sees it."""
        found = self.cloud.client("iot").describe_job_execution(jobId=job, thingName=thing)
        status: str = found["execution"]["status"]
        return status

    def certificates(self, thing: str) -> Mapping[str, str]:
        """Return the status of each certificate of a thing."""
        iot = self.cloud.client("iot")
        names = iot.list_thing_principals(thingName=thing)["principals"]
        ids = [name.rpartition("/")[2] for name in names]
        described: list[Any] = [iot.describe_certificate(certificateId=one) for one in ids]
        return {
            one["certificateDescription"]["certificateId"]: one["certificateDescription"]["status"]
            for one in described
        }


def prepare(cloud: LocalCloud, folder: Path) -> Place:
    """Make the fleet and the device."""
    folder.mkdir(parents=True, exist_ok=True)
    return Place(cloud, folder, prepare_fleet(cloud), add_certificate(cloud, _ANYTHING))
