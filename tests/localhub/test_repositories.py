import httpx2
import pytest
from huggingface_hub import CommitOperationAdd, HfApi
from huggingface_hub.errors import (
    BadRequestError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from proctor.localhub import LocalHub


def status(error: pytest.ExceptionInfo[HfHubHTTPError]) -> int:
    return error.value.response.status_code


@pytest.mark.parametrize("kind", ["model", "dataset", "space"])
def test_a_repository_of_each_type_has_its_own_names(ana: HfApi, hub: LocalHub, kind: str) -> None:
    sdk = "static" if kind == "space" else None
    url = ana.create_repo("acme/types", repo_type=kind, space_sdk=sdk)
    prefix = "" if kind == "model" else f"{kind}s/"
    assert str(url) == f"{hub.url}/{prefix}acme/types"
    info = ana.repo_info("acme/types", repo_type=kind)
    assert info.sha is not None and len(info.sha) == 40
    assert ana.list_repo_files("acme/types", repo_type=kind) == [".gitattributes"]


def test_a_name_can_be_taken_once(ana: HfApi, repo: str, hub: LocalHub) -> None:
    with pytest.raises(HfHubHTTPError) as error:
        ana.create_repo(repo)
    assert status(error) == 409
    assert error.value.response.json()["url"] == f"{hub.url}/{repo}"
    assert str(ana.create_repo(repo, exist_ok=True)) == f"{hub.url}/{repo}"


def test_a_space_needs_an_sdk_that_is_known(ana: HfApi) -> None:
    ana.create_repo("acme/space", repo_type="space", space_sdk="gradio")
    assert ana.space_info("acme/space").sdk == "gradio"


def test_deleting(ana: HfApi, repo: str) -> None:
    ana.delete_repo(repo)
    with pytest.raises(RepositoryNotFoundError):
        ana.model_info(repo)
    with pytest.raises(RepositoryNotFoundError):
        ana.delete_repo(repo)
    ana.delete_repo(repo, missing_ok=True)


def test_an_old_name_leads_to_the_new_on_every_route(
    ana: HfApi, http: httpx2.Client, repo: str
) -> None:
    before = ana.model_info(repo)
    new = f"{repo}-2"
    ana.move_repo(repo, new)

    answer = http.get(f"/api/models/{repo}/revision/refs%2Fheads%2Fmain?blobs=true")
    assert answer.status_code == 307
    assert answer.headers["location"] == (
        f"/api/models/{new}/revision/refs%2Fheads%2Fmain?blobs=true"
    )
    assert http.head(f"/{repo}/resolve/main/README.md").headers["location"] == (
        f"/{new}/resolve/main/README.md"
    )
    assert http.get(f"/{repo}").status_code == 307
    assert ana.model_info(repo).id == new
    assert ana.model_info(repo)._id == before._id  # type: ignore[attr-defined]
    # 307 keeps method, body and token: a tag and a commit under the old name arrive.
    ana.create_tag(repo, tag="v1")
    commit = ana.create_commit(
        repo, [CommitOperationAdd("a.txt", b"a")], commit_message="by the old name"
    )
    assert ana.model_info(new).sha == commit.oid
    assert [tag.name for tag in ana.list_repo_refs(new).tags] == ["v1"]

    # Whoever takes the old name gets it.
    ana.create_repo(repo)
    assert ana.model_info(repo)._id != before._id  # type: ignore[attr-defined]


def test_a_name_back_and_forth(ana: HfApi, repo: str) -> None:
    ana.move_repo(repo, "acme/elsewhere")
    ana.move_repo("acme/elsewhere", repo)
    assert ana.model_info(repo).id == repo
    assert ana.model_info("acme/elsewhere").id == repo


def test_a_move_needs_rights_at_both_ends(ana: HfApi, bob: HfApi, repo: str) -> None:
    ana.create_repo("acme/taken", exist_ok=True)
    for api, source, target, code in [
        (bob, repo, "bob/mine", 403),
        (ana, repo, "bob/yours", 403),
        (ana, repo, "acme/taken", 409),
        (ana, repo, "nobody/x", 404),
    ]:
        with pytest.raises(HfHubHTTPError) as error:
            api.move_repo(source, target)
        assert status(error) == code


def test_private_repositories_hide(
    ana: HfApi, bob: HfApi, anonymous: HfApi, repo: str, http: httpx2.Client
) -> None:
    ana.update_repo_settings(repo, private=True)
    assert ana.model_info(repo).private is True
    for api, code in [(bob, 404), (anonymous, 401)]:
        with pytest.raises(RepositoryNotFoundError) as error:
            api.model_info(repo)
        assert status(error) == code
        assert repo not in [model.id for model in api.list_models(author="acme")]
    assert http.get(f"/{repo}/resolve/main/.gitattributes").status_code == 401
    assert repo in [model.id for model in ana.list_models(author="acme")]
    ana.update_repo_settings(repo, visibility="public")
    assert bob.model_info(repo).private is False


def test_gated_repositories_show_themselves_but_not_their_files(
    ana: HfApi, bob: HfApi, repo: str, http: httpx2.Client
) -> None:
    ana.update_repo_settings(repo, gated="manual")
    assert bob.model_info(repo).gated == "manual"
    answer = http.head(f"/{repo}/resolve/main/.gitattributes")
    assert (answer.status_code, answer.headers["x-error-code"]) == (401, "GatedRepo")
    with pytest.raises(HfHubHTTPError):
        bob.auth_check(repo)
    ana.auth_check(repo)
    ana.auth_check(repo, write=True)


def test_info_tells_what_the_files_say(ana: HfApi, repo: str) -> None:
    card = b"---\nlicense: mit\nbase_model: acme/base\ntags: [chat]\nlanguage: [en]\n---\n# Hi\n"
    config = b'{"model_type": "llama", "architectures": ["LlamaForCausalLM"]}'
    ana.create_commit(
        repo,
        [
            CommitOperationAdd("README.md", card),
            CommitOperationAdd("config.json", config),
            CommitOperationAdd("model.safetensors", b"weights"),
        ],
        commit_message="model",
    )
    info = ana.model_info(repo, files_metadata=True, securityStatus=True)
    assert (info.pipeline_tag, info.library_name) == ("text-generation", "transformers")
    assert info.card_data is not None and info.card_data.license == "mit"
    assert {"license:mit", "base_model:acme/base", "chat", "en", "safetensors", "llama"} <= set(
        info.tags or []
    )
    assert info.created_at is not None and info.last_modified is not None
    assert info.created_at <= info.last_modified
    files = {item.rfilename: item for item in info.siblings or []}
    weights = files["model.safetensors"]
    assert weights.size == 7 and weights.lfs is not None and len(weights.lfs.sha256) == 64
    assert files["README.md"].lfs is None and files["README.md"].size == len(card)
    assert info.security_repo_status == {"scansDone": True, "filesWithIssues": []}

    only = ana.model_info(repo, expand=["sha", "tags"])
    assert only.sha == info.sha and only.siblings is None and only.private is None
    with pytest.raises(BadRequestError):
        ana.model_info(repo, expand=["nonsense"])  # type: ignore[list-item]
    with pytest.raises(RevisionNotFoundError):
        ana.model_info(repo, revision="nowhere")


def test_a_broken_card_is_refused_by_the_client_and_harmless_to_the_server(
    ana: HfApi, repo: str, http: httpx2.Client
) -> None:
    bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{chr(98 + n)}: &{chr(98 + n)} [{','.join(['*' + chr(97 + n)] * 9)}]\n" for n in range(9)
    )
    for block in ["a: [", "- 1\n- 2", bomb, "x: .nan"]:
        content = f"---\n{block}\n---\nhello"
        answer = http.post("/api/validate-yaml", json={"content": content, "repoType": "model"})
        assert answer.status_code == 400, block
        # Under another name first, so that the client does not look.
        ana.upload_file(path_or_fileobj=content.encode(), path_in_repo="other.md", repo_id=repo)
        answer = http.post(
            f"/api/models/{repo}/commit/main",
            headers={"Authorization": f"Bearer {ana.token}"},
            content=(
                b'{"key":"header","value":{"summary":"card"}}\n'
                b'{"key":"file","value":{"path":"README.md","content":'
                + httpx2.Request("POST", "http://x", json=content).content
                + b'}}\n{"key":"file","value":{"path":"config.json","content":"{\\"a\\": NaN}"}}'
            ),
        )
        assert answer.status_code == 200, answer.text
        assert ana.model_info(repo).card_data is None


