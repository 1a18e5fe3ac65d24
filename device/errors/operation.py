"""What goes wrong while a proven device is at work."""

from device.errors import ExitCode, FirstbootError
from device.errors.storage import InsufficientStorageError


class OutboxFullError(InsufficientStorageError):
    """The outbox holds as many publications, or bytes, as the settings allow."""

    exit_code = ExitCode.TRY_LATER
    next_step = (
        "Wait until AWS IoT has acknowledged some, or allow more: outbox.messages and outbox.bytes "
        "in the settings."
    )

    def __init__(self, publications: int, size: int) -> None:
        """Say how many ``publications`` of together ``size`` bytes wait."""
        super().__init__(f"the outbox is full: {publications} publications, {size} bytes, wait")
        self.publications = publications
        self.size = size


class ApplicationRefusedError(FirstbootError):
    """The device did not take a message of an application's own program."""

    next_step = "Allow the topic in the device's settings (application.publish), or send less."


class DeviceGoneError(FirstbootError):
    """The device does not answer at its socket."""

    exit_code = ExitCode.TRY_LATER
    next_step = "Start device run with application.socket set, then connect again."
