"""Which account and Region the station works in, in the words of ``--account``."""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from device.errors import ConfigurationError
from factory.account.aws import Aws, clients_of

_WHO: Final = re.compile(r"(?P<who>[^:]+)(:(?P<region>[a-z]{2}(-[a-z0-9]+)+))?")
_SESSION: Final = {
    "AWS_ACCESS_KEY_ID": "aws_access_key_id",
    "AWS_SECRET_ACCESS_KEY": "aws_secret_access_key",
    "AWS_SESSION_TOKEN": "aws_session_token",
    "AWS_PROFILE": "profile_name",
    "AWS_DEFAULT_REGION": "region_name",
    "AWS_REGION": "region_name",
}
"""What boto3 calls in a session's words what the AWS CLI reads from the environment."""
_LOCAL_ACCOUNT: Final = re.compile(r"[0-9]{12}")


def aws_accounts(words: list[str], environment: Mapping[str, str]) -> list[Aws]:
    """Return an account for each ``WHO[:REGION]``; for none, that of the environment.

    ``WHO`` is a profile of the AWS configuration. The local AWS has as many accounts as one
    likes, and takes their twelve digits as the access key.

    Raises:
        ConfigurationError: it is written otherwise, or digits are given and AWS is not local.
    """
    sessions = [_session(each, environment) for each in words] or [{}]
    return [Aws(clients_of(session)) for session in sessions]


def accounts_in(words: Sequence[str], environment: Mapping[str, str]) -> list[Aws]:
    """Return the accounts as `aws_accounts` does, and ask nothing but ``environment``.

    For a program that works in several places at once: its own variables do not count.

    Raises:
        ConfigurationError: as for `aws_accounts`.
    """
    url = environment.get("AWS_ENDPOINT_URL")
    own = {
        parameter: environment[name]
        for name, parameter in _SESSION.items()
        if environment.get(name)
    }
    if "aws_access_key_id" in own:  # it decides, as in boto3's own chain
        own.pop("profile_name", None)
    sessions = [{**own, **_session(each, environment)} for each in words] or [own]
    return [Aws(clients_of(session, url), url) for session in sessions]


def _session(words: str, environment: Mapping[str, str]) -> Mapping[str, str]:
    found = _WHO.fullmatch(words)
    if found is None:
        raise _unusable(words, "is not of the form PROFILE or PROFILE:REGION")
    who = _local_key(words, found["who"], environment) or {"profile_name": found["who"]}
    return {**who, "region_name": found["region"]} if found["region"] else who


def _local_key(words: str, who: str, environment: Mapping[str, str]) -> dict[str, str]:
    if not _LOCAL_ACCOUNT.fullmatch(who):
        return {}
    if "AWS_ENDPOINT_URL" not in environment:
        raise _unusable(words, "names an account by its digits, which only the local AWS accepts")
    secret = environment.get("AWS_SECRET_ACCESS_KEY", "")
    return {"aws_access_key_id": who, "aws_secret_access_key": secret}


def _unusable(words: str, problem: str) -> ConfigurationError:
    step = "On AWS, use a profile of your AWS configuration: --account production:eu-central-1"
    return ConfigurationError("--account", "", f"{words!r} {problem}", step)
