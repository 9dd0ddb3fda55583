"""A schema registry on loopback, as Confluent's answers: schemas by id and by subject and version,
Basic auth, and one that is away for a while."""

from __future__ import annotations

import base64
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from io import BytesIO
from typing import Any

from aiohttp import BasicAuth, web
from fastavro import parse_schema, schemaless_writer
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory

from tests.ports import free_port


class Registry:
    """The server's state."""

    def __init__(self, auth: BasicAuth | None = None) -> None:
        self.url = ""
        self.schemas: dict[int, dict[str, Any]] = {}
        self.subjects: dict[tuple[str, int], int] = {}
        self.asked: list[str] = []
        self.status = 200
        """Another one: the registry is there and doesn't answer."""
        self._auth = auth

    def add(
        self, id_: int, schema: str, kind: str = "AVRO", *, subject: str = "",
        references: Sequence[tuple[str, str]] = (),
    ) -> None:  # fmt: skip
        """`references`: the name under which the schema takes another one, and its subject."""
        self.schemas[id_] = {"schema": schema}
        if kind != "AVRO":
            self.schemas[id_]["schemaType"] = kind
        if references:
            self.schemas[id_]["references"] = [
                {"name": name, "subject": other, "version": 1} for name, other in references
            ]
        if subject:
            self.subjects[subject, 1] = id_

    async def _answer(self, request: web.Request) -> web.Response:
        self.asked.append(str(request.rel_url))
        if self._auth and request.headers.get("Authorization") != self._auth.encode():
            return web.json_response({"error_code": 401}, status=401)
        if self.status != 200:
            return web.json_response({"error_code": 50001}, status=self.status)
        if "subject" in request.match_info:
            subject, version = request.match_info["subject"], int(request.match_info["version"])
            id_ = self.subjects.get((subject, version))
        else:
            id_ = int(request.match_info["id"])
        found = self.schemas.get(-1 if id_ is None else id_)
        if found is None:
            body = {"error_code": 40403, "message": "Schema not found"}
            return web.json_response(body, status=404)
        return web.json_response(found)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Registry]:
        app = web.Application()
        app.router.add_get("/api/schemas/ids/{id}", self._answer)
        app.router.add_get("/api/subjects/{subject}/versions/{version}", self._answer)
        runner = web.AppRunner(app)
        await runner.setup()
        port = free_port()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        self.url = f"http://127.0.0.1:{port}/api"
        try:
            yield self
        finally:
            await runner.cleanup()


def framed(id_: int, content: bytes) -> bytes:
    return struct.pack(">bI", 0, id_) + content


def avro(id_: int, schema: Any, value: Any) -> bytes:
    out = BytesIO()
    schemaless_writer(out, parse_schema(schema), value)
    return framed(id_, out.getvalue())


def file_of(name: str, package: str, *, imports: Sequence[str] = ()) -> Any:
    return descriptor_pb2.FileDescriptorProto(
        name=name, package=package, syntax="proto3", dependency=imports
    )


def serialized(file: Any) -> str:
    return base64.b64encode(file.SerializeToString()).decode()


def protobuf(id_: int, indexes: bytes, files: Sequence[Any], message: str, value: Any) -> bytes:
    pool = descriptor_pool.DescriptorPool()
    for file in files:
        pool.AddSerializedFile(file.SerializeToString())
    class_ = message_factory.GetMessageClass(pool.FindMessageTypeByName(message))
    return framed(id_, indexes + json_format.ParseDict(value, class_()).SerializeToString())
