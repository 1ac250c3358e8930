"""Websockets on which a server sends what is stored."""

from typing import Any

import orjson
from websockets.sync.client import ClientConnection
from websockets.sync.client import connect as connect_websocket

from tests.waiting import PATIENCE_SECONDS


def open_socket(server, path: str, **options: Any) -> ClientConnection:
    """Open a socket, with the handshake done; `options` are the client's."""
    url = server.api.replace("http", "ws") + path
    websocket = connect_websocket(url, subprotocols=["prefect"], open_timeout=PATIENCE_SECONDS, **options)
    websocket.send('{"type":"auth","token":null}')
    assert orjson.loads(websocket.recv(PATIENCE_SECONDS)) == {"type": "auth_success"}
    return websocket


def subscribe(server, path: str, **message: Any) -> ClientConnection:
    """Open a socket and send the message with the filter."""
    websocket = open_socket(server, path)
    websocket.send(orjson.dumps({"type": "filter", **message}).decode())
    return websocket
