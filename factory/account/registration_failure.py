"""Why AWS would not register a device: from its own words to what can be done about it.

AWS publishes no list of these; the words are those of RegisterThing, of the reports of bulk
registration and of IAM (docs/aws-iot-facts.md, 2.7 and 4.4).
"""

import re
from collections.abc import Mapping
from typing import Final

_NEXT_STEPS: Final[Mapping[str, str]] = {
    r"(thing ?group|thing ?type|billing ?group) .*not found": (
        "The template names a group or type that is not in the account, and provisioning does not "
        "create it. The station creates those of its own templates: factory prepare --method METHOD"
    ),
    r"policy .*not found": (
        "The template names a policy that is not in the account. The station creates those of its "
        "own templates: factory prepare --method METHOD"
    ),
    r"csr |certificate ?signing ?request": (
        "AWS cannot use the CSR: damaged, not signed by its own key, or of a key type that it does "
        "not accept ("
        "RSA from 2048 bits, P-256, P-384, P-521). Make the device again."
    ),
    r"conflict": (
        "The thing already exists, and the template's OverrideSettings say FAIL. Delete the thing, "
        "or set DO_NOTHING, REPLACE or MERGE in the template."
    ),
    r"may not read|nosuchkey|no s3://": (
        "Allow the role to read the bucket (s3:GetObject on the file); factory prepare --method "
        "bulk does this. A new role may need ten seconds."
    ),
    r"not authorized|access ?denied|unauthorized|cannot be assumed": (
        "The role or the caller lacks a permission that the template needs. factory prepare "
        "--method METHOD restores the role; docs/station.md lists the actions that a caller needs."
    ),
    r"not json|not a json|not well-formed|malformed": (
        "The line in S3 was not written by the station: someone changed the file. Run the same "
        "command with --retry, which writes a new one."
    ),
    r"cannot resolve reference": (
        "The template needs a parameter that is not given. factory lint --method METHOD names it."
    ),
    r"rate exceeded|throttl|too many requests": (
        "The account's rate limit is reached. Run the same command again in a few minutes (a "
        "batch: with --retry), or request a higher quota."
    ),
}
"""What to do, by words in AWS's message (case apart); the first that fits counts."""


def next_step_for(message: str, method: str) -> str:
    """Return what to do about AWS's ``message`` when it refused a device of ``method``."""
    for words, next_step in _NEXT_STEPS.items():
        if re.search(words, message, re.IGNORECASE):
            return next_step.replace("METHOD", method)
    return "Read AWS's message above. It is safe to run the same command again."
