"""Websockets to `/api/events/in` as Prefect's client opens them: sub-protocol, compression, auth frame, ping."""

import contextlib
import socket
import threading

from websockets.client import ClientProtocol
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.frames import Opcode
from websockets.protocol import State
from websockets.uri import parse_uri


class Socket:
    """One websocket whose answers to pings are sent by a thread."""

    def __init__(self, port: int):
        self.protocol = ClientProtocol(
            parse_uri(f"ws://127.0.0.1:{port}/api/events/in"),
            extensions=[ClientPerMessageDeflateFactory(client_max_window_bits=True)],
            subprotocols=["prefect"],
        )
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.lock = threading.Lock()
        self.protocol.send_request(self.protocol.connect())
        self.flush()
        self.receive_until(lambda events: self.protocol.state is State.OPEN)
        self.protocol.send_text(b'{"type": "auth", "token": null}')
        self.flush()
        self.receive_until(lambda events: any(event.opcode is Opcode.TEXT for event in events))
        self.protocol.send_ping(b"1")
        self.flush()
        self.receive_until(lambda events: any(event.opcode is Opcode.PONG for event in events))
        threading.Thread(target=self.answer_pings, daemon=True).start()

    def flush(self) -> None:
        """Send what the protocol has ready."""
        for content in self.protocol.data_to_send():
            self.socket.sendall(content)

    def receive_until(self, is_enough) -> None:
        """Read until what has come is enough."""
        seen = []
        while not is_enough(seen):
            content = self.socket.recv(65536)
            if not content or self.protocol.state in (State.CLOSING, State.CLOSED):
                raise RuntimeError(f"The websocket was closed: {self.protocol.close_exc}")
            self.protocol.receive_data(content)
            if self.protocol.handshake_exc:
                raise self.protocol.handshake_exc
            seen = [event for event in self.protocol.events_received() if hasattr(event, "opcode")]
            self.flush()

    def answer_pings(self) -> None:
        """Read until the end; the protocol makes the pongs."""
        while content := self.read():
            with self.lock, contextlib.suppress(OSError):  # The other end may be gone before it has the pong.
                self.protocol.receive_data(content)
                self.protocol.events_received()
                self.flush()

    def read(self) -> bytes:
        """Give what has come, nothing when the socket is closed."""
        try:
            return self.socket.recv(65536)
        except OSError:
            return b""

    def frames(self, texts: list[str]) -> list[bytes]:
        """Make the bytes of text frames, compressed and masked, to be sent in this order on this socket."""
        ready = []
        with self.lock:
            for text in texts:
                self.protocol.send_text(text.encode())
                ready.append(b"".join(self.protocol.data_to_send()))
        return ready

    def send(self, frames: list[bytes]) -> None:
        """Send frames made before."""
        for frame in frames:
            with self.lock:
                self.socket.sendall(frame)

    def close(self) -> None:
        """Close the connection as the client does, without waiting for the answer."""
        with self.lock, contextlib.suppress(OSError):
            self.protocol.send_close(1000)
            self.flush()
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
