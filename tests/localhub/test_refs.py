from concurrent.futures import ThreadPoolExecutor

import pytest
from huggingface_hub import CommitOperationAdd, HfApi
from huggingface_hub.errors import BadRequestError, HfHubHTTPError, RevisionNotFoundError


def tags(api: HfApi, repo: str) -> dict[str, str]:
    return {ref.name: ref.target_commit for ref in api.list_repo_refs(repo).tags}


def test_tags_are_made_once_and_moved_by_hand(ana: HfApi, repo: str) -> None:
    first = ana.model_info(repo).sha
    assert first is not None
    ana.create_tag(repo, tag="prod", tag_message="the first")
    second = ana.upload_file(path_or_fileobj=b"x", path_in_repo="x", repo_id=repo).oid
    with pytest.raises(HfHubHTTPError) as error:
        ana.create_tag(repo, tag="prod", revision=second)
    assert error.value.response.status_code == 409
    ana.create_tag(repo, tag="prod", revision=second, exist_ok=True)
    assert tags(ana, repo) == {"prod": first}  # exist_ok does not move
    ana.delete_tag(repo, tag="prod")
    ana.create_tag(repo, tag="prod", revision=second)
    assert tags(ana, repo) == {"prod": second}
    assert ana.model_info(repo, revision="prod").sha == second


def test_missing_refs(ana: HfApi, repo: str) -> None:
    with pytest.raises(RevisionNotFoundError):
        ana.delete_tag(repo, tag="nothing")
    with pytest.raises(RevisionNotFoundError):
        ana.delete_branch(repo, branch="nothing")
    with pytest.raises(RevisionNotFoundError):
        ana.create_tag(repo, tag="v1", revision="0" * 40)


def test_branches(ana: HfApi, repo: str) -> None:
    start = ana.model_info(repo).sha
    head = ana.upload_file(path_or_fileobj=b"x", path_in_repo="x", repo_id=repo).oid
    ana.create_branch(repo, branch="feature/one")
    ana.create_branch(repo, branch="old", revision=start)
    with pytest.raises(HfHubHTTPError) as error:
        ana.create_branch(repo, branch="old")
    assert error.value.response.status_code == 409
    ana.create_branch(repo, branch="old", exist_ok=True)
    found = {ref.name: ref.target_commit for ref in ana.list_repo_refs(repo).branches}
    assert found == {"main": head, "feature/one": head, "old": start}
    ana.delete_branch(repo, branch="feature/one")
    with pytest.raises(HfHubHTTPError) as error:
        ana.delete_branch(repo, branch="main")
    assert error.value.response.status_code == 403


def test_pull_request_refs_are_shown_on_demand(ana: HfApi, repo: str) -> None:
    commit = ana.create_commit(
        repo, [CommitOperationAdd("x", b"x")], commit_message="proposal", create_pr=True
    )
    assert ana.list_repo_refs(repo).pull_requests is None
    refs = ana.list_repo_refs(repo, include_pull_requests=True)
    assert refs.converts == []
    assert [(ref.ref, ref.target_commit) for ref in refs.pull_requests or []] == [
        ("refs/pr/1", commit.oid)
    ]
    assert ana.model_info(repo, revision="refs/pr/1").sha == commit.oid


@pytest.mark.parametrize(
    "name", ["..", "a..b", "-x", "a b", "a/", "x.lock", "refs/heads/x", "0" * 40, "ä", "a~1"]
)
def test_names_that_git_would_not_take(ana: HfApi, name: str) -> None:
    ana.create_repo("acme/odd-refs", exist_ok=True)
    with pytest.raises(BadRequestError):
        ana.create_tag("acme/odd-refs", tag=name)
    with pytest.raises(HfHubHTTPError) as error:
        ana.create_branch("acme/odd-refs", branch=name)
    assert 400 <= error.value.response.status_code < 500


def test_a_ref_cannot_be_a_folder_of_refs(ana: HfApi, repo: str) -> None:
    ana.create_branch(repo, branch="a/b")
    with pytest.raises(HfHubHTTPError) as error:
        ana.create_branch(repo, branch="a")
    assert error.value.response.status_code == 409


def test_of_many_at_once_one_wins(ana: HfApi, repo: str) -> None:
    head = ana.model_info(repo).sha

    def tag(_: int) -> bool:
        try:
            ana.create_tag(repo, tag="only")
        except HfHubHTTPError as error:
            assert error.response.status_code == 409
            return False
        return True

    def commit(number: int) -> bool:
        added = CommitOperationAdd(f"{number}", b"x")
        try:
            ana.create_commit(repo, [added], commit_message="x", parent_commit=head)
        except HfHubHTTPError as error:
            assert error.response.status_code == 412
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(tag, range(8))) == 1
        assert sum(pool.map(commit, range(8))) == 1
    assert len(ana.list_repo_commits(repo)) == 2
