"""Connections as the cloud sees and ends them.

GetConnection and DeleteConnection of ``iot-data``, GetThingConnectivityData of ``iot``, and
ListNamedShadowsForThing (botocore models). DeleteConnection closes the MQTT connection of a client
id, with the reason API_INITIATED_DISCONNECT in the event; ``cleanSession`` ends its session as
well, ``preventWillMessage`` drops the will. MiniStack knows none of the four.
"""

import time
from collections.abc import Mapping
from urllib.parse import unquote

from ministack.services import iot_data

from localcloud.broker.link import EndError
from localcloud.broker.packets import Reason
from localcloud.gaps._support.rest import Answer, RefusedError, Request, is_unserved, page, serve
from localcloud.seam import Seam


def is_open(iot: Seam) -> bool:
    """Whether MiniStack still does not know the paths."""
    return is_unserved(iot, "POST", "/things/none/connectivity-data")


def close(iot: Seam) -> None:
    """Serve the operations."""
    data = Seam(iot_data)
    connections = Connections(iot)
    serve(iot, {"POST /things/{thingName}/connectivity-data": connections.of_thing})
    serve(
        data,
        {
            "GET /connections/{clientId}": connections.get,
            "DELETE /connections/{clientId}": connections.delete,
            "GET /api/things/shadow/ListNamedShadowsForThing/{thingName}": connections.shadows,
        },
        entry="handle_request",
    )


class Connections:
    """The operations, on MiniStack's registry of clients."""

    def __init__(self, iot: Seam) -> None:
        """Look in the stores of ``iot``."""
        self._iot = iot

    def _key(self, client_id: str) -> tuple[str, str, str]:
        return self._iot["get_account_id"](), self._iot["get_region"](), client_id

    async def of_thing(self, request: Request) -> Answer:
        """GetThingConnectivityData."""
        name = unquote(request.parts["thingName"])
        if name not in self._iot["_things"]:
            raise RefusedError("ResourceNotFoundException", f"Thing {name} not found", 404)
        known = self._iot["_thing_connectivity"](*self._key(name))
        answer = {"thingName": name, "connected": known["connected"]}
        if "timestamp" in known:
            answer["timestamp"] = known["timestamp"] / 1000
        if known.get("disconnectReason"):
            answer["disconnectReason"] = known["disconnectReason"]
        return answer

    async def get(self, request: Request) -> Answer:
        """GetConnection."""
        client_id = unquote(request.parts["clientId"])
        key = self._key(client_id)
        connection = self._iot["_connected_clients"].get(key)
        known = self._iot["_connectivity"].get(key)
        if known is None:
            raise _unknown(client_id)
        answer: dict[str, object] = {"clientId": client_id, "connected": connection is not None}
        if connection is not None:
            return {**answer, **connection.described(), "connectedSince": known["timestamp"]}
        why = {"disconnectReason": known["disconnectReason"]} if known["disconnectReason"] else {}
        return {**answer, "disconnectedSince": known["timestamp"], **why}

    async def delete(self, request: Request) -> Answer:
        """DeleteConnection."""
        client_id = unquote(request.parts["clientId"])
        connection = self._iot["_connected_clients"].get(self._key(client_id))
        if connection is None:
            raise _unknown(client_id)
        if _flag(request.query, "preventWillMessage"):
            connection.drop_will()
        if _flag(request.query, "cleanSession"):
            connection.drop_session()
        text = "the connection was deleted by the API"
        await connection.close(
            EndError(Reason.ADMINISTRATIVE_ACTION, text, "API_INITIATED_DISCONNECT")
        )
        return {}

    async def shadows(self, request: Request) -> Answer:
        """ListNamedShadowsForThing."""
        thing = unquote(request.parts["thingName"])
        names = sorted(
            name
            for (owner, name), record in self._iot["_shadows"].items()
            if owner == thing and name and not record.get("deleted")
        )
        size = request.query.get("pageSize")
        query = {**request.query, **({"maxResults": size} if size else {})}
        shown, token = page(Request(request.parts, query, {}), names)
        answer: dict[str, object] = {"results": list(shown), "timestamp": int(time.time())}
        return {**answer, "nextToken": token} if token else answer


def _flag(query: Mapping[str, str], name: str) -> bool:
    return query.get(name, "").lower() == "true"


def _unknown(client_id: str) -> RefusedError:
    text = f"There is no connection of client {client_id}"
    return RefusedError("ResourceNotFoundException", text, 404)
