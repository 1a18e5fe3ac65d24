"""The AWS SDK, with what is the same for all of its clients made once a process.

Each command of the station opens a session of its own, as it does in a process of its own; the
suite runs some thousand of them in one process. A client is itself made anew each time.
"""

import functools
from typing import Any

import botocore.client
import botocore.hooks
import botocore.session


def install() -> None:
    """Read the models of AWS once; make the class of a service's clients once."""
    botocore.session.create_loader = functools.cache(botocore.session.create_loader)
    creator, aliaser = botocore.client.ClientCreator, botocore.hooks.EventAliaser
    creator._create_client_class = _once_for_a_name(creator._create_client_class)
    aliaser._alias_event_name = _once_for_a_name(aliaser._alias_event_name)


def _once_for_a_name(method: Any) -> Any:
    made: dict[str, Any] = {}

    @functools.wraps(method)
    def once(self: Any, name: str, *others: Any) -> Any:
        if name not in made:
            made[name] = method(self, name, *others)
        return made[name]

    return once
