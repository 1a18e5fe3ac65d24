"""What ``/_localcloud/`` on the API port answers."""

import json
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from localcloud.errors import CLOCK, NO_SUCH_PATH, LocalCloudError
from localcloud.faults.board import FaultBoard
from localcloud.faults.kinds import ExpireTokens, parse_fault
from localcloud.faults.rude import Rude
from localcloud.process.cloud_clock import CloudClock
from localcloud.settings import Settings
from localcloud.wire.log import WireLog
from localcloud.wire.registry_log import RegistryLog


@dataclass(frozen=True)
class Admin:
    """The paths of the local AWS itself."""

    status: Callable[[], object]
    reset: Callable[[], Awaitable[object]]
    endpoint_name: Callable[[str, str], str]
    age_tokens: Callable[[float], int]
    settings: Settings
    wire: WireLog
    registry: RegistryLog
    faults: FaultBoard
    clock: CloudClock
    rude: Rude

    async def __call__(self, method: str, path: str, body: bytes) -> object:
        """Answer ``method path``.

        Raises:
            LocalCloudError: there is no such path, or ``body`` makes no sense there.
        """
        name, _, rest = path.partition("/")
        match [method, name]:
            case ["GET", "status"]:
                return self.status()
            case ["POST", "reset"]:
                return await self.reset()
            case [_, "settings" | "rude"]:
                return self._settings(method, name, body)
            case ["GET", "endpoint"] if rest.count("/") == 1:
                return {"name": self.endpoint_name(*rest.split("/"))}
            case [_, "wire"]:
                return self._wire(method, rest)
            case ["GET", "watch"] if rest.isdecimal():
                return self._watched(int(rest))
            case [_, "faults"]:
                return self._faults(method, rest, body)
            case [_, "clock"]:
                return self._clock(method, body)
        raise _no(method, path)

    def _settings(self, method: str, name: str, body: bytes) -> object:
        settings = self.rude if name == "rude" else self.settings
        if method == "PUT":
            settings.change(body)
        elif method != "GET":
            raise _no(method, name)
        return settings.listed()

    def _wire(self, method: str, rest: str) -> object:
        match [method, *rest.split("/")]:
            case ["GET", ""]:
                return self.wire.listed()
            case ["GET", "after", number] if number.isdecimal():
                return self.wire.listed(int(number))
            case ["DELETE", ""]:
                self.wire.forget()
                return {}
        raise _no(method, f"wire/{rest}")

    def _watched(self, after: int) -> object:
        """Return what happened after a number; another ``run`` means that all is new."""
        run = f"{os.getpid()}.{self.wire.times_forgotten}"
        events, changes = self.wire.listed(after), self.registry.listed(after)
        return {"run": run, "events": events, "registry": changes}

    def _faults(self, method: str, rest: str, body: bytes) -> object:
        match [method, rest]:
            case ["GET", ""]:
                return self.faults.listed()
            case ["POST", ""]:
                return self._switch_on(body)
            case ["DELETE", ""]:
                self.faults.switch_off()
                return {}
            case ["DELETE", number] if number.isdecimal():
                self.faults.switch_off(int(number))
                return {}
        raise _no(method, f"faults/{rest}")

    def _switch_on(self, body: bytes) -> object:
        fault = parse_fault(body)
        if isinstance(fault, ExpireTokens):
            return {"tokens": self.age_tokens(fault.seconds)}
        return {"id": self.faults.switch_on(fault)}

    def _clock(self, method: str, body: bytes) -> object:
        if method == "POST":
            self.clock.advance(_seconds(body))
        elif method != "GET":
            raise _no(method, "clock")
        return self.clock.told()


def _seconds(body: bytes) -> float:
    try:
        match json.loads(body):
            case {"advance_seconds": int() | float() as seconds, **rest} if not rest:
                if not isinstance(seconds, bool) and 0 <= seconds <= _LONGEST:
                    return float(seconds)
    except (ValueError, RecursionError):
        pass
    raise CLOCK.error("advance_seconds must be a number of seconds from 0 to 100 years")


_LONGEST = 100 * 365 * 86400.0


def _no(method: str, path: str) -> LocalCloudError:
    return NO_SUCH_PATH.error(f"there is no {method} {path.rstrip('/')} here")
