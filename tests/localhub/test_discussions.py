from collections.abc import Callable
from pathlib import Path

import pytest
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
from huggingface_hub.community import DiscussionComment, DiscussionCommit, DiscussionStatusChange
from huggingface_hub.errors import BadRequestError, HfHubHTTPError


def add(path: str, text: str = "x") -> CommitOperationAdd:
    return CommitOperationAdd(path, text.encode())


def test_a_discussion_from_start_to_end(ana: HfApi, bob: HfApi, repo: str) -> None:
    opened = bob.create_discussion(repo, "A question", description="Why?")
    assert (opened.num, opened.status, opened.author) == (1, "open", "bob")
    assert isinstance(opened.events[0], DiscussionComment) and opened.events[0].content == "Why?"

    said = ana.comment_discussion(repo, 1, "Because & so")
    edited = ana.edit_discussion_comment(repo, 1, said.id, "Because of this")
    assert (edited.content, edited.edited, edited.number_of_edits) == ("Because of this", True, 1)
    assert edited.edit_history[0]["raw"] == "Because & so"
    assert said.rendered == "<p>Because &amp; so</p>"
    with pytest.raises(HfHubHTTPError):
        bob.edit_discussion_comment(repo, 1, said.id, "not mine")
    with pytest.warns(UserWarning, match="irreversible"):
        hidden = ana.hide_discussion_comment(repo, 1, said.id)
    assert hidden.hidden and hidden.content == "" and hidden.edit_history == []

    renamed = bob.rename_discussion(repo, 1, "An answered question")
    assert (renamed.old_title, renamed.new_title) == ("A question", "An answered question")
    closed = bob.change_discussion_status(repo, 1, "closed", comment="Thanks")
    assert closed.new_status == "closed"
    details = ana.get_discussion_details(repo, 1)
    assert (details.title, details.status) == ("An answered question", "closed")
    assert [event.type for event in details.events] == [
        "comment",
        "comment",
        "title-change",
        "comment",
        "status-change",
    ]


def test_lists(ana: HfApi, bob: HfApi, repo: str) -> None:
    for number in range(60):
        ana.create_discussion(repo, f"Number {number}", description="text")
    bob.create_pull_request(repo, "A draft", description="text")
    ana.change_discussion_status(repo, 1, "closed")
    assert [item.num for item in ana.get_repo_discussions(repo)] == list(range(61, 0, -1))
    (request,) = ana.get_repo_discussions(repo, discussion_type="pull_request")
    assert (request.num, request.is_pull_request, request.git_reference) == (61, True, "refs/pr/61")
    (closed,) = ana.get_repo_discussions(repo, discussion_status="closed")
    assert closed.num == 1
    assert [item.num for item in ana.get_repo_discussions(repo, author="bob")] == [61]


def test_a_pull_request_from_start_to_merge(ana: HfApi, bob: HfApi, repo: str, cache: Path) -> None:
    ana.create_commit(repo, [add("a.txt", "a\n"), add("gone.txt")], commit_message="base")
    # Anyone may propose to a public repository.
    proposed = bob.create_commit(
        repo,
        [add("a.txt", "b\n"), add("new.txt"), CommitOperationDelete("gone.txt")],
        commit_message="Improve",
        create_pr=True,
    )
    assert (proposed.pr_num, proposed.pr_revision) == (1, "refs/pr/1")
    more = bob.create_commit(repo, [add("more.txt")], commit_message="More", revision="refs/pr/1")
    ana.create_commit(repo, [add("meanwhile.txt")], commit_message="Meanwhile")

    details = ana.get_discussion_details(repo, 1)
    assert (details.status, details.target_branch) == ("open", "refs/heads/main")
    assert details.conflicting_files == [] and details.merge_commit_oid is None
    commits = [event for event in details.events if isinstance(event, DiscussionCommit)]
    assert [event.oid for event in commits] == [proposed.oid, more.oid]
    assert details.diff is not None and "-a\n+b\n" in details.diff

    with pytest.raises(HfHubHTTPError) as error:
        bob.merge_pull_request(repo, 1)
    assert error.value.response.status_code == 403
    ana.merge_pull_request(repo, 1, comment="Good")
    merged = ana.get_discussion_details(repo, 1)
    assert merged.status == "merged"
    assert merged.merge_commit_oid == ana.model_info(repo).sha
    assert isinstance(merged.events[-1], DiscussionStatusChange)
    assert set(ana.list_repo_files(repo)) == {
        ".gitattributes",
        "a.txt",
        "meanwhile.txt",
        "more.txt",
        "new.txt",
    }
    path = ana.hf_hub_download(repo, "a.txt", cache_dir=cache)
    assert Path(path).read_text() == "b\n"
    with pytest.raises(BadRequestError):
        ana.merge_pull_request(repo, 1)
    with pytest.raises(HfHubHTTPError):
        bob.create_commit(repo, [add("late")], commit_message="late", revision="refs/pr/1")


def test_conflicts_stop_a_merge(ana: HfApi, repo: str) -> None:
    ana.create_commit(repo, [add("a.txt", "theirs")], commit_message="pr", create_pr=True)
    ana.create_commit(repo, [add("a.txt", "ours")], commit_message="main")
    assert ana.get_discussion_details(repo, 1).conflicting_files == ["a.txt"]
    with pytest.raises(HfHubHTTPError) as error:
        ana.merge_pull_request(repo, 1)
    assert error.value.response.status_code == 409


def test_a_draft_opens_before_it_merges(ana: HfApi, repo: str) -> None:
    draft = ana.create_pull_request(repo, "A draft", description="text")
    assert draft.status == "draft"
    ana.create_commit(repo, [add("x")], commit_message="x", revision="refs/pr/1")
    with pytest.raises(BadRequestError):
        ana.merge_pull_request(repo, 1)
    ana.change_discussion_status(repo, 1, "open")
    ana.merge_pull_request(repo, 1)
    assert "x" in ana.list_repo_files(repo)


def test_a_pull_request_may_start_from_an_older_commit(ana: HfApi, repo: str) -> None:
    start = ana.model_info(repo).sha
    ana.create_commit(repo, [add("later")], commit_message="later")
    ana.create_commit(
        repo, [add("x")], commit_message="from before", create_pr=True, parent_commit=start
    )
    assert "later" not in ana.list_repo_files(repo, revision="refs/pr/1")
    ana.merge_pull_request(repo, 1)
    assert {"later", "x"} <= set(ana.list_repo_files(repo))


def test_what_is_refused(ana: HfApi, bob: HfApi, anonymous: HfApi, repo: str) -> None:
    ana.create_discussion(repo, "Open", description="text")
    attempts: list[tuple[int, Callable[[], object]]] = [
        (404, lambda: ana.get_discussion_details(repo, 99)),
        (404, lambda: ana.edit_discussion_comment(repo, 1, "f" * 24, "text")),
        (401, lambda: anonymous.comment_discussion(repo, 1, "text")),
        (403, lambda: bob.change_discussion_status(repo, 1, "closed")),
        (400, lambda: ana.comment_discussion(repo, 1, "  ")),
        (400, lambda: ana.comment_discussion(repo, 1, "x" * 70_000)),
        (400, lambda: ana.create_discussion(repo, "x", description="title too short")),
    ]
    for error_code, attempt in attempts:
        with pytest.raises(HfHubHTTPError) as error:
            attempt()
        assert error.value.response.status_code == error_code