def test_lists_filter_and_page(ana: HfApi, hub: LocalHub, http: httpx2.Client) -> None:
    hub.create_user("zoe")
    zoe = HfApi(endpoint=hub.url, token=hub.create_token("zoe", "write"))
    for number in range(5):
        zoe.create_repo(f"zoe/list-{number}")
    card = b"---\nlicense: mit\npipeline_tag: text-classification\n---\n"
    zoe.upload_file(path_or_fileobj=card, path_in_repo="README.md", repo_id="zoe/list-3")

    names = [f"zoe/list-{number}" for number in (4, 3, 2, 1, 0)]
    assert [model.id for model in zoe.list_models(author="zoe")] == names
    assert [model.id for model in zoe.list_models(author="ZOE", search="LIST-2")] == [names[2]]
    assert [model.id for model in zoe.list_models(author="zoe", limit=2)] == names[:2]
    assert [m.id for m in zoe.list_models(author="zoe", filter="license:mit")] == ["zoe/list-3"]
    assert [m.id for m in zoe.list_models(pipeline_tag="text-classification", author="zoe")] == [
        "zoe/list-3"
    ]
    newest_change = zoe.list_models(author="zoe", sort="last_modified", limit=1)
    assert [model.id for model in newest_change] == ["zoe/list-3"]
    assert list(zoe.list_datasets(author="zoe")) == []
    assert list(zoe.list_spaces(author="zoe")) == []

    heads = list(zoe.list_models(author="zoe", expand=["sha", "lastModified"]))
    assert all(model.sha and model.last_modified and model.tags is None for model in heads)
    full = list(zoe.list_models(author="zoe", full=True, cardData=True))
    assert full[1].card_data is not None and full[1].siblings is not None

    pages, url = [], "/api/models?author=zoe&limit=2"
    while url:
        answer = http.get(url)
        pages.append([item["id"] for item in answer.json()])
        url = answer.links.get("next", {}).get("url", "")
    assert pages == [names[:2], names[2:4], names[4:]]
