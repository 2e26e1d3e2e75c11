"""Stands in for Kubeflow's Model Registry: the part of its REST API v1alpha3 that its client uses here.

Names are unique, versions belong to a model, a PATCH merges custom properties and may not rename, lists come in pages.
"""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

PREFIX = "/api/model_registry/v1alpha3"
VALUES = {"MetadataStringValue": ("string_value", str), "MetadataDoubleValue": ("double_value", (int, float))}
CREATABLE = {"name", "description", "externalId", "customProperties", "state"}
FIELDS = {
    "registered_models": CREATABLE | {"owner"},
    "model_versions": CREATABLE | {"author", "registeredModelId"},
    "artifacts": CREATABLE
    | {"artifactType", "uri", "modelFormatName", "modelFormatVersion", "storageKey", "storagePath"}
    | {"serviceAccountName", "modelSourceKind", "modelSourceClass", "modelSourceGroup", "modelSourceId"}
    | {"modelSourceName"},
}
PAGE = 3
"""Short, so that a test sees more than one page."""


class Refused(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class ModelRegistryApi:
    def __init__(self, token: str | None) -> None:
        self.token = token
        self.lock = threading.Lock()
        self.rows: dict[str, list[dict[str, Any]]] = {"registered_models": [], "model_versions": [], "artifacts": []}
        self.clock = 1_700_000_000_000

    def answer(self, method: str, path: str, query: dict[str, str], body: Any) -> dict[str, Any]:
        match method, path.removeprefix(PREFIX).strip("/").split("/"):
            case "GET", ["registered_models"]:
                return self.page(self.rows["registered_models"], query)
            case "GET", ["registered_model"]:
                return self.find("registered_models", lambda row: row["name"] == query["name"])
            case "POST", ["registered_models"]:
                return self.create("registered_models", body, lambda row: row["name"] == body["name"])
            case "GET", ["model_version"]:
                parent, name = query["parentResourceId"], query["name"]
                return self.find(
                    "model_versions", lambda row: (row["registeredModelId"], row["name"]) == (parent, name)
                )
            case "GET", ["registered_models", model, "versions"]:
                return self.page(
                    [row for row in self.rows["model_versions"] if row["registeredModelId"] == model], query
                )
            case "PATCH", ["registered_models", model]:
                found = self.find("registered_models", lambda row: row["id"] == model)
                return self.change("registered_models", found, body)
            case "POST", ["model_versions"]:
                self.find("registered_models", lambda row: row["id"] == body["registeredModelId"])
                same = (body["registeredModelId"], body["name"])
                return self.create("model_versions", body, lambda row: (row["registeredModelId"], row["name"]) == same)
            case "PATCH", ["model_versions", version]:
                found = self.find("model_versions", lambda row: row["id"] == version)
                return self.change("model_versions", found, body)
            case "POST", ["model_versions", version, "artifacts"]:
                self.find("model_versions", lambda row: row["id"] == version)
                return {**self.create("artifacts", body, lambda row: False), "artifactType": "model-artifact"}
        raise Refused(404, f"no such path: {path}")

    def page(self, rows: list[dict[str, Any]], query: dict[str, str]) -> dict[str, Any]:
        assert query.get("orderBy") in (None, "CREATE_TIME")
        rows = sorted(rows, key=lambda row: row["createTimeSinceEpoch"], reverse=query.get("sortOrder") == "DESC")
        start = int(query.get("nextPageToken") or 0)
        size = min(PAGE, int(query.get("pageSize") or PAGE))
        more = str(start + size) if start + size < len(rows) else ""
        items = rows[start : start + size]
        return {"items": items, "nextPageToken": more, "pageSize": size, "size": len(items)}

    def find(self, kind: str, wanted: Any) -> dict[str, Any]:
        for row in self.rows[kind]:
            if wanted(row):
                return row
        raise Refused(404, "not found")

    def create(self, kind: str, body: dict[str, Any], same: Any) -> dict[str, Any]:
        self.check(kind, body)
        if any(same(row) for row in self.rows[kind]):
            raise Refused(409, "already exists")
        self.clock += 1
        stamps = dict.fromkeys(("createTimeSinceEpoch", "lastUpdateTimeSinceEpoch"), str(self.clock))
        row = {"id": str(len(self.rows[kind]) + 1), "customProperties": {}, "state": "LIVE", **body, **stamps}
        self.rows[kind].append(row)
        return row

    def change(self, kind: str, row: dict[str, Any], body: dict[str, Any]) -> dict[str, Any]:
        if "name" in body:
            raise Refused(400, "nothing can be renamed")
        self.check(kind, body)
        self.clock += 1
        properties = {**row["customProperties"], **body.get("customProperties", {})}
        row.update({**body, "customProperties": properties, "lastUpdateTimeSinceEpoch": str(self.clock)})
        return row

    def check(self, kind: str, body: dict[str, Any]) -> None:
        if unknown := set(body) - FIELDS[kind]:
            raise Refused(400, f"unknown fields {unknown}")
        for name, value in body.get("customProperties", {}).items():
            field, types = VALUES.get(value.get("metadataType"), ("", ()))
            if not isinstance(value.get(field), types) or set(value) != {field, "metadataType"}:
                raise Refused(400, f"custom property {name} is not a value: {value}")


@contextmanager
def model_registry(token: str | None = None) -> Iterator[tuple[str, ModelRegistryApi]]:
    """The API on loopback; with a token it wants it as a bearer."""
    api = ModelRegistryApi(token)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def serve(self) -> None:
            parts = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            try:
                if api.token and self.headers.get("authorization") != f"Bearer {api.token}":
                    raise Refused(401, "no valid token")
                if not re.match(PREFIX + "/", parts.path):
                    raise Refused(404, "another version of the API")
                with api.lock:
                    answer = api.answer(self.command, parts.path, query, json.loads(body) if body else None)
                self.reply(201 if self.command == "POST" else 200, answer)
            except Refused as refused:
                self.reply(refused.status, {"code": str(refused.status), "message": str(refused)})

        def reply(self, status: int, answer: dict[str, Any]) -> None:
            data = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PATCH = serve

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", api
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
