"""AWSIoTPythonSDK, AWS's SDK version 1 for Python, with its back-off (MQTT 3.1.1)."""

import itertools
import os
import time
from contextlib import suppress

from AWSIoTPythonSDK.exception import AWSIoTExceptions
from AWSIoTPythonSDK.MQTTLib import AWSIoTMQTTClient


def main() -> None:
    """Run until stopped."""
    client = AWSIoTMQTTClient(os.environ["ADVISOR_CLIENT_ID"], cleanSession=False)
    client.configureEndpoint(os.environ["ADVISOR_HOST"], int(os.environ["ADVISOR_PORT"]))
    names = ("CA", "KEY", "CERTIFICATE")
    client.configureCredentials(*(os.environ[f"ADVISOR_{name}"] for name in names))
    client.configureAutoReconnectBackoffTime(1, 8, 20)
    client.configureConnectDisconnectTimeout(5)
    client.configureMQTTOperationTimeout(5)
    while True:  # the first connection is the application's to retry
        with suppress(AWSIoTExceptions.connectTimeoutException, OSError):
            client.connect(10)
            break
        time.sleep(1)
    with suppress(AWSIoTExceptions.subscribeTimeoutException):
        client.subscribe("advisor/in", 1, lambda *_given: None)
    for number in itertools.count():
        with suppress(AWSIoTExceptions.publishTimeoutException):
            client.publishAsync("advisor/out", str(number), 1)
        time.sleep(1)


if __name__ == "__main__":
    main()
