"""Nonsense and malice get a 4xx: never a 5xx, never a file from elsewhere."""

import json
import socket
from typing import Any
from urllib.parse import quote

import httpx2
import pytest
from huggingface_hub import HfApi
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proctor.localhub import LocalHub

FUZZ = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def raw(hub: LocalHub, target: bytes, method: bytes = b"GET", token: str | None = None) -> int:
    """Send a target exactly as it is, which no client library would, and return the status."""
    host, port = hub.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=60) as plug:
        head = b"%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n"
        plug.sendall(head % (method, target))
        if token:
            plug.sendall(f"Authorization: Bearer {token}\r\n".encode())
        plug.sendall(b"\r\n")
        answer = b""
        while chunk := plug.recv(65_536):
            answer += chunk
    assert b"root:" not in answer
    return int(answer.split(b" ")[1])


@pytest.mark.parametrize(
    "target",
    [
        "/acme/safe/resolve/main/../../../../../etc/passwd",
        "/acme/safe/resolve/main/..%2F..%2F..%2F..%2Fetc%2Fpasswd",
        "/acme/safe/resolve/..%2F..%2Fetc/passwd",
        "/acme/../../etc/passwd",
        "/acme%2F..%2F../safe/resolve/main/x",
        "//etc/passwd",
        "/acme/safe/resolve/main//etc/passwd",
        "/acme/safe/resolve/main/%00",
        "/acme/safe/resolve/%00/x",
        "/acme/safe/resolve/main/%ff%fe",
        "/api/models/acme/safe/tree/main/..%2f..",
        "/api/models/%00/x",
        "/api/models/acme/safe/revision/%0d%0aX-Evil:1",
        "/_lfs/..%2f..%2f..%2fetc%2fpasswd?expires=9999999999&signature=x",
        "/_lfs/..%2f..%2f..%2fetc%2fpasswd?expires=x&signature=%ff",
        "/api/models/acme/safe/discussions/99999999999999999999",
        "/api/models?limit=x",
        "/api/models?cursor=-1",
        "/api/models/acme/safe/commits/main?cursor=999999999999999999",
        "/" + "a/" * 3_000,
    ],
)
def test_paths_stay_inside(hub: LocalHub, ana: HfApi, target: str) -> None:
    ana.create_repo("acme/safe", exist_ok=True)
    assert isinstance(ana.token, str)
    for method in (b"GET", b"HEAD", b"POST", b"PUT", b"DELETE"):
        assert 400 <= raw(hub, target.encode(), method, ana.token) < 500


@pytest.mark.parametrize(
    "path",
    ["../x", "/etc/x", "a/../b", ".git/config", "a//b", "a\\b", "a\nb", "", "x" * 2_000, "."],
)
def test_files_with_such_names_are_refused(ana: HfApi, path: str, http: httpx2.Client) -> None:
    ana.create_repo("acme/safe", exist_ok=True)
    token = {"Authorization": f"Bearer {ana.token}"}
    for operation in (
        {"key": "file", "value": {"path": path, "content": "x"}},
        {"key": "lfsFile", "value": {"path": path, "oid": "0" * 64}},
        {"key": "deletedFile", "value": {"path": path}},
    ):
        lines = [{"key": "header", "value": {"summary": "x"}}, operation]
        body = "\n".join(json.dumps(line) for line in lines).encode()
        answer = http.post("/api/models/acme/safe/commit/main", content=body, headers=token)
        assert answer.status_code == 400, answer.text


