"""A hostile page in a real browser: nothing that it tries changes or reads the local AWS.

The page is given what no page can have, links that are signed with the root's own key: the browser
itself tells the door that a page sent them.
"""

import shutil
from pathlib import Path

import pytest
from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.support.hostile_page import REBOUND, shown, victim
from tests.wire.conftest import LocalCloud

pytestmark = [
    pytest.mark.wire,
    pytest.mark.skipif(not shutil.which("chromium"), reason="no chromium: see scripts/_browser.py"),
]


WAYS = 18
"""In which the page tries each address."""


def link(url: str, path: str, key: Credentials, service: str, method: str = "GET") -> str:
    request = AWSRequest(method=method, url=url + path)
    SigV4QueryAuth(key, service, "us-east-1").add_auth(request)
    signed: str = request.url
    return signed


def attacks(cloud: LocalCloud) -> list[str]:
    api, variables = cloud.api_url, cloud.environment
    port = api.rpartition(":")[2]
    own = Credentials(variables["AWS_ACCESS_KEY_ID"], variables["AWS_SECRET_ACCESS_KEY"])
    role = "/?Action=CreateRole&Version=2010-05-08&RoleName=evil&AssumeRolePolicyDocument=%7B%7D"
    rebound, local = f"http://{REBOUND}:{port}", f"http://localhost:{port}"
    return [
        link(api, role, own, "iam"),
        link(local, role, own, "iam", "POST"),
        link(rebound, role, own, "iam"),
        link(api, "/things/evil", Credentials("test", "test"), "iot", "POST"),
        link(local, "/evil-bucket", own, "s3", "PUT"),
        f"{api}/_ministack/reset",
        link(local, "/_localcloud/reset", own, "localcloud", "POST"),
        link(rebound, "/_localcloud/wire", own, "localcloud"),
        f"http://bucket.localhost:{port}/",
        f"http://127.0.0.1:{cloud.mqtt_port}/",
        f"https://localhost:{cloud.mqtt_port}/mqtt",
    ]


def registry(cloud: LocalCloud) -> tuple[list[str], ...]:
    return (
        [each["thingName"] for each in cloud.client("iot").list_things()["things"]],
        [each["RoleName"] for each in cloud.client("iam").list_roles()["Roles"]],
        [each["Name"] for each in cloud.client("s3").list_buckets()["Buckets"]],
    )


def test_a_hostile_page_changes_and_reads_nothing(local_cloud: LocalCloud, tmp_path: Path) -> None:
    local_cloud.client("iot").create_thing(thingName="made-before")
    before = registry(local_cloud)
    outcomes = shown(attacks(local_cloud), tmp_path)
    assert registry(local_cloud) == before
    assert len(outcomes) == WAYS * len(attacks(local_cloud))
    let_in = {name: said for name, said in outcomes.items() if said.startswith(("READ", "OPEN"))}
    assert let_in == {}


def test_the_same_page_reaches_a_server_without_a_door(tmp_path: Path) -> None:
    with victim() as (port, asked):
        outcomes = shown([f"http://127.0.0.1:{port}/thing?x"], tmp_path)
    assert {"GET /thing?x", "POST /thing?x", "OPTIONS /thing?x", "PUT /thing?x"} <= set(asked)
    assert outcomes["0 get"].startswith("READ 200")
