"""A stand-in of the Hugging Face hub: repositories of models in memory, behind the endpoints that its library asks.

It keeps commits and large objects, knows two tokens (one may write), and answers wrongly where it is told to. Which
requests the library makes was seen with huggingface_hub 2.4; it is told to leave Xet's own protocol alone.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import huggingface_hub
import huggingface_hub.constants
import pytest

WRITES, READS = "hf_may_write", "hf_may_read"
_REPO = r"(?P<repo>[\w.-]+/[\w.-]+)"


@dataclass(frozen=True)
class Reply:
    """What goes over the wire: JSON, or bytes as they are."""

    status: int
    content: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    raw: bytes = b""


@dataclass
class Commit:
    """A commit: its digest, and all files after it."""

    oid: str
    files: dict[str, bytes]
    message: str = ""


@dataclass
class Hub:
    """What the hub has; `faults` are (method, pattern of the path) -> status, or "cut": the connection just ends."""

    port: int = 0
    repos: dict[str, list[Commit]] = field(default_factory=dict)
    pull_requests: dict[str, list[Commit]] = field(default_factory=dict)
    objects: dict[str, bytes] = field(default_factory=dict)  # large ones, by sha256
    requests: list[tuple[str, str]] = field(default_factory=list)
    faults: dict[tuple[str, str], int | str] = field(default_factory=dict)
    large_from: int = 10_000  # bytes
    meanwhile: dict[str, bytes] | None = None  # what somebody else commits just before our commit

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def make(self, repo: str, files: dict[str, bytes] | None = None) -> None:
        self.repos[repo] = []
        self.commit(repo, {".gitattributes": b"", **(files or {})}, "initial commit")

    def commit(self, repo: str, files: dict[str, bytes], message: str) -> Commit:
        before = self.repos[repo][-1] if self.repos[repo] else Commit("", {})
        made = Commit(_oid(before.oid, files, message), {**before.files, **files}, message)
        self.repos[repo].append(made)
        return made

    def head(self, repo: str) -> Commit:
        return self.repos[repo][-1]

    def at(self, repo: str, revision: str) -> Commit | None:
        if revision == "main":
            return self.head(repo)
        return next((commit for commit in self.repos[repo] if commit.oid == revision), None)

    @property
    def sent(self) -> list[tuple[str, str]]:
        """The requests that change something, or bring something to change it with."""
        return [(method, path) for method, path in self.requests if method not in ("GET", "HEAD")]


@contextmanager
def running() -> Iterator[Hub]:
    """Yield a hub that answers, on a port of its own."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    hub.port = server.server_address[1]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()


def use(hub: Hub, monkeypatch: pytest.MonkeyPatch, *, token: str | None = WRITES) -> None:
    """Let the library of this process, which read its environment long ago, and its children speak to the stand-in."""
    constants = huggingface_hub.constants
    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    template = hub.url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True, raising=False)
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    if token is None:
        monkeypatch.delenv("HF_TOKEN", raising=False)
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", "/nowhere")
    else:
        monkeypatch.setenv("HF_TOKEN", token)


