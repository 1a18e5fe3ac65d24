"""What ``device doctor`` finds that no other command stops at."""

from typing import Final

from device.errors import ExitCode, Row

CREDENTIAL_EXPIRED: Final = Row(
    "FB-460",
    "CredentialExpiredError",
    "The certificate has expired, or expires soon",
    means="The certificate that the device would connect with has expired, or will soon.",
    causes=(
        "The device was off, or did not renew its certificate, before it expired.",
        "The device's clock is ahead.",
    ),
    next_step="Compare this device's clock with the real time. If the clock is right, the device "
    "needs a new certificate: renew it before the end, or have the station make it again.",
    sentence="the {credential} expired at {end}, according to {by}",
    exit_code=ExitCode.DENIED,
    needs="a device whose certificate has expired",
)
CHECK_UNFINISHED: Final = Row(
    "FB-461",
    "CheckUnfinishedError",
    "A check of doctor did not finish",
    means="The check itself took too long or failed, so it says nothing about the device.",
    causes=(
        "A disk, a TPM or a secure element does not answer.",
        "The check has a bug.",
    ),
    next_step="Test what the check's name says, by hand. If that works, report this line as a bug.",
    sentence="{check}: {problem}",
    needs="a check that does not answer",
)
NO_ALPN: Final = Row(
    "FB-462",
    "NoAlpnError",
    "The server did not choose the protocol by ALPN",
    means="On port 443 AWS IoT serves MQTT only to clients that ask for it by ALPN, and it "
    "confirms the protocol. This server confirmed none.",
    causes=(
        "A proxy or a firewall ends TLS and talks to the device instead of AWS IoT.",
        "The endpoint is not AWS IoT Core: another web server answers on port 443.",
    ),
    next_step="Use port 8883, or let the proxy pass TLS on port 443 through unchanged.",
    exit_code=ExitCode.TRY_LATER,
    needs="a web server on port 443",
)
