"""Why AWS would not register a device: from its own words to what can be done about it.

AWS publishes no list of these; the words are those of RegisterThing, of the reports of bulk
registration and of IAM (docs/aws-iot-facts.md, 2.7 and 4.4).
"""

import re
from collections.abc import Mapping
from typing import Final

_NEXT_STEPS: Final[Mapping[str, str]] = {
    r"(thing ?group|thing ?type|billing ?group) .*not found": (
        "The template names a group or type that is not in the account, and provisioning makes "
        "none. The station makes what its own templates name: factory prepare --method METHOD"
    ),
    r"policy .*not found": (
        "The template names a policy that is not in the account. The station makes that of its "
        "own templates: factory prepare --method METHOD"
    ),
    r"csr |certificate ?signing ?request": (
        "AWS cannot use the CSR: damaged, not signed by its own key, or a key type it does not "
        "take (RSA from 2048 bits, P-256, P-384, P-521). Make the device anew."
    ),
    r"conflict": (
        "The thing is there already, and the template's OverrideSettings say FAIL. Delete the "
        "thing, or let the template say DO_NOTHING, REPLACE or MERGE."
    ),
    r"may not read|nosuchkey|no s3://": (
        "Let the role read the bucket (s3:GetObject on the file), which factory prepare --method "
        "bulk sees to; a role made a moment ago may need ten seconds."
    ),
    r"not authorized|access ?denied|unauthorized|cannot be assumed": (
        "The role, or the caller, may not do what the template asks. factory prepare --method "
        "METHOD brings the role back; docs/station.md lists the actions that a caller needs."
    ),
    r"no json|not well-formed|malformed": (
        "The line in S3 was not written by the station: somebody changed the file. Run the same "
        "command with --retry, which writes a new one."
    ),
    r"cannot resolve reference": (
        "The template wants a parameter that it is not given: factory lint --method METHOD names "
        "it."
    ),
    r"rate exceeded|throttl|too many requests": (
        "The account's rate is used up: run the same command again in some minutes (a batch: with "
        "--retry), or have the quota raised."
    ),
}
"""What to do, by words in AWS's message (case apart); the first that fits counts."""


def next_step_for(message: str, method: str) -> str:
    """Return what to do about AWS's ``message`` when it refused a device of ``method``."""
    for words, next_step in _NEXT_STEPS.items():
        if re.search(words, message, re.IGNORECASE):
            return next_step.replace("METHOD", method)
    return "Read AWS's message above. It is safe to run the same command again."
