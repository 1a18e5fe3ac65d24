"""What the local AWS refuses: web pages, other hosts, and whoever has not its key."""

import datetime as dt
import hashlib
import http.client
import io
import json
import socket
import ssl
import zipfile
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from tests.wire.conftest import LocalCloud, client_of
from tests.wire.localcloud_registry import make_role, mark

pytestmark = pytest.mark.wire

ADMIN = [
    ("POST", "/_ministack/reset"),
    ("POST", "/_ministack/config"),
    ("GET", "/_ministack/health"),
    ("POST", "/_localcloud/reset"),
    ("POST", "/_localcloud/faults"),
    ("GET", "/_localcloud/wire"),
]
SERVICES = [
    ("POST", "/things/evil"),
    ("GET", "/things"),
    ("PUT", "/evil-bucket"),
    ("GET", "/"),
    ("POST", "/2015-03-31/functions"),
    ("POST", "/?Action=CreateRole&RoleName=evil"),
    ("GET", "/?Action=CreateRole&RoleName=evil"),
    ("GET", "/health"),
]
EVERY_PATH = [*ADMIN, *SERVICES]


@pytest.fixture(autouse=True)
def nothing_changes(local_cloud: LocalCloud) -> Iterator[None]:
    """Whatever is tried here, no thing, role or bucket is made, and none is forgotten."""
    iot = local_cloud.client("iot")
    iot.create_thing(thingName="made-before")
    before = registry(local_cloud)
    yield
    assert registry(local_cloud) == before


def registry(cloud: LocalCloud) -> tuple[list[str], ...]:
    things = [each["thingName"] for each in cloud.client("iot").list_things()["things"]]
    roles = [each["RoleName"] for each in cloud.client("iam").list_roles()["Roles"]]
    buckets = [each["Name"] for each in cloud.client("s3").list_buckets()["Buckets"]]
    return things, [r for r in roles if not r.startswith("role-")], buckets