@pytest.mark.parametrize(
    "name", ["../x", "a/b", "", ".", "..", "x.git", "-x", "a--b", "ä", "x" * 200, "a b", "%2e"]
)
def test_repositories_with_such_names_are_refused(
    ana: HfApi, name: str, http: httpx2.Client
) -> None:
    token = {"Authorization": f"Bearer {ana.token}"}
    wish = {"name": name, "organization": "acme", "type": "model"}
    assert http.post("/api/repos/create", json=wish, headers=token).status_code == 400


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
BODIES = [
    ("/api/repos/create", ["name", "organization", "type", "visibility", "sdk"]),
    ("/api/repos/delete", ["name", "organization", "type"]),
    ("/api/repos/move", ["fromRepo", "toRepo", "type"]),
    ("/api/models/acme/safe/preupload/main", ["files"]),
    ("/api/models/acme/safe/tag/main", ["tag", "message"]),
    ("/api/models/acme/safe/branch/x", ["startingPoint"]),
    ("/api/models/acme/safe/paths-info/main", ["paths", "expand"]),
    ("/api/models/acme/safe/settings", ["visibility", "private", "gated"]),
    ("/api/models/acme/safe/discussions", ["title", "description", "pullRequest"]),
    ("/api/models/acme/safe/discussions/1/comment", ["comment"]),
    ("/api/models/acme/safe/discussions/1/status", ["status", "comment"]),
    ("/api/models/acme/safe/discussions/1/title", ["title"]),
    ("/api/models/acme/safe/discussions/1/merge", ["comment"]),
    ("/api/settings/webhooks", ["url", "watched", "domains", "secret"]),
    ("/acme/safe.git/info/lfs/objects/batch", ["operation", "objects", "transfers"]),
    ("/api/validate-yaml", ["content"]),
    ("/_faults", ["method", "times", "fault", "retry_after_s", "hang_s"]),
    ("/_push/models/acme/safe", ["refs"]),
]


@FUZZ
@given(st.data())
def test_bodies_of_any_shape(ana: HfApi, http: httpx2.Client, data: st.DataObject) -> None:
    ana.create_repo("acme/safe", exist_ok=True)
    path, fields = data.draw(st.sampled_from(BODIES))
    body: Any = data.draw(
        ANYTHING | st.fixed_dictionaries({}, optional=dict.fromkeys(fields, ANYTHING))
    )
    method = data.draw(st.sampled_from(["POST", "PUT", "DELETE"]))
    answer = http.request(
        method,
        path,
        content=json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {ana.token}", "Content-Type": "application/json"},
    )
    assert answer.status_code < 500, answer.text


@FUZZ
@given(
    st.lists(st.binary(max_size=40) | st.sampled_from([b"{}", b"[1]", b'{"key":1}']), max_size=4)
)
def test_commits_of_any_bytes(ana: HfApi, http: httpx2.Client, lines: list[bytes]) -> None:
    ana.create_repo("acme/safe", exist_ok=True)
    answer = http.post(
        "/api/models/acme/safe/commit/main",
        content=b"\n".join([b'{"key":"header","value":{"summary":"s"}}', *lines]),
        headers={"Authorization": f"Bearer {ana.token}"},
    )
    assert answer.status_code < 500, answer.text


@FUZZ
@given(st.lists(st.text(max_size=12), min_size=1, max_size=5), st.sampled_from(["", "api/models/"]))
def test_addresses_of_any_text(
    http: httpx2.Client, hub: LocalHub, parts: list[str], prefix: str
) -> None:
    path = "/" + prefix + "/".join(quote(part, safe="", errors="replace") for part in parts)
    assert raw(hub, path.encode()) < 500


@pytest.mark.parametrize(
    "body",
    [b'{"title": "\\ud800 half", "description": "x"}', b"[" * 100_000, b'{"title": NaN}', b"\xff"],
)
def test_what_only_python_calls_json(ana: HfApi, http: httpx2.Client, body: bytes) -> None:
    ana.create_repo("acme/safe", exist_ok=True)
    token = {"Authorization": f"Bearer {ana.token}"}
    url = "/api/models/acme/safe/discussions"
    assert http.post(url, content=body, headers=token).status_code == 400
    line = b'{"key": "header", "value": {"summary": "\\udfff"}}'
    commit = "/api/models/acme/safe/commit/main"
    for lines in (line, body):
        assert http.post(commit, content=lines, headers=token).status_code == 400
    whole = b'{"title": "a whole pair: \\ud83d\\ude00", "description": "x"}'
    assert http.post(url, content=whole, headers=token).status_code == 200


def test_bodies_are_bounded(ana: HfApi, http: httpx2.Client) -> None:
    body = b" " * (11 * 2**20)
    token = {"Authorization": f"Bearer {ana.token}"}
    answer = http.post("/api/repos/create", content=body, headers=token)
    assert answer.status_code == 413


def test_a_forged_host_does_not_enter_links(http: httpx2.Client, hub: LocalHub, ana: HfApi) -> None:
    ana.create_repo("acme/safe", exist_ok=True)
    answer = http.get(
        "/api/models?limit=1&author=acme", headers={"Host": 'evil.example/"><script>'}
    )
    assert "evil" not in answer.headers.get("link", "")
