"""MiniStack with its gaps closed: what runs inside the server process.

Importing this module imports MiniStack, which reads its settings from the environment then.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ministack import app
from ministack.core import persistence
from ministack.services import iot as ministack_iot

from localcloud import lambda_credentials
from localcloud.door import Door
from localcloud.durable.broker import keep_before_answers
from localcloud.durable.keeper import Keeper
from localcloud.durable.state_files import StateFiles
from localcloud.errors import LocalCloudError, PortInUseError
from localcloud.fault_board import FaultBoard
from localcloud.fault_injection import inject
from localcloud.faults import ExpireTokens, parse_fault
from localcloud.gaps import all_gaps, close_gaps, endpoint_names, loopback, ownership_tokens
from localcloud.gaps.seam import Seam
from localcloud.gateway import Gateway
from localcloud.issuer import open_issuer
from localcloud.ports import owner_of
from localcloud.settings import Settings
from localcloud.signatures import Signatures
from localcloud.snapshot import Snapshot
from localcloud.state_folder import Ports, StateFolder
from localcloud.wire_log import WireLog, listen

_EXPIRY_SECONDS = 5.0


class Cloud:
    """One local AWS: the application to serve, and what runs beside it."""

    def __init__(self, folder: StateFolder, ports: Ports) -> None:
        """Close MiniStack's gaps; nothing listens yet.

        Raises:
            GapError: this is not the MiniStack that the gap modules know.
        """
        self._folder = folder
        self._ports = ports
        self._app = Seam(app)
        self._iot = Seam(ministack_iot)
        loopback.refuse_other_addresses()
        self._settings = Settings()
        gaps = all_gaps(open_issuer(folder.issuing_ca), self._settings)
        self._resumes = close_gaps(self._iot, gaps)
        self._faults = FaultBoard()
        inject(self._iot, self._faults)
        self._wire = WireLog()
        listen(self._iot, self._wire)
        files = StateFiles(
            folder.services,
            Seam(persistence)["_json_default"],
            Seam(persistence)["_state_format_version"],
        )
        files.recover()
        self._keeper = Keeper(files)
        keep_before_answers(self._app, self._iot, self._keeper)
        self._snapshot = Snapshot(self._keeper.save_all, lambda: self._keeper.is_behind)
        lambda_credentials.close(folder.access_key())
        self.gateway = Gateway(app.app, self._admin, self._keeper.keep, self._running)
        self.application = Door(self.gateway, ports.api, Signatures())

    @asynccontextmanager
    async def _running(self) -> AsyncIterator[None]:
        await self._listen()
        self._publish_root_ca()
        for resume in self._resumes:
            resume()
        self._keeper.save_all()
        tasks = [
            asyncio.create_task(self._snapshot.keep()),
            asyncio.create_task(self._expire_tokens()),
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            self._keeper.close()

    async def _listen(self) -> None:
        try:
            await self._iot["mtls_start"]()
        except OSError as error:
            port = self._ports.mqtt
            raise PortInUseError(port, owner_of(port), "--mqtt-port") from error

    def _publish_root_ca(self) -> None:
        new = self._folder.root_ca.with_suffix(".new")
        new.write_text(self._iot["get_ca_cert_pem"]())
        new.replace(self._folder.root_ca)

    async def _expire_tokens(self) -> None:
        while True:
            ownership_tokens.drop_expired(self._iot)
            await asyncio.sleep(_EXPIRY_SECONDS)

    async def _admin(self, method: str, path: str, body: bytes) -> object:
        match [method, *path.split("/")]:
            case ["GET", "status"]:
                return {"state": str(self._folder.path), "pid": os.getpid()}
            case ["POST", "reset"]:
                return await self._reset()
            case ["GET", "settings"]:
                return self._settings.listed()
            case ["PUT", "settings"]:
                self._settings.change(body)
                return self._settings.listed()
            case ["GET", "endpoint", account, region]:
                return {"name": endpoint_names.endpoint_name(self._iot, account, region)}
            case ["GET", "wire"]:
                return self._wire.listed()
            case ["DELETE", "wire"]:
                self._wire.forget()
                return {}
            case ["GET", "faults"]:
                return self._faults.listed()
            case ["POST", "faults"]:
                return self._switch_on(body)
            case ["DELETE", "faults"]:
                self._faults.switch_off()
                return {}
            case ["DELETE", "faults", number] if number.isdecimal():
                self._faults.switch_off(int(number))
                return {}
        raise LocalCloudError(f"there is no {method} {path} here")

    def _switch_on(self, body: bytes) -> object:
        fault = parse_fault(body)
        if isinstance(fault, ExpireTokens):
            aged = ownership_tokens.age(self._iot, fault.seconds)
            return {"tokens": aged}
        return {"id": self._faults.switch_on(fault)}

    async def _reset(self) -> object:
        async with self._app["_get_reset_lock"]():
            await asyncio.to_thread(self._app["_reset_all_state"])
        self._faults.switch_off()
        self._wire.forget()
        self._publish_root_ca()
        return {"reset": True}
