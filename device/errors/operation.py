"""What goes wrong while a proven device is at work."""

from typing import Final

from device.errors import ExitCode, FirstbootError, Row
from device.errors.storage import StorageError

OUTBOX_FULL: Final = Row(
    "FB-480",
    "OutboxFullError",
    "The outbox is full",
    means="The outbox holds as many unacknowledged messages, or bytes, as the settings allow.",
    causes=(
        "The device is not connected, or AWS IoT does not acknowledge.",
        "A program publishes faster than the connection takes it.",
    ),
    next_step="Wait until AWS IoT has acknowledged some, or allow more: outbox.messages and "
    "outbox.bytes in the settings.",
    sentence="the outbox is full: {publications} publications ({size} bytes) are not acknowledged",
    exit_code=ExitCode.TRY_LATER,
    kind=StorageError,
    needs="a program that publishes while the device is away",
)
APPLICATION_REFUSED: Final = Row(
    "FB-481",
    "ApplicationRefusedError",
    "The device refused a message of your program",
    means="The device refused a message that your program wanted to publish.",
    causes=("The settings do not allow the topic.", "The outbox is full."),
    next_step="Allow the topic in the device's settings (application.publish), or send less.",
    needs="a program that publishes on a topic which the settings do not allow",
)
DEVICE_GONE: Final = Row(
    "FB-482",
    "DeviceGoneError",
    "The device does not answer at its socket",
    means="Your program cannot reach the device on this machine.",
    causes=("device run is not running.", "The settings name no socket, or another one."),
    next_step="Start device run with application.socket set, then connect again.",
    exit_code=ExitCode.TRY_LATER,
    needs="a program that publishes while the device is off",
)


class ApplicationRefusedError(FirstbootError):
    """The device did not take a message of an application's own program."""

    row = APPLICATION_REFUSED


class DeviceGoneError(FirstbootError):
    """The device does not answer at its socket."""

    row = DEVICE_GONE