def ask(cloud: LocalCloud, method: str, path: str, **headers: str) -> tuple[int, dict[str, str]]:
    """Send a request as it is; return status and headers of the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", api_port(cloud), timeout=10)
    try:
        connection.putrequest(method, path, skip_host="Host" in headers)
        for name, value in {"Content-Length": "0", **headers}.items():
            connection.putheader(name.replace("_", "-"), value)
        connection.endheaders()
        answer = connection.getresponse()
        answer.read()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}
    finally:
        connection.close()


def api_port(cloud: LocalCloud) -> int:
    return int(cloud.api_url.rpartition(":")[2])


def signed(cloud: LocalCloud, method: str, path: str, key: Credentials, **more: str) -> Any:
    request = AWSRequest(method=method, url=cloud.api_url + path, headers=more)
    SigV4Auth(key, "iot", "us-east-1").add_auth(request)
    return dict(request.headers)


def root(cloud: LocalCloud) -> Credentials:
    variables = cloud.environment
    return Credentials(variables["AWS_ACCESS_KEY_ID"], variables["AWS_SECRET_ACCESS_KEY"])


# --- browsers ------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "path"), EVERY_PATH)
def test_a_web_page_is_refused_even_with_a_good_signature(
    local_cloud: LocalCloud, method: str, path: str
) -> None:
    headers = signed(local_cloud, method, path, root(local_cloud))
    for sent in ({"Origin": "http://page"}, {"Sec-Fetch-Site": "cross-site"}):
        status, answered = ask(local_cloud, method, path, **headers, **sent)
        assert status == 403
        assert not [name for name in answered if name.startswith("access-control-")]


@pytest.mark.parametrize(("method", "path"), EVERY_PATH)
def test_a_rebound_name_is_refused_even_with_a_good_signature(
    local_cloud: LocalCloud, method: str, path: str
) -> None:
    headers = signed(local_cloud, method, path, root(local_cloud))
    rebound = f"rebound.example:{api_port(local_cloud)}"
    assert ask(local_cloud, method, path, **headers, Host=rebound)[0] == 403


@pytest.mark.parametrize(("method", "path"), EVERY_PATH)
def test_a_preflight_is_refused(local_cloud: LocalCloud, method: str, path: str) -> None:
    asked = {"Origin": "http://page", "Access-Control-Request-Method": method}
    status, answered = ask(local_cloud, "OPTIONS", path, **asked)
    assert status == 403
    assert not [name for name in answered if name.startswith("access-control-")]


def test_an_answer_to_a_client_of_aws_has_no_cors_headers(local_cloud: LocalCloud) -> None:
    headers = signed(local_cloud, "GET", "/things", root(local_cloud))
    status, answered = ask(local_cloud, "GET", "/things", **headers)
    assert status == 200
    assert not [name for name in answered if name.startswith("access-control-")]


@pytest.mark.parametrize("path", ["/mqtt", "/", "/_localcloud/wire"])
@pytest.mark.parametrize(
    "host", ["127.0.0.1", "abc-ats.iot.us-east-1.localhost", "rebound.example"]
)
def test_a_websocket_is_refused(local_cloud: LocalCloud, path: str, host: str) -> None:
    upgrade = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
        "Sec-WebSocket-Protocol": "mqtt",
    }
    sent = {**upgrade, "Host": f"{host}:{api_port(local_cloud)}"}
    assert ask(local_cloud, "GET", path, **sent)[0] == 403
    assert ask(local_cloud, "GET", path, **sent, Origin="http://page")[0] == 403


def speak(port: int, data: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(data)
        said = b""
        try:
            while read := connection.recv(4096):
                said += read
        except ConnectionResetError:
            pass
        return said


@pytest.mark.parametrize("header", [
    b"Origin: http://page", b"sec-fetch-site: cross-site", b"Host: rebound.example",
])  # fmt: skip
def test_no_tunnel_for_a_web_page(local_cloud: LocalCloud, header: bytes) -> None:
    asked = b"CONNECT localhost:8883 HTTP/1.1\r\nHost: localhost:8883\r\n%s\r\n\r\n" % header
    assert speak(local_cloud.mqtt_port, asked).startswith(b"HTTP/1.1 403")


def test_no_tunnel_to_another_host(local_cloud: LocalCloud) -> None:
    asked = b"CONNECT rebound.example:8883 HTTP/1.1\r\n\r\n"
    assert speak(local_cloud.mqtt_port, asked).startswith(b"HTTP/1.1 403")


@pytest.mark.parametrize("method", ["GET", "POST", "CONNECTED"])
def test_the_mqtt_port_answers_no_web_page_in_the_clear(
    local_cloud: LocalCloud, method: str
) -> None:
    asked = f"{method} /_localcloud/reset HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    assert b"HTTP/1.1 200" not in speak(local_cloud.mqtt_port, asked)


def test_the_mqtt_port_answers_no_web_page_over_tls(local_cloud: LocalCloud) -> None:
    trusting = ssl.create_default_context(cafile=local_cloud.root_ca)
    with (
        socket.create_connection(("127.0.0.1", local_cloud.mqtt_port), timeout=10) as raw,
        trusting.wrap_socket(raw, server_hostname="localhost") as tls,
    ):
        tls.sendall(b"POST /_localcloud/reset HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b"HTTP" not in tls.recv(4096)


# --- keys ----------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "path"), EVERY_PATH)
def test_nothing_is_served_unsigned(local_cloud: LocalCloud, method: str, path: str) -> None:
    assert ask(local_cloud, method, path)[0] == 403


@pytest.mark.parametrize("key", [
    Credentials("test", "test"),
    Credentials("000000000000", "test"),
    Credentials("AKIAUNKNOWN", "secret"),
    Credentials("", "test"),
])  # fmt: skip
@pytest.mark.parametrize(("method", "path"), EVERY_PATH)
def test_no_well_known_key_opens_anything(
    local_cloud: LocalCloud, method: str, path: str, key: Credentials
) -> None:
    assert ask(local_cloud, method, path, **signed(local_cloud, method, path, key))[0] == 403
    request = AWSRequest(method=method, url=local_cloud.api_url + path)
    SigV4QueryAuth(key, "iot", "us-east-1").add_auth(request)
    link = urlsplit(request.url)
    assert ask(local_cloud, method, f"{link.path}?{link.query}")[0] == 403


@pytest.mark.parametrize("changed", [
    {"path": "/things/other"}, {"method": "DELETE"}, {"body": b"other"}, {"late": 3600},
])  # fmt: skip
def test_a_signature_of_the_root_is_good_for_what_it_signs(
    local_cloud: LocalCloud, changed: dict[str, Any]
) -> None:
    request = AWSRequest(
        method="POST", url=f"{local_cloud.api_url}/things/signed-wrong", data=b"{}"
    )
    signer = SigV4Auth(root(local_cloud), "iot", "us-east-1")
    signer.add_auth(request)
    headers = {**request.headers, "Content-Length": "2"}
    if "late" in changed:
        signed_at = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=changed["late"])
        headers["X-Amz-Date"] = signed_at.strftime("%Y%m%dT%H%M%SZ")
    connection = http.client.HTTPConnection("127.0.0.1", api_port(local_cloud), timeout=10)
    body = changed.get("body", b"{}")
    headers["Content-Length"] = str(len(body))
    connection.request(
        changed.get("method", "POST"), changed.get("path", "/things/signed-wrong"), body, headers
    )
    assert connection.getresponse().status == 403
    connection.close()


@pytest.mark.parametrize("service", ["iot", "iam", "sts", "s3", "dynamodb", "lambda", "sqs", "ssm"])
def test_boto3_is_told_of_a_wrong_secret_in_the_words_of_aws(
    local_cloud: LocalCloud, service: str
) -> None:
    key_id = local_cloud.environment["AWS_ACCESS_KEY_ID"]
    client = client_of(service, local_cloud.api_url, key_id, "wrong", "us-east-1")
    calls = {"iot": "list_things", "iam": "list_roles", "sts": "get_caller_identity",
             "s3": "list_buckets", "dynamodb": "list_tables", "lambda": "list_functions",
             "sqs": "list_queues", "ssm": "describe_parameters"}  # fmt: skip
    with pytest.raises(ClientError) as refused:
        getattr(client, calls[service])()
    error = refused.value.response
    assert error["Error"]["Code"] in {"SignatureDoesNotMatch", "InvalidSignatureException"}
    assert error["ResponseMetadata"]["HTTPStatusCode"] in {400, 403}


def test_another_accounts_root_has_the_same_secret(local_cloud: LocalCloud) -> None:
    sts = local_cloud.client("sts", access_key="222222222222")
    assert sts.get_caller_identity()["Account"] == "222222222222"


def test_a_user_may_not_reach_the_local_aws_itself(local_cloud: LocalCloud) -> None:
    iam, name = local_cloud.client("iam"), mark("user")
    iam.create_user(UserName=name)
    made = iam.create_access_key(UserName=name)["AccessKey"]
    key = Credentials(made["AccessKeyId"], made["SecretAccessKey"])
    for method, path in ADMIN:
        headers = signed(local_cloud, method, path, key)
        assert ask(local_cloud, method, path, **headers)[0] == 403


# --- what must still work ------------------------------------------------------------


@pytest.mark.parametrize("version", ["s3v4", "s3"])
@pytest.mark.parametrize("style", ["path", "virtual"])
def test_presigned_links_of_s3_work_and_are_checked(
    local_cloud: LocalCloud, version: str, style: str
) -> None:
    config = Config(signature_version=version, s3={"addressing_style": style})
    s3 = boto(local_cloud, "s3", config)
    bucket = "links-bucket"
    local_cloud.client("s3").create_bucket(Bucket=bucket)
    local_cloud.client("s3").put_object(Bucket=bucket, Key="a key", Body=b"content")
    try:
        link = urlsplit(s3.generate_presigned_url("get_object", {"Bucket": bucket, "Key": "a key"}))
        target = f"{link.path}?{link.query}"
        assert ask(local_cloud, "GET", target, Host=link.netloc)[0] == 200
        assert ask(local_cloud, "GET", target.replace("a%20key", "b"), Host=link.netloc)[0] == 403
        assert ask(local_cloud, "DELETE", target, Host=link.netloc)[0] == 403
        assert ask(local_cloud, "GET", target, Host=link.netloc, Origin="http://page")[0] == 403
    finally:
        local_cloud.client("s3").delete_object(Bucket=bucket, Key="a key")
        local_cloud.client("s3").delete_bucket(Bucket=bucket)


def boto(cloud: LocalCloud, service: str, config: Config) -> Any:
    key = root(cloud)
    url = cloud.api_url.replace("127.0.0.1", "localhost")
    return boto3.client(
        service, endpoint_url=url, aws_access_key_id=key.access_key,
        aws_secret_access_key=key.secret_key, region_name="us-east-1", config=config,
    )  # fmt: skip


def test_an_assumed_role_works_with_its_session_only(local_cloud: LocalCloud) -> None:
    iam, name = local_cloud.client("iam"), mark("role")
    trust = {"Effect": "Allow", "Principal": {"AWS": "000000000000"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=document)["Role"]["Arn"]
    iam.attach_role_policy(RoleName=name, PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")
    sts = local_cloud.client("sts")
    given = sts.assume_role(RoleArn=role, RoleSessionName="session")["Credentials"]
    key = Credentials(given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"])
    assert (
        ask(local_cloud, "GET", "/things", **signed(local_cloud, "GET", "/things", key))[0] == 200
    )
    bare = Credentials(given["AccessKeyId"], given["SecretAccessKey"])
    assert (
        ask(local_cloud, "GET", "/things", **signed(local_cloud, "GET", "/things", bare))[0] == 403
    )


HANDLER = """
import os, boto3
def handler(event, context):
    iot = boto3.client("iot")
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
    return {"things": len(iot.list_things()["things"]), "key": [os.environ[n] for n in names],
            "environment": dict(os.environ)}
