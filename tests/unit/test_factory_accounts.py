"""``--account`` names a profile, or on the local AWS an account by its digits."""

from pathlib import Path

import pytest

from device.errors import ConfigurationError
from factory.account.accounts import aws_accounts
from factory.account.aws import Aws
from factory.errors import CLOUD_CONFIGURATION
from tests.support.errors import raises

LOCAL = {"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_SECRET_ACCESS_KEY": "not-a-secret"}


@pytest.fixture(autouse=True)
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with one profile, and an environment that names another account."""
    config = tmp_path / "config"
    config.write_text(
        "[profile production]\naws_access_key_id = AKIAPRODUCTION\n"
        "aws_secret_access_key = not-a-secret\nregion = eu-north-1\n"
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAENVIRONMENT")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-a-secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-west-2")
    monkeypatch.delenv("AWS_PROFILE", raising=False)


def key_and_region(cloud: Aws) -> tuple[str, str]:
    """Return whose key signs, and for which Region; nothing is sent."""
    client = cloud.client("iot")
    signer = client._request_signer  # type: ignore[attr-defined] # boto3 has no types
    return signer._credentials.access_key, signer.region_name


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ([], [("AKIAENVIRONMENT", "us-west-2")]),
        (["production"], [("AKIAPRODUCTION", "us-west-2")]),
        (["production:eu-central-1"], [("AKIAPRODUCTION", "eu-central-1")]),
        (["111122223333:us-gov-west-1"], [("111122223333", "us-gov-west-1")]),
        (
            ["111122223333", "444455556666:eu-west-1"],
            [("111122223333", "us-west-2"), ("444455556666", "eu-west-1")],
        ),
    ],
)
def test_words_become_accounts(words: list[str], found: list[tuple[str, str]]) -> None:
    assert [key_and_region(cloud) for cloud in aws_accounts(words, LOCAL)] == found


@pytest.mark.parametrize(
    "words", ["", ":eu-west-1", "production:", "production:somewhere", "a:b:c"]
)
def test_other_words_are_refused_with_an_example(words: str) -> None:
    with pytest.raises(ConfigurationError, match="--account") as raised:
        aws_accounts([words], LOCAL)
    assert "--account production:eu-central-1" in raised.value.next_step


def test_digits_are_for_the_local_aws_only() -> None:
    with pytest.raises(ConfigurationError, match="which only the local AWS accepts"):
        aws_accounts(["111122223333"], {})


def test_unknown_profile_is_named() -> None:
    [cloud] = aws_accounts(["nobody"], {})
    with raises(CLOUD_CONFIGURATION, match="nobody"):
        _ = cloud.account
