"""As much of the Hugging Face Hub as keeping a model and giving it back takes; for tests only."""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import pytest

SHA = "1" * 40


class FakeHub:
    """Its models: files and whether they are private, by name."""

    def __init__(self) -> None:
        self.models: dict[str, dict[str, bytes]] = {}
        self.private: dict[str, bool] = {}
        self.asked: list[str] = []
        self.token = "hf_good"


class _Handler(BaseHTTPRequestHandler):
    hub: FakeHub
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        pass

    def answer(self, code: int, body: bytes | dict[str, Any], **headers: str) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def do_GET(self) -> None:
        self.hub.asked.append(self.path)
        parts = self.path.split("?")[0].strip("/").split("/")
        if parts[0] == "api":
            name, rest = "/".join(parts[2:4]), parts[4:]
            files = self.hub.models.get(name)
            if files is None:
                return self.answer(404, {"error": "no"}, X_Error_Code="RepoNotFound")
            if rest and rest[0] == "tree":
                entries = [
                    {"type": "file", "path": k, "size": len(v), "oid": _hash(v)}
                    for k, v in files.items()
                ]
                return self.answer(200, json.dumps(entries).encode())
            siblings = [{"rfilename": path} for path in files]
            return self.answer(200, {"id": name, "sha": SHA, "siblings": siblings})
        name, path = "/".join(parts[:2]), "/".join(parts[4:])
        if path not in self.hub.models.get(name, {}):
            return self.answer(404, b"", X_Error_Code="EntryNotFound", X_Repo_Commit=SHA)
        data = self.hub.models[name][path]
        return self.answer(200, data, ETag=f'"{_hash(data)}"', X_Repo_Commit=SHA)

    do_HEAD = do_GET  # noqa: N815

    def body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers["Content-Length"]))
        chunks = []
        while size := int(self.rfile.readline(), 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def do_POST(self) -> None:
        body = self.body()
        if self.headers.get("Authorization") != f"Bearer {self.hub.token}":
            return self.answer(401, {"error": "Invalid credentials"})
        parts = self.path.split("?")[0].strip("/").split("/")
        site = "https://huggingface.co"
        if parts[-1] == "create":
            asked = json.loads(body)
            name = "/".join(filter(None, (asked.get("organization"), asked["name"])))
            if name in self.hub.models:
                return self.answer(409, {"error": "exists", "url": f"{site}/{name}"})
            self.hub.models[name] = {}
            self.hub.private[name] = asked["visibility"] == "private"
            return self.answer(200, {"url": f"{site}/{name}"})
        if parts[-1] == "validate-yaml":  # of the model card
            return self.answer(200, {"errors": [], "warnings": []})
        name = "/".join(parts[2:4])
        if parts[4] == "preupload":
            files = json.loads(body)["files"]
            how = {"uploadMode": "regular", "shouldIgnore": False}
            return self.answer(200, {"files": [how | {"path": each["path"]} for each in files]})
        for line in map(json.loads, body.splitlines()):
            if line["key"] == "file":
                value = line["value"]
                self.hub.models[name][value["path"]] = base64.b64decode(value["content"])
            if line["key"] == "deletedFile":
                del self.hub.models[name][line["value"]["path"]]
        return self.answer(200, {"commitUrl": f"{site}/{name}/commit/{SHA}", "commitOid": SHA})


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@contextmanager
def serving(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """Serve an empty Hub, which huggingface_hub is made to take for the real one."""
    hub = FakeHub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    template = address + "/{repo_id}/resolve/{revision}/{filename}"
    for name, value in (
        ("ENDPOINT", address),
        ("HUGGINGFACE_CO_URL_TEMPLATE", template),
        ("HF_HUB_CACHE", str(folder / "cache")),
        ("HF_HUB_DISABLE_XET", True),
    ):
        patch.setattr(huggingface_hub.constants, name, value)
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