"""


def test_a_lambda_function_has_a_key_of_its_role_that_nobody_can_guess(
    local_cloud: LocalCloud,
) -> None:
    role = make_role(local_cloud, "arn:aws:iam::aws:policy/AdministratorAccess", service="lambda")
    functions, name = local_cloud.client("lambda"), mark("function")
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("main.py", HANDLER)
    functions.create_function(
        FunctionName=name, Role=role, Runtime="python3.12", Handler="main.handler",
        Code={"ZipFile": archive.getvalue()}, Timeout=30,
    )  # fmt: skip
    try:
        answer = json.loads(functions.invoke(FunctionName=name)["Payload"].read())
        assert answer["things"] >= 1
        assert local_cloud.environment["AWS_SECRET_ACCESS_KEY"] not in json.dumps(answer)
        arn = functions.get_function(FunctionName=name)["Configuration"]["FunctionArn"]
        assert answer["key"] != guessed(arn, role)
    finally:
        functions.delete_function(FunctionName=name)


def guessed(function_arn: str, role_arn: str) -> list[str]:
    """What MiniStack derives from the names alone."""
    digest = hashlib.sha256(f"{function_arn}:{role_arn}".encode()).hexdigest()
    secret = hashlib.sha256(f"secret:{digest}".encode()).hexdigest()
    token = hashlib.sha256(f"token:{digest}".encode()).hexdigest()
    return [f"ASIA{digest[:16].upper()}", secret, token]
