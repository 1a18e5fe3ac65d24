"""What ``device doctor`` finds that no other command stops at."""

from typing import Final

from device.errors import ExitCode, Row

CREDENTIAL_EXPIRED: Final = Row(
    "FB-460",
    "CredentialExpiredError",
    "The certificate has ended, or ends soon",
    means="The certificate that the device would connect with has expired, or will soon.",
    causes=(
        "The device was off, or was not renewed, for longer than its certificate lives.",
        "The device's clock is ahead.",
    ),
    next_step="Compare this device's clock with the real time. If the clock is right, the device "
    "needs a new certificate: renew it before the end, or have the station make it again.",
    sentence="the {credential} ended at {end}, by {by}",
    exit_code=ExitCode.DENIED,
)
CHECK_UNFINISHED: Final = Row(
    "FB-461",
    "CheckUnfinishedError",
    "A check of doctor did not come to an end",
    means="A check took too long or failed itself, so it says nothing about the device.",
    causes=(
        "A disk, a TPM or a secure element does not answer.",
        "The check has a bug.",
    ),
    next_step="Look at what the check needs: its name says it. If that works, report the line.",
    sentence="{check}: {problem}",
)
NO_ALPN: Final = Row(
    "FB-462",
    "NoAlpnError",
    "The server did not choose the protocol by ALPN",
    means="On port 443 AWS IoT serves MQTT only to clients that ask for it by ALPN, and it "
    "confirms the protocol. This server confirmed none.",
    causes=(
        "A proxy or a firewall ends TLS and speaks to the device instead of AWS IoT.",
        "The endpoint is not AWS IoT Core: another web server answers on port 443.",
    ),
    next_step="Use port 8883, or have TLS passed through unchanged on port 443.",
    exit_code=ExitCode.TRY_LATER,
)
