"""As much of the Hugging Face Hub's API as pushing and pulling a small repository takes, on the loopback."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Hub:
    """`repositories[name]` is a list of revisions, each its files by name."""

    def __init__(self) -> None:
        self.repositories: dict[str, list[dict[str, bytes]]] = {}
        self.asked: list[str] = []
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *arguments: Any) -> None:
                pass

            def answer(self, code: int, content: bytes = b"{}", **headers: str) -> None:
                self.send_response(code)
                self.send_header("Content-Length", str(len(content)))
                for name, value in headers.items():
                    self.send_header(name.replace("_", "-"), value)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(content)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                hub.asked.append(self.path)
                code, content = hub.post(self.path.partition("?")[0], body)
                self.answer(code, json.dumps(content).encode(), Content_Type="application/json")

            def do_GET(self) -> None:
                hub.asked.append(self.path)
                code, content, headers = hub.get(self.path.partition("?")[0])
                self.answer(code, content, **headers)

            do_HEAD = do_GET

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def sha(self, name: str, revision: int) -> str:
        return hashlib.sha1(f"{name} {revision}".encode()).hexdigest()

    def post(self, path: str, body: bytes) -> tuple[int, Any]:
        if path == "/api/validate-yaml":
            return 200, {"errors": [], "warnings": []}
        if path == "/api/repos/create":
            given = json.loads(body)
            name = "/".join(filter(None, (given.get("organization"), given["name"])))
            self.repositories.setdefault(name, [])
            return 200, {"url": f"{self.address}/{name}", "id": name, "name": name}
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/preupload/main", path):
            files = [
                {"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in json.loads(body)["files"]
            ]
            return 200, {"files": files}
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/commit/main", path):
            name, files = match[1], {}
            for line in body.decode().splitlines():
                entry = json.loads(line)
                if entry["key"] == "file":
                    files[entry["value"]["path"]] = base64.b64decode(entry["value"]["content"])
            self.repositories[name].append(files)
            sha = self.sha(name, len(self.repositories[name]))
            return 200, {"commitUrl": f"{self.address}/{name}/commit/{sha}", "commitOid": sha, "success": True}
        return 404, {"error": "not found"}

    def get(self, path: str) -> tuple[int, bytes, dict[str, str]]:
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/([^/]+))?", path):
            found = self._revision(match[1], match[2] or "main")
            if found is None:
                return 404, b"{}", {"X_Error_Code": "RepoNotFound"}
            sha, files = found
            siblings = [{"rfilename": name, "size": len(content)} for name, content in files.items()]
            about = {
                "id": match[1],
                "modelId": match[1],
                "sha": sha,
                "siblings": siblings,
                "tags": [],
                "private": False,
            }
            return 200, json.dumps(about).encode(), {"Content_Type": "application/json"}
        if match := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            found = self._revision(match[1], match[2])
            if found is None or match[3] not in found[1]:
                return 404, b"", {"X_Error_Code": "EntryNotFound"}
            content = found[1][match[3]]
            return 200, content, {"X_Repo_Commit": found[0], "ETag": f'"{hashlib.sha1(content).hexdigest()}"'}
        return 404, b"{}", {}

    def _revision(self, name: str, revision: str) -> tuple[str, dict[str, bytes]] | None:
        revisions = self.repositories.get(name, [])
        by_sha = {self.sha(name, i + 1): files for i, files in enumerate(revisions)}
        if revision == "main" and revisions:
            revision = self.sha(name, len(revisions))
        return (revision, by_sha[revision]) if revision in by_sha else None
