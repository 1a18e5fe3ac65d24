"""The credentials of a Lambda function cannot be guessed.

On AWS a function gets temporary credentials of its execution role. MiniStack derives key, secret
and token from the function's and the role's names alone, so that whoever guesses the names has the
role; here the local AWS's own secret goes into them. They stay the same for a function, since a
warm one keeps what it was started with.
"""

import hashlib
import hmac
from collections.abc import Callable, Mapping
from typing import Any, Final

from ministack.core import lambda_runtime
from ministack.services import lambda_svc, sts

from localcloud.door.access_key import AccessKey
from localcloud.seam import Seam

_ID_CHARACTERS: Final = 16
_LONGEST_NAME: Final = 64  # of a role session: STS, AssumeRole, RoleSessionName

Credentials = dict[str, str]


def close(key: AccessKey) -> None:
    """Let functions run with credentials that are derived from ``key``."""
    for module in (lambda_runtime, lambda_svc):
        Seam(module)["execution_credentials"] = _issuing(key)


def _issuing(key: AccessKey) -> Callable[[Mapping[str, Any]], Credentials]:
    scope_of = Seam(lambda_runtime)["_account_region_from_function_config"]

    def execution_credentials(config: Mapping[str, Any]) -> Credentials:
        account, _region = scope_of(config)
        role = config.get("Role", "").rsplit("/", 1)[-1]
        session = config.get("FunctionName", "function")[:_LONGEST_NAME]
        issued = _derived(key, f"{config.get('FunctionArn', '')}:{config.get('Role', '')}")
        sts.register_session(
            issued["AWS_ACCESS_KEY_ID"],
            {
                "Arn": f"arn:aws:sts::{account}:assumed-role/{role}/{session}",
                "UserId": f"{role}:{session}",
                "SecretAccessKey": issued["AWS_SECRET_ACCESS_KEY"],
                "SessionToken": issued["AWS_SESSION_TOKEN"],
            },
        )
        return issued

    return execution_credentials


def _derived(key: AccessKey, function: str) -> Credentials:
    def secret(purpose: str) -> str:
        text = f"{purpose}:{function}".encode()
        return hmac.new(key.secret.encode(), text, hashlib.sha256).hexdigest()

    return {
        "AWS_ACCESS_KEY_ID": f"ASIA{secret('id')[:_ID_CHARACTERS].upper()}",
        "AWS_SECRET_ACCESS_KEY": secret("secret"),
        "AWS_SESSION_TOKEN": secret("token"),
    }
