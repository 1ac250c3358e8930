"""Handshakes of websockets: the request that asks for one is answered by taking its connection away from the worker.

permessage-deflate is declined: frames are small, and it takes about 300 kB of memory for each socket.
"""

import h11
from flask import Response, request
from werkzeug.exceptions import Forbidden
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection
from wsproto.utilities import ProtocolError

from handlers.errors import BadRequest
from handlers.http.connections import keep_alive
from handlers.http.messages import unavailable
from handlers.http.websockets import Purpose, Websocket, auth_string, loop


class TakenOver(Response):
    """An answer that the worker does not send, because the connection is no longer its own."""

    def __call__(self, environ, start_response):
        return []


def accept(purpose: Purpose) -> Response:
    """Answer the present request by opening its websocket, with 503 if there are too many.

    One that has brought no token yet makes room for it. Raises BadRequest for a faulty handshake, Forbidden (403, as Prefect)
    for one that can bring no token though one is needed.
    """
    if request.method != "GET" or request.environ["SERVER_PROTOCOL"] != "HTTP/1.1":
        raise BadRequest("A websocket is opened by GET and HTTP/1.1")
    if len(loop.websockets) >= loop.max_websockets and not loop.deadlines:
        return unavailable()
    handshake = WSConnection(ConnectionType.SERVER)
    headers = [(name.encode(), value.encode()) for name, value in request.headers.items()]
    try:
        handshake.initiate_upgrade_connection(headers, request.path)
        asked = next(handshake.events())
        speaks_prefect = "prefect" in asked.subprotocols
        if not speaks_prefect and auth_string():
            raise Forbidden("The websocket needs the sub-protocol prefect")
        answer = handshake.send(AcceptConnection(subprotocol="prefect" if speaks_prefect else None))
    except (ProtocolError, h11.ProtocolError, UnicodeError) as error:
        raise BadRequest(str(error)) from None
    take_over = request.environ.get("downbeat.take_over")
    if take_over is None:
        raise BadRequest("Websockets need the worker that gunicorn.conf.py names")
    connection, received = take_over()
    keep_alive(connection)
    if len(loop.websockets) >= loop.max_websockets:
        loop.call(loop.make_room)
    loop.add(Websocket(connection, purpose, authenticated=not speaks_prefect, received=received, unsent=answer))
    return TakenOver()
