"""MiniStack with its gaps closed: what runs inside the server process.

Importing this module imports MiniStack, which reads its settings from the environment then.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from ministack import app
from ministack.core import lambda_runtime, persistence
from ministack.services import iot as ministack_iot
from ministack.services import lambda_svc

from localcloud.door import lambda_credentials
from localcloud.door.connect_tunnel import open_tunnel
from localcloud.door.door import Door
from localcloud.door.loopback import listen_on_loopback, refuse_other_addresses
from localcloud.door.signatures import Signatures
from localcloud.durable.broker import keep_before_answers
from localcloud.durable.keeper import Keeper
from localcloud.durable.snapshot import Snapshot
from localcloud.durable.state_files import StateFiles
from localcloud.errors import PORT_IN_USE
from localcloud.faults.bad_certificate import inject_bad_certificates
from localcloud.faults.board import FaultBoard
from localcloud.faults.injection import inject
from localcloud.faults.rude import Rude
from localcloud.faults.wire import inject_into_wire
from localcloud.gaps import all_gaps, close_gaps, endpoint_names, ownership_tokens
from localcloud.gaps._support.issuer import open_issuer
from localcloud.process.admin import Admin
from localcloud.process.cloud_clock import CloudClock, move
from localcloud.process.gateway import Gateway
from localcloud.process.lambda_starts import limit_starts
from localcloud.process.ports import owner_of
from localcloud.process.state_folder import Ports, StateFolder
from localcloud.seam import Seam
from localcloud.settings import Settings
from localcloud.wire.log import WireLog, listen
from localcloud.wire.registry_log import RegistryLog

_EXPIRY_SECONDS = 5.0


class Cloud:
    """One local AWS: the application to serve, and what runs beside it."""

    def __init__(self, folder: StateFolder, ports: Ports, rude: Rude | None = None) -> None:
        """Close MiniStack's gaps; nothing listens yet. A ``rude`` one has a new root each time.

        Raises:
            GapError: this is not the MiniStack that the gap modules know.
        """
        self._folder = folder
        self._ports = ports
        self._app = Seam(app)
        self._iot = Seam(ministack_iot)
        refuse_other_addresses()
        self._settings = Settings()
        gaps = all_gaps(open_issuer(folder.issuing_ca), self._settings)
        self._resumes = close_gaps(self._iot, gaps)
        listen_on_loopback(self._iot)
        open_tunnel(self._iot, endpoint_names.is_endpoint)
        self._faults = FaultBoard()
        self._rude = rude or Rude()
        inject(self._iot, self._faults, self._rude)
        inject_bad_certificates(self._iot, self._faults)
        self._wire = WireLog(keeps_contents=lambda: self._settings.wire_contents)
        inject_into_wire(self._iot, self._faults, self._rude)
        listen(self._iot, self._wire)
        files = StateFiles(
            folder.services,
            Seam(persistence)["_json_default"],
            Seam(persistence)["_state_format_version"],
        )
        files.recover()
        if self._rude.percent:
            files.forget_parts("iot", "ca", "mtls_server")
        self._registry = RegistryLog(self._wire.next_number)
        self._keeper = Keeper(files, self._registry.note)
        keep_before_answers(self._app, self._iot, self._keeper)
        self._snapshot = Snapshot(self._keeper.save_all, lambda: self._keeper.is_behind)
        lambda_credentials.close(folder.access_key())
        limit_starts(Seam(lambda_runtime), Seam(lambda_svc))
        self._clock = CloudClock()
        move(self._iot, self._clock)
        admin = Admin(
            status=self._status,
            reset=self._reset,
            endpoint_name=partial(endpoint_names.endpoint_name, self._iot),
            age_tokens=partial(ownership_tokens.age, self._iot),
            settings=self._settings,
            wire=self._wire,
            registry=self._registry,
            faults=self._faults,
            clock=self._clock,
            rude=self._rude,
        )
        self.gateway = Gateway(app.app, admin, self._keeper.keep, self._running)
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
            raise PORT_IN_USE.error(port=port, owner=owner_of(port), flag="--mqtt-port") from error

    def _publish_root_ca(self) -> None:
        new = self._folder.root_ca.with_suffix(".new")
        new.write_text(self._iot["get_ca_cert_pem"]())
        new.replace(self._folder.root_ca)

    async def _expire_tokens(self) -> None:
        while True:
            ownership_tokens.drop_expired(self._iot)
            await asyncio.sleep(_EXPIRY_SECONDS)

    def _status(self) -> object:
        return {
            "state": str(self._folder.path),
            "pid": os.getpid(),
            "faults": len(self._faults.listed()),
            "rude_percent": self._rude.percent,
            "seed": self._rude.seed,
            **{f"clock_{name}": value for name, value in self._clock.told().items()},
        }

    async def _reset(self) -> object:
        async with self._app["_get_reset_lock"]():
            await asyncio.to_thread(self._app["_reset_all_state"])
        self._faults.switch_off()
        self._wire.forget()
        self._registry.forget()
        self._publish_root_ca()
        return {"reset": True}
