import socket
import time

import httpx2
import pytest
from huggingface_hub import CommitOperationAdd, HfApi
from huggingface_hub.errors import BadRequestError, HfHubHTTPError, RevisionNotFoundError

from proctor.localhub import LocalHub
from proctor.localhub.refusal import Refusal


@pytest.mark.parametrize("code", ["404", "409", "429", "500", "503"])
def test_error_answers_do_nothing(ana: HfApi, repo: str, hub: LocalHub, code: str) -> None:
    hub.faults.add(f"/{repo}/tag/", code, method="post", times=1, retry_after_s=7)
    with pytest.raises(HfHubHTTPError) as error:
        ana.create_tag(repo, tag="v1")
    assert error.value.response.status_code == int(code)
    assert error.value.response.headers["retry-after"] == "7"
    assert ana.list_repo_refs(repo).tags == []
    ana.create_tag(repo, tag="v1")  # times=1 is over


@pytest.mark.parametrize("code", ["301", "302", "307"])
def test_a_redirect_leads_back_once(ana: HfApi, repo: str, hub: LocalHub, code: str) -> None:
    hub.faults.add(f"/{repo}/refs", code)
    assert ana.list_repo_refs(repo, include_pull_requests=True).branches
    (rule,) = hub.faults.rules()
    assert rule.hits == 1


def test_a_redirect_leads_where_it_is_told_to(http: httpx2.Client, repo: str) -> None:
    rule = {"path": f"/{repo}/refs", "fault": "302"}
    http.post("/_faults", json=rule)
    assert http.get(f"/api/models/{repo}/refs?x=1").headers["location"] == (
        f"/api/models/{repo}/refs?x=1"
    )
    http.post("/_faults", json={**rule, "location": "https://elsewhere.example/login"})
    answer = http.get(f"/api/models/{repo}/refs")
    assert answer.headers["location"] == "https://elsewhere.example/login"


def test_a_refusal_says_what_is_missing(ana: HfApi, repo: str, hub: LocalHub) -> None:
    hub.faults.add(f"/{repo}", "404", error_code="RevisionNotFound")
    with pytest.raises(RevisionNotFoundError):
        ana.model_info(repo)


def test_a_lost_answer_has_done_its_work(ana: HfApi, repo: str, hub: LocalHub) -> None:
    hub.faults.add("/tag/", "lost_answer", method="POST")
    with pytest.raises(httpx2.TransportError):
        ana.create_tag(repo, tag="v1")
    assert [tag.name for tag in ana.list_repo_refs(repo).tags] == ["v1"]


def test_a_reset_has_not(ana: HfApi, repo: str, hub: LocalHub) -> None:
    hub.faults.add("/commit/", "reset")
    head = ana.model_info(repo).sha
    with pytest.raises(httpx2.TransportError):
        ana.create_commit(repo, [CommitOperationAdd("x", b"x")], commit_message="x")
    assert ana.model_info(repo).sha == head


def test_a_hang_ends_when_the_client_gives_up(
    http: httpx2.Client, hub: LocalHub, repo: str
) -> None:
    hub.faults.add("/api/models", "hang", times=2, hang_s=0.3)
    host, port = hub.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=60) as impatient:
        impatient.sendall(f"GET /api/models/{repo} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        deadline = time.monotonic() + 60
        while hub.faults.rules()[0].hits == 0:
            assert time.monotonic() < deadline
            time.sleep(0.005)
    started = time.monotonic()
    with pytest.raises(httpx2.TransportError):
        http.get(f"/api/models/{repo}")
    assert 0.2 < time.monotonic() - started < 60  # without an end the client would wait for 120
    assert http.get(f"/api/models/{repo}").status_code == 200


def test_a_body_cut_short(ana: HfApi, repo: str, hub: LocalHub, http: httpx2.Client) -> None:
    ana.upload_file(path_or_fileobj=b"w" * 200_000, path_in_repo="w.bin", repo_id=repo)
    ana.upload_file(path_or_fileobj=b"t" * 200_000, path_in_repo="t.txt", repo_id=repo)
    link = http.get(f"/{repo}/resolve/main/w.bin").headers["location"]
    for target, path in [(link, "/_lfs/"), (f"/{repo}/resolve/main/t.txt", "/resolve/")]:
        hub.faults.add(path, "truncate", method="GET")
        received = 0
        with pytest.raises(httpx2.TransportError), http.stream("GET", target) as answer:
            assert answer.headers["content-length"] == "200000"
            for chunk in answer.iter_raw():
                received += len(chunk)
        assert 0 < received <= 100_000
        assert len(http.get(target).content) == 200_000


def test_the_switch_over_http(http: httpx2.Client, hub: LocalHub, repo: str) -> None:
    rule = {"method": "GET", "path": "/api/models/", "times": 2, "fault": "500"}
    made = http.post("/_faults", json=rule).json()
    http.post("/_faults", json={**rule, "path": "/never"})
    assert [http.get(f"/api/models/{repo}").status_code for _ in range(3)] == [500, 500, 200]
    listed = http.get("/_faults").json()["rules"]
    assert [(item["id"], item["hits"]) for item in listed][:1] == [(made["id"], 2)]
    http.delete(f"/_faults/{made['id']}")
    assert [item["path"] for item in http.get("/_faults").json()["rules"]] == ["/never"]
    http.delete("/_faults")
    assert hub.faults.rules() == []


def test_the_switch_is_not_for_web_pages(http: httpx2.Client, hub: LocalHub) -> None:
    simple = {"Content-Type": "text/plain"}
    body = b'{"path": "/", "fault": "500"}'
    assert http.post("/_faults", content=body, headers=simple).status_code == 400
    token = {**simple, "Authorization": f"Bearer {hub.admin_token}"}
    assert http.post("/_faults", content=body, headers=token).status_code == 201


@pytest.mark.parametrize(
    "rule",
    [
        {"path": "(", "fault": "500"},
        {"path": "/", "fault": "earthquake"},
        {"path": "/", "fault": "500", "times": 0},
        {"path": "/", "fault": "500", "times": "often"},
        {"path": "/", "fault": "500", "retry_after_s": "x"},
        {"path": "/", "fault": "404", "error_code": 7},
        {"path": "/", "fault": "404", "error_code": "RepoNotFound\r\nX: y"},
        {"path": "/", "fault": "302", "location": "/ü"},
        {"path": "/", "fault": "302", "location": ""},
    ],
)
def test_nonsense_is_refused(http: httpx2.Client, rule: dict[str, object]) -> None:
    assert http.post("/_faults", json=rule).status_code == 400


def test_nonsense_is_refused_in_process(hub: LocalHub) -> None:
    with pytest.raises(Refusal):
        hub.faults.add("/", "418")


def test_a_fault_during_a_commit_leaves_no_trace(ana: HfApi, repo: str, hub: LocalHub) -> None:
    hub.faults.add("/preupload/", "500")
    with pytest.raises((HfHubHTTPError, BadRequestError)):
        hub.faults.add("/commit/", "500")
        ana.create_commit(repo, [CommitOperationAdd("x", b"x")], commit_message="x")
    assert ana.list_repo_files(repo) == [".gitattributes"]
