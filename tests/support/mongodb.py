"""A server that speaks MongoDB's wire protocol to the real pymongo: handshake, and a few commands on lists.

No MongoDB server can be installed here: Debian has none since its licence changed. What the instrumentor sees is
pymongo's side, which is whole; what a server would compute is not what is tested.
"""

from __future__ import annotations

import contextlib
import itertools
import socketserver
import struct
import threading
from typing import TYPE_CHECKING, Any, Final

import bson

from support.servers import HOST, Server

if TYPE_CHECKING:
    from collections.abc import Generator

_HEADER: Final = struct.Struct("<iiii")
_OP_REPLY, _OP_QUERY, _OP_MSG = 1, 2004, 2013
_HELLO: Final = {
    "ismaster": True,
    "helloOk": True,
    "isWritablePrimary": True,
    "maxBsonObjectSize": 16_777_216,
    "maxMessageSizeBytes": 48_000_000,
    "maxWriteBatchSize": 100_000,
    "logicalSessionTimeoutMinutes": 30,
    "minWireVersion": 0,
    "maxWireVersion": 21,
    "readOnly": False,
    "ok": 1.0,
}


class _Store:
    """Collections by name, and cursors whose further batches are fetched."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self._documents: dict[str, list[dict[str, Any]]] = {}
        self._cursors: dict[int, list[dict[str, Any]]] = {}
        self._numbers = itertools.count(1)

    def answer(self, command: dict[str, Any]) -> dict[str, Any]:
        name = next(iter(command))
        self.seen.append(name)
        handler = getattr(self, f"_{name.lower()}", None)
        if handler is None:
            return {
                "ok": 0.0,
                "errmsg": f"no such command: '{name}'",
                "code": 59,
                "codeName": "CommandNotFound",
            }
        return handler(command)

    def _hello(self, _command: dict[str, Any]) -> dict[str, Any]:
        return _HELLO

    _ismaster = _hello

    def _ping(self, _command: dict[str, Any]) -> dict[str, Any]:
        return {"ok": 1.0}

    _endsessions = _killcursors = _ping

    def _insert(self, command: dict[str, Any]) -> dict[str, Any]:
        kept = self._documents.setdefault(command["insert"], [])
        errors = [
            {
                "index": index,
                "code": 11000,
                "errmsg": f"E11000 duplicate key error dup key: {document['_id']}",
            }
            for index, document in enumerate(command["documents"])
            if any(document["_id"] == each["_id"] for each in kept)
        ]
        kept += command["documents"]
        return {"ok": 1.0, "n": len(command["documents"])} | ({"writeErrors": errors} if errors else {})

    def _find(self, command: dict[str, Any]) -> dict[str, Any]:
        if "$bad" in command.get("filter", {}):
            return {
                "ok": 0.0,
                "errmsg": "unknown operator: $bad of mary@example.com",
                "code": 2,
                "codeName": "BadValue",
            }
        number = next(self._numbers)
        self._cursors[number] = list(self._documents.get(command["find"], []))
        return self._page(number, command["find"], command.get("batchSize", 101), "firstBatch")

    def _getmore(self, command: dict[str, Any]) -> dict[str, Any]:
        return self._page(
            command["getMore"], command["collection"], command.get("batchSize", 101), "nextBatch"
        )

    def _page(self, number: int, collection: str, size: int, name: str) -> dict[str, Any]:
        rest = self._cursors.pop(number)
        page, rest = rest[:size], rest[size:]
        if rest:
            self._cursors[number] = rest
        return {"ok": 1.0, "cursor": {"id": number if rest else 0, "ns": f"shop.{collection}", name: page}}


class _Handler(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):
            while message := self._read():
                self.request.sendall(message)

    def _read(self) -> bytes:
        head = self._exactly(_HEADER.size)
        if not head:
            return b""
        length, request, _, code = _HEADER.unpack(head)
        body = self._exactly(length - _HEADER.size)
        store = self.server.store  # pyright: ignore[reportAttributeAccessIssue] - set below
        if code == _OP_QUERY:  # a handshake, before the versions are known
            start = body.index(b"\0", 4) + 1 + 8
            size = struct.unpack_from("<i", body, start)[0]
            payload = struct.pack("<iqii", 8, 0, 0, 1) + bson.encode(
                store.answer(bson.decode(body[start : start + size]))
            )
            return self._framed(request, _OP_REPLY, payload)
        return self._framed(request, _OP_MSG, b"\0\0\0\0\0" + bson.encode(store.answer(_command(body))))

    def _framed(self, request: int, code: int, payload: bytes) -> bytes:
        return _HEADER.pack(_HEADER.size + len(payload), 1, request, code) + payload

    def _exactly(self, size: int) -> bytes:
        found = b""
        while len(found) < size:
            part = self.request.recv(size - len(found))
            if not part:
                return b""
            found += part
        return found


def _command(body: bytes) -> dict[str, Any]:
    """The document of an OP_MSG, with the sequences that travel beside it."""
    command: dict[str, Any] = {}
    at = 4
    while at < len(body):
        kind, size = body[at], struct.unpack_from("<i", body, at + 1)[0]
        section = body[at + 1 : at + 1 + size]
        if kind == 0:
            command = {**bson.decode(section), **command}
        else:
            end = section.index(b"\0", 4)
            command[section[4:end].decode()] = list(bson.decode_iter(section[end + 1 :]))
        at += 1 + size
    order = next(iter(bson.decode(body[5 : 5 + struct.unpack_from("<i", body, 5)[0]])))
    return {order: command.pop(order), **command}


@contextlib.contextmanager
def mongodb() -> Generator[tuple[Server, list[str]]]:
    """The server, and the names of the commands that it was sent."""

    class Listener(socketserver.ThreadingTCPServer):
        daemon_threads = True
        allow_reuse_address = True

    with Listener((HOST, 0), _Handler) as listener:
        store = listener.store = _Store()  # pyright: ignore[reportAttributeAccessIssue] - read by the handler
        thread = threading.Thread(target=listener.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield Server(listener.server_address[1]), store.seen
        finally:
            listener.shutdown()
            thread.join()