def _oid(*parts: Any) -> str:
    return hashlib.sha1(repr(parts).encode()).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def handle_any(self) -> None:
        parts = urlsplit(self.path)
        path, query = unquote(parts.path), parse_qs(parts.query)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            body = b"".join(self.chunks())
        self.hub.requests.append((self.command, path))
        fault = next((fault for (method, pattern), fault in self.hub.faults.items()
                      if method == self.command and re.search(pattern, path)), None)  # fmt: skip
        if fault == "cut":
            self.close_connection = True
            self.connection.close()
            return
        reply = Reply(fault, {"error": f"told to answer {fault}"}) if fault else self.reply(path, body, query)
        content = reply.raw if reply.content is None else json.dumps(reply.content).encode()
        self.send_response(reply.status)
        for name, value in {**reply.headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    do_GET = do_HEAD = do_POST = do_PUT = handle_any

    def chunks(self) -> Iterator[bytes]:
        while size := int(self.rfile.readline(), 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()

    def reply(self, path: str, body: bytes, query: dict[str, Any]) -> Reply:
        for method, pattern, function in _ROUTES:
            match = re.fullmatch(pattern, path)
            if match and self.command in method.split():
                return function(self, body, query, **match.groupdict())
        return Reply(404, {"error": "no such endpoint"})

    def refusal(self, repo: str | None, *, write: bool) -> Reply | None:
        """What the hub answers to a token that may not do this, None to one that may."""
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        if token not in (WRITES, READS):
            return Reply(401, {"error": "Invalid username or password."}, {"X-Error-Message": "Invalid credentials"})
        if repo is not None and repo not in self.hub.repos:
            return Reply(404, {"error": "Repository not found"}, {"X-Error-Code": "RepoNotFound"})
        if write and token != WRITES:
            return Reply(403, {"error": "You don't have the rights to write there"})
        return None

    def whoami(self, body: bytes, query: dict[str, Any]) -> Reply:
        return self.refusal(None, write=False) or Reply(200, {"name": "org", "type": "user"})

    def create(self, body: bytes, query: dict[str, Any]) -> Reply:
        asked = json.loads(body)
        repo = f"{asked['organization']}/{asked['name']}" if asked.get("organization") else asked["name"]
        if refusal := self.refusal(None, write=True):
            return refusal
        there = repo in self.hub.repos
        if not there:
            self.hub.make(repo)
        return Reply(409 if there else 200, {"url": f"{self.hub.url}/{repo}", "name": repo, "id": repo})

    def info(self, body: bytes, query: dict[str, Any], repo: str, revision: str = "main") -> Reply:
        if refusal := self.refusal(repo, write=False):
            return refusal
        commit = self.hub.at(repo, revision)
        if commit is None:
            return Reply(404, {"error": "Revision not found"}, {"X-Error-Code": "RevisionNotFound"})
        siblings = [{"rfilename": path} for path in commit.files]
        return Reply(200, {"id": repo, "sha": commit.oid, "siblings": siblings, "private": False, "tags": []})

    def validate(self, body: bytes, query: dict[str, Any]) -> Reply:
        return Reply(200, {"errors": [], "warnings": []})

    def preupload(self, body: bytes, query: dict[str, Any], repo: str, revision: str) -> Reply:
        files = [{"path": each["path"], "shouldIgnore": False,
                  "uploadMode": "lfs" if each["size"] >= self.hub.large_from else "regular"}
                 for each in json.loads(body)["files"]]  # fmt: skip
        return self.refusal(repo, write=True) or Reply(200, {"files": files})

    def batch(self, body: bytes, query: dict[str, Any], repo: str) -> Reply:
        objects = []
        for each in json.loads(body)["objects"]:
            upload = {"href": f"{self.hub.url}/objects/{each['oid']}", "header": {}}
            verify = {"href": f"{self.hub.url}/verify/{each['oid']}"}
            actions = {"actions": {"upload": upload, "verify": verify}} if each["oid"] not in self.hub.objects else {}
            objects.append({**each, **actions})
        return self.refusal(repo, write=True) or Reply(200, {"objects": objects, "transfer": "basic"})

    def put(self, body: bytes, query: dict[str, Any], oid: str) -> Reply:
        if hashlib.sha256(body).hexdigest() != oid:
            return Reply(400, {"error": "another content"})
        self.hub.objects[oid] = body
        return Reply(200, {}, {"ETag": f'"{oid}"'})

    def verify(self, body: bytes, query: dict[str, Any], oid: str) -> Reply:
        right = oid in self.hub.objects and len(self.hub.objects[oid]) == json.loads(body)["size"]
        return Reply(200 if right else 404, {})

    def commit(self, body: bytes, query: dict[str, Any], repo: str, revision: str) -> Reply:
        if refusal := self.refusal(repo, write=True):
            return refusal
        lines = [json.loads(line) for line in body.splitlines()]
        header = lines[0]["value"]
        if self.hub.meanwhile is not None:
            self.hub.commit(repo, self.hub.meanwhile, "somebody else's")
        if header.get("parentCommit") not in (None, self.hub.head(repo).oid):
            return Reply(412, {"error": "A commit has happened since. Please refresh and try again."})
        files = {}
        for line in lines[1:]:
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif value["oid"] in self.hub.objects:
                files[value["path"]] = self.hub.objects[value["oid"]]
            else:
                return Reply(400, {"error": f"{value['path']}: no such object"})
        if "create_pr" in query:
            number = len(self.hub.pull_requests.setdefault(repo, [])) + 1
            made = Commit(_oid(repo, number), files, header["summary"])
            self.hub.pull_requests[repo].append(made)
            url = {"pullRequestUrl": f"{self.hub.url}/{repo}/discussions/{number}"}
        else:
            made, url = self.hub.commit(repo, files, header["summary"]), {}
        return Reply(200, {"commitOid": made.oid, "commitUrl": f"{self.hub.url}/{repo}/commit/{made.oid}", **url})

    def resolve(self, body: bytes, query: dict[str, Any], repo: str, revision: str, file: str) -> Reply:
        if repo not in self.hub.repos:
            return Reply(404, {"error": "Repository not found"}, {"X-Error-Code": "RepoNotFound"})
        commit = self.hub.at(repo, revision)
        content = None if commit is None else commit.files.get(file)
        if commit is None or content is None:
            return Reply(404, {"error": "Entry not found"}, {"X-Error-Code": "EntryNotFound"})
        headers = {"X-Repo-Commit": commit.oid, "ETag": f'"{hashlib.sha256(content).hexdigest()}"'}
        return Reply(200, None, headers, content)

    def log_message(self, *_: Any) -> None:
        pass


_ROUTES = [
    ("GET", "/api/whoami-v2", _Handler.whoami),
    ("POST", "/api/repos/create", _Handler.create),
    ("POST", "/api/validate-yaml", _Handler.validate),
    ("GET", f"/api/models/{_REPO}", _Handler.info),
    ("GET", f"/api/models/{_REPO}/revision/(?P<revision>.+)", _Handler.info),
    ("POST", f"/api/models/{_REPO}/preupload/(?P<revision>.+)", _Handler.preupload),
    ("POST", f"/api/models/{_REPO}/commit/(?P<revision>.+)", _Handler.commit),
    ("POST", f"/{_REPO}.git/info/lfs/objects/batch", _Handler.batch),
    ("PUT", r"/objects/(?P<oid>\w+)", _Handler.put),
    ("POST", r"/verify/(?P<oid>\w+)", _Handler.verify),
    ("GET HEAD", f"/{_REPO}/resolve/(?P<revision>[^/]+)/(?P<file>.+)", _Handler.resolve),
]
