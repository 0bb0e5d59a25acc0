"""A person asks for a run: again, or for the first time. The rules bind them too."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from proctor.core.errors import Refused
from proctor.core.names import Revision, short
from proctor.core.rule import Match, Pipeline, Rules
from proctor.core.run import Run, RunStatus, StepKind

if TYPE_CHECKING:
    from tests.flow.conftest import MakeWalk, Walkthrough


def rerun(walk: Walkthrough, revision: str | None = None, pipeline: str | None = None) -> list[Run]:
    """Ask, wait until nothing is left to do; all runs, newest first."""
    for step in walk.ask.rerun(walk.repo.name, revision, pipeline, by="ada").wake:
        walk.queue.wake(step)
    walk.settle()
    return walk.runs()


def with_pipelines(walk: Walkthrough, *pipelines: Pipeline) -> None:
    """Restart with these and no others."""
    walk.configure(replace(walk.rules, pipelines=pipelines))


# --- again


def test_rerun_is_a_new_run_that_names_the_old(walk: Walkthrough) -> None:
    sha = walk.pushed_and_settled(0.1)
    old = walk.run(sha)
    walk.finds(sha, 0.9)
    new, again = rerun(walk)
    assert again == old
    assert (new.number, new.again_of, new.status) == (2, old.id, RunStatus.PROMOTED)
    assert walk.tags()["prod"] == sha


def test_who_asked_stays_on_record(walk: Walkthrough) -> None:
    sha = walk.pushed_and_settled(0.1)
    run = rerun(walk)[0]
    assert "ada" not in run.reason  # by now the reason is the verdict
    event: Any = walk.why(sha)["events"][-1]  # type: ignore[index]  # JSON
    assert (event["source"], event["disposition"]) == ("person", "ran")
    assert event["reason"] == f"asked for by ada; started run {run.id} (chat)"


def test_rerun_of_what_still_runs_is_refused(walk: Walkthrough) -> None:
    sha = walk.push()
    walk.until(StepKind.CHECK)
    for revision in (None, sha):
        with pytest.raises(Refused, match="is checking now"):
            walk.ask.rerun("acme/bot", revision, None, by="ada")


def test_a_way_back_is_named_only_where_there_is_one(walk: Walkthrough) -> None:
    first, weak = walk.pushed_and_settled(), walk.pushed_and_settled(0.1)
    walk.pushed_and_settled(0.1)
    for sha in (first, weak):  # in its stages still; never in one
        with pytest.raises(Refused, match="superseded at once; to have it judged again, push"):
            walk.ask.rerun("acme/bot", sha, None, by="ada")
    walk.pushed_and_settled(0.95)
    back = f"to return to it: proctor rollback acme/bot prod --to {first[:8]}"
    with pytest.raises(Refused, match=back):
        walk.ask.rerun("acme/bot", first, None, by="ada")


def test_rerun_of_what_is_no_longer_the_head_is_refused(walk: Walkthrough) -> None:
    first = walk.pushed_and_settled()
    second = walk.pushed_and_settled(0.1)
    with pytest.raises(Refused, match=f"no longer the head of refs/heads/main .*{second[:8]}"):
        walk.ask.rerun("acme/bot", first, None, by="ada")


def test_rerun_under_a_pipeline_that_is_gone_is_refused(walk: Walkthrough) -> None:
    walk.pushed_and_settled(0.1)
    walk.configure(Rules((), ()))
    with pytest.raises(Refused, match="pipeline chat of the run on record no longer matches"):
        walk.ask.rerun("acme/bot", None, None, by="ada")
    with pytest.raises(Refused, match=r"there is no pipeline 'chat' .* there are: none"):
        walk.ask.rerun("acme/bot", None, "chat", by="ada")


# --- for the first time


@pytest.mark.parametrize("digits", [None, 8, 40])
def test_a_head_that_was_filtered_gets_its_first_run(
    make_walk: MakeWalk, chat: Pipeline, digits: int | None
) -> None:
    walk = make_walk(name="zoo/cat")
    sha = walk.pushed_and_settled(0.9)
    assert walk.runs() == []
    with_pipelines(walk, replace(chat, match=Match("zoo/*")))
    (run,) = rerun(walk, sha[:digits] if digits else None)
    assert (run.revision, run.number, run.again_of) == (sha, 1, None)
    assert run.status is RunStatus.PROMOTED
    assert walk.tags()["prod"] == sha


def test_a_renamed_pipeline_runs_what_it_never_ran(walk: Walkthrough, chat: Pipeline) -> None:
    sha = walk.pushed_and_settled(0.1)
    with_pipelines(walk, replace(chat, name="chats"))
    with pytest.raises(Refused, match=r"For one that does \(chats\): .*--pipeline chats"):
        walk.ask.rerun("acme/bot", None, None, by="ada")
    new, old = rerun(walk, sha)
    assert (new.pipeline, new.number, new.again_of) == ("chats", 1, None)
    assert old.pipeline == "chat"
    again = rerun(walk, None, "chats")[0]
    assert (again.pipeline, again.number, again.again_of) == ("chats", 2, new.id)


def test_another_branch_goes_to_the_pipeline_that_looks_there(
    walk: Walkthrough, chat: Pipeline
) -> None:
    sha = walk.pushed_and_settled(0.1)
    walk.hub.commit(walk.repo, {"model.safetensors": b"dev"}, ref="refs/heads/dev")
    walk.settle()
    dev = walk.hub.refs(walk.repo)["refs/heads/dev"]
    with pytest.raises(Refused, match="it is at refs/heads/dev, where no pipeline"):
        walk.ask.rerun("acme/bot", dev, None, by="ada")
    walk.finds(dev, 0.1)
    develop = replace(chat, name="develop", match=Match("acme/*", ref="refs/heads/dev"))
    with_pipelines(walk, chat, develop)
    first = rerun(walk, dev)[0]
    assert (first.pipeline, first.ref, first.revision) == ("develop", "refs/heads/dev", dev)
    assert rerun(walk, sha)[0].pipeline == "chat"


def test_where_several_pipelines_match_one_is_named(walk: Walkthrough, chat: Pipeline) -> None:
    sha = walk.pushed_and_settled(0.1)
    with_pipelines(walk, chat, replace(chat, name="strict"))
    with pytest.raises(Refused, match="several pipelines match: chat, strict; say which: proctor"):
        walk.ask.rerun("acme/bot", sha, None, by="ada")
    assert rerun(walk)[0].pipeline == "chat"  # without a sha: the newest run
    run = rerun(walk, sha, "strict")[0]
    assert (run.pipeline, run.number) == ("strict", 1)


# --- nothing fits


def test_a_repo_that_nothing_was_heard_of(walk: Walkthrough) -> None:
    walk.pushed_and_settled()
    with pytest.raises(
        Refused, match=r"repo acme/x is not on record .*nothing was heard of it yet"
    ):
        walk.ask.rerun("acme/x", None, None, by="ada")


@pytest.mark.parametrize("named", [True, False])
def test_a_repo_that_no_pipeline_matches(make_walk: MakeWalk, named: bool) -> None:
    walk = make_walk(name="zoo/cat")
    sha = walk.pushed_and_settled()
    why = "pipeline chat does not match" if named else "no pipeline matches"
    with pytest.raises(Refused, match=f"{why} model zoo/cat: mend `match` in proctor.yaml"):
        walk.ask.rerun("zoo/cat", sha, "chat" if named else None, by="ada")


def test_a_revision_that_was_never_a_head(walk: Walkthrough) -> None:
    head = walk.pushed_and_settled()
    told = f"the head of refs/heads/main .now {short(head)}.; see: proctor runs acme/bot"
    with pytest.raises(Refused, match=f"no run of acme/bot@{'f' * 12} is on record, .*{told}"):
        walk.ask.rerun("acme/bot", "f" * 12, None, by="ada")


def test_the_beginning_of_several_revisions(walk: Walkthrough) -> None:
    shas: set[Revision] = set()
    while len({sha[0] for sha in shas}) == len(shas):
        shas.add(walk.pushed_and_settled(0.1))
    shared = next(d for d in "0123456789abcdef" if sum(s[0] == d for s in shas) > 1)
    with pytest.raises(Refused, match=f"{shared} is the beginning of several revisions: "):
        walk.ask.rerun("acme/bot", shared, None, by="ada")
