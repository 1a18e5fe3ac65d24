# ruff: noqa: N802, N803 - operations and parameters have AWS's names
"""AWS's registry and bulk registration in memory, for tests that stop a station at every call."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Final

from cryptography import x509

from device.identity.certificates import certificate_id
from factory.account.cloud import Account, Response, Value
from factory.account.documents import load_template
from factory.errors import CloudRejectedError, NotInCloudError
from tests.support.certificates import DeviceAuthority
from tests.support.station_cloud import PowerCutError

HERE: Final = Account("123456789012", "eu-central-1")
_AUTHORITY: Final = DeviceAuthority()


class SimulatedRegistry:
    """What the station's registration calls do, and what they leave behind.

    ``cut_at`` counts every call, reads as well, from 1; with ``reply_lost`` the call is done
    before the plug is pulled. A test edits the plain fields.
    """

    def __init__(self) -> None:
        self.account = HERE
        self.cut_at = 0
        self.reply_lost = False
        self.calls: list[str] = []
        self.things: dict[str, dict[str, str]] = {}
        """Attachments: certificate ARN and type, by thing name."""
        self.certificates: dict[str, dict[str, Value]] = {}
        self.policies: dict[str, list[str]] = {}
        """Policies by certificate ARN."""
        self.known_policies = {"firstboot-device"}
        self.objects: dict[str, bytes] = {}
        self.tasks: dict[str, dict[str, Value]] = {}
        self.foreign_tasks: list[str] = []
        """Tasks of someone else that run; each look at them ends one."""
        self.refused: dict[str, str] = {}
        """Why a serial number is not registered, in AWS's words."""
        self.failure = ""
        """Why every task fails as a whole."""
        self.bend: Callable[[str, x509.CertificateSigningRequest], bytes] = _issue
        """Makes the certificate for a serial number and a CSR."""
        self.polls = 1
        """How often a task is seen running."""

    @property
    def active(self) -> dict[str, list[str]]:
        """The ids of the ACTIVE certificates attached to each thing."""
        return {
            thing: [
                str(each["certificateId"])
                for each in self.certificates.values()
                if each["certificateArn"] in attached and each["status"] == "ACTIVE"
            ]
            for thing, attached in self.things.items()
        }

    def call(self, service: str, operation: str, **parameters: Value) -> Response:
        """Do ``operation``; see ``factory.account.cloud.Cloud``."""
        del service
        self.calls.append(operation)
        self._cut(reply_lost=False)
        try:
            response: Response = getattr(self, f"_{operation}")(**parameters)
        finally:
            self._cut(reply_lost=True)
        return response

    def pages(self, service: str, operation: str, **parameters: Value) -> Iterator[Response]:
        """Yield one page of ``operation``."""
        yield self.call(service, operation, **parameters)

    def download(self, url: str) -> bytes:
        """Return what is behind a link of a report."""
        self.calls.append("download")
        self._cut(reply_lost=self.reply_lost)
        return self.objects[url]

    def _cut(self, *, reply_lost: bool) -> None:
        if len(self.calls) == self.cut_at and reply_lost is self.reply_lost:
            raise PowerCutError

    def _DescribeThing(self, thingName: str) -> Response:
        if thingName not in self.things:
            raise NotInCloudError("iot:DescribeThing", "ResourceNotFoundException", thingName)
        return {"thingName": thingName, "attributes": {}}

    def _CreateThing(self, thingName: str, **_: Value) -> Response:
        self.things.setdefault(thingName, {})
        return {}

    def _ListThingPrincipals(self, thingName: str) -> Response:
        self._DescribeThing(thingName)
        return {"principals": list(self.things[thingName])}

    def _ListThingPrincipalsV2(self, thingName: str) -> Response:
        attached = self.things[thingName].items()
        listed: list[Value] = [{"principal": a, "thingPrincipalType": t} for a, t in attached]
        return {"thingPrincipalObjects": listed}

    def _AttachThingPrincipal(
        self, thingName: str, principal: str, thingPrincipalType: str
    ) -> Response:
        self.things[thingName][principal] = thingPrincipalType
        return {}

    def _DescribeCertificate(self, certificateId: str) -> Response:
        return {"certificateDescription": self.certificates[certificateId]}

    def _ListCertificates(self, **_: Value) -> Response:
        return {"certificates": list(reversed(self.certificates.values()))}

    def _CreateCertificateFromCsr(
        self, certificateSigningRequest: str, setAsActive: bool
    ) -> Response:
        return self._issued("", certificateSigningRequest, "ACTIVE" if setAsActive else "INACTIVE")

    def _UpdateCertificate(self, certificateId: str, newStatus: str) -> Response:
        self.certificates[certificateId]["status"] = newStatus
        return {}

    def _ListAttachedPolicies(self, target: str) -> Response:
        return {"policies": [{"policyName": name} for name in self.policies.get(target, [])]}

    def _AttachPolicy(self, policyName: str, target: str) -> Response:
        if policyName not in self.known_policies:
            raise NotInCloudError("iot:AttachPolicy", "ResourceNotFoundException", policyName)
        self.policies.setdefault(target, []).append(policyName)
        return {}

    def _RegisterThing(self, templateBody: str, parameters: dict[str, str]) -> Response:
        serial_number = parameters["SerialNumber"]
        if reason := self.refused.get(serial_number):
            raise CloudRejectedError(
                "iot:RegisterThing", "ResourceRegistrationFailureException", reason
            )
        properties = json.loads(templateBody)["Resources"]["certificate"]["Properties"]
        kind = properties.get("ThingPrincipalType", "NON_EXCLUSIVE_THING")
        issued = self._issued(serial_number, parameters["CSR"], "ACTIVE")
        self._CreateThing(serial_number)
        self._AttachThingPrincipal(serial_number, str(issued["certificateArn"]), kind)
        self._AttachPolicy("firstboot-device", str(issued["certificateArn"]))
        return {"certificatePem": issued["certificatePem"]}

    def _PutObject(self, Bucket: str, Key: str, Body: bytes) -> Response:
        del Bucket
        self.objects[Key] = Body
        return {}

    def _StartThingRegistrationTask(self, inputFileKey: str, **_: Value) -> Response:
        task_id = f"task-{len(self.tasks) + 1}"
        task: dict[str, Value] = {
            "inputFileKey": inputFileKey, "status": "InProgress", "polls": self.polls,
            "successCount": 0, "failureCount": 0,
        }  # fmt: skip
        self.tasks[task_id] = task
        self._register_lines(task_id, task)
        return {"taskId": task_id}

    def _register_lines(self, task_id: str, task: dict[str, Value]) -> None:
        results, errors = [], []
        lines = [] if self.failure else self.objects[str(task["inputFileKey"])].splitlines()
        for number, line in enumerate(lines, 1):
            try:
                made = self._RegisterThing(_TEMPLATE, json.loads(line))
                response = {"CertificatePem": made["certificatePem"], "ResourceArns": {}}
                results.append({"lineNumber": number, "response": response})
            except CloudRejectedError as error:
                reason = {"errorCode": error.error_code, "errorMessage": str(error)}
                errors.append({"lineNumber": number, **reason})
        task |= {"successCount": len(results), "failureCount": len(errors)}
        for kind, found in (("RESULTS", results), ("ERRORS", errors)):
            self.objects[f"{task_id}/{kind}"] = b"\n".join(json.dumps(e).encode() for e in found)

    def _DescribeThingRegistrationTask(self, taskId: str) -> Response:
        task = self.tasks[taskId]
        self._look_at(task)
        return {**task, "taskId": taskId, "message": self.failure}

    def _look_at(self, task: dict[str, Value]) -> None:
        if task["polls"]:
            task["polls"] = int(str(task["polls"])) - 1
        else:
            task["status"] = "Failed" if self.failure else "Completed"

    def _ListThingRegistrationTasks(self, status: str | None = None) -> Response:
        if status == "InProgress" and self.foreign_tasks:
            return {"taskIds": [self.foreign_tasks.pop(0)]}
        known = [each for each, task in self.tasks.items() if status in {None, task["status"]}]
        for each in known if status else ():
            self._look_at(self.tasks[each])
        return {"taskIds": list(known)}

    def _ListThingRegistrationTaskReports(self, taskId: str, reportType: str) -> Response:
        link = f"{taskId}/{reportType}"
        return {"resourceLinks": [link] if self.objects[link] else []}

    def _issued(self, serial_number: str, csr_pem: str, status: str) -> dict[str, Value]:
        csr = x509.load_pem_x509_csr(csr_pem.encode())
        pem = self.bend(serial_number, csr)
        identifier = certificate_id(pem)
        certificate: dict[str, Value] = {
            "certificateId": identifier,
            "certificateArn": f"arn:aws:iot:eu-central-1:123456789012:cert/{identifier}",
            "certificatePem": pem.decode(),
            "status": status,
            "creationDate": datetime.now(UTC),
        }
        self.certificates[identifier] = certificate
        return certificate


def _issue(serial_number: str, csr: x509.CertificateSigningRequest) -> bytes:
    del serial_number
    return _AUTHORITY.issue(csr.public_key(), csr.subject)  # type: ignore[arg-type] # EC keys here


_TEMPLATE: Final = load_template("firstboot-bulk")
