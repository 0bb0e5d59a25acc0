import httpx2
import pytest
from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError

from proctor.localhub import LocalHub


def test_whoami(ana: HfApi, anonymous: HfApi, hub: LocalHub) -> None:
    me = ana.whoami()
    assert (me["type"], me["name"]) == ("user", "ana")
    assert [(org["name"], org["roleInOrg"]) for org in me["orgs"]] == [("acme", "write")]
    assert me["auth"]["accessToken"] == {"displayName": "write", "role": "write"}
    read = HfApi(endpoint=hub.url, token=hub.create_token("ana", name="ro"))
    assert read.whoami()["auth"]["accessToken"] == {"displayName": "ro", "role": "read"}
    assert anonymous.get_user_overview("ana").orgs[0].name == "acme"
    assert anonymous.get_organization_overview("acme").name == "acme"


def test_a_bad_token_is_told_from_a_missing_repository(
    hub: LocalHub, http: httpx2.Client, repo: str
) -> None:
    api = HfApi(endpoint=hub.url, token="hf_nonsense")
    with pytest.raises(HfHubHTTPError, match="Invalid user token"):
        api.whoami()
    with pytest.raises(HfHubHTTPError) as error:
        api.model_info(repo)
    assert not isinstance(error.value, RepositoryNotFoundError)
    answer = http.get("/api/whoami-v2", headers={"Authorization": "Bearer hf_nonsense"})
    assert answer.status_code == 401
    assert answer.headers["x-error-message"] == "Invalid credentials in Authorization header"
    assert http.get("/api/whoami-v2").status_code == 401
    assert http.get("/api/whoami-v2", headers={"Authorization": "Basic eA=="}).status_code == 401


def test_missing_is_404_with_a_token_and_401_without(http: httpx2.Client, ana: HfApi) -> None:
    token = {"Authorization": f"Bearer {ana.token}"}
    for path in ("/api/models/acme/no", "/acme/no/resolve/main/x", "/api/models/acme/no/refs"):
        with_token, without = http.get(path, headers=token), http.get(path)
        assert (with_token.status_code, without.status_code) == (404, 401)
        assert with_token.headers["x-error-code"] == without.headers["x-error-code"]
        assert with_token.headers["x-error-code"] == "RepoNotFound"


def test_a_read_token_reads(ana: HfApi, repo: str, hub: LocalHub) -> None:
    api = HfApi(endpoint=hub.url, token=hub.create_token("ana", "read"))
    ana.update_repo_settings(repo, private=True)
    assert api.model_info(repo).private
    for attempt in (
        lambda: api.create_tag(repo, tag="v1"),
        lambda: api.upload_file(path_or_fileobj=b"x", path_in_repo="x", repo_id=repo),
        lambda: api.create_repo("ana/new"),
        lambda: api.delete_repo(repo),
        lambda: api.move_repo(repo, "ana/mine"),
        lambda: api.update_repo_settings(repo, private=False),
        lambda: api.create_discussion(repo, "Hello", description="x"),
        lambda: api.create_webhook(url="http://x/", watched=[]),
    ):
        with pytest.raises(HfHubHTTPError) as error:
            attempt()
        assert error.value.response.status_code == 403


def test_strangers_do_not_write(bob: HfApi, repo: str) -> None:
    for attempt in (
        lambda: bob.create_tag(repo, tag="v1"),
        lambda: bob.upload_file(path_or_fileobj=b"x", path_in_repo="x", repo_id=repo),
        lambda: bob.create_repo("acme/intruder"),
        lambda: bob.delete_repo(repo),
    ):
        with pytest.raises(HfHubHTTPError) as error:
            attempt()
        assert error.value.response.status_code == 403


def test_a_fine_grained_token_does_what_it_says(ana: HfApi, repo: str, hub: LocalHub) -> None:
    ana.create_repo("acme/other", private=True, exist_ok=True)
    ana.update_repo_settings(repo, private=True)
    scopes = {repo: ["repo.content.read", "repo.write"]}
    token = hub.create_token("ana", "fineGrained", scopes=scopes)
    api = HfApi(endpoint=hub.url, token=token)
    api.create_tag(repo, tag="v1")
    assert api.model_info(repo).private
    with pytest.raises(RepositoryNotFoundError):
        api.model_info("acme/other")
    assert api.whoami()["auth"]["accessToken"]["fineGrained"]["scoped"] == [
        {"entity": {"name": repo}, "permissions": ["repo.content.read", "repo.write"]}
    ]
    discuss = hub.create_token("ana", "fineGrained", scopes={"acme": ["discussion.write"]})
    ana.update_repo_settings(repo, private=False)
    talker = HfApi(endpoint=hub.url, token=discuss)
    talker.create_discussion(repo, "Hello", description="x")
    with pytest.raises(HfHubHTTPError):
        talker.create_tag(repo, tag="v2")


def test_an_organization_member_who_reads_does_not_write(hub: LocalHub, ana: HfApi) -> None:
    ana.create_repo("acme/internal", private=True, exist_ok=True)
    token = hub.create_user("eve", orgs=["acme"], role="read")
    api = HfApi(endpoint=hub.url, token=token)
    assert api.model_info("acme/internal").private
    with pytest.raises(HfHubHTTPError) as error:
        api.create_tag("acme/internal", tag="v1")
    assert error.value.response.status_code == 403


def test_tokens_are_not_on_disk_in_clear(hub: LocalHub, ana: HfApi) -> None:
    assert isinstance(ana.token, str)
    for path in hub.root.rglob("*"):
        if path.is_file():
            assert ana.token.encode() not in path.read_bytes()


def test_a_revoked_token_is_a_bad_one(hub: LocalHub, ana: HfApi) -> None:
    token = hub.create_token("ana")
    api = HfApi(endpoint=hub.url, token=token)
    api.whoami()
    hub.revoke_token(token)
    with pytest.raises(HfHubHTTPError):
        api.whoami()
    ana.whoami()


def test_names_without_a_namespace_are_missing(ana: HfApi, anonymous: HfApi) -> None:
    for api in (ana, anonymous):
        with pytest.raises(RepositoryNotFoundError):
            api.model_info("gpt2")
        with pytest.raises(RepositoryNotFoundError):
            api.model_info("gpt2", revision="main")
        assert not api.file_exists("gpt2", "config.json")
