"""Every decision can be explained, in JSON (P7)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from proctor.core.errors import PermanentError, Refused, TransientError
from proctor.core.event import Event
from proctor.core.names import RepoType
from proctor.core.run import StepKind
from proctor.flow import views

if TYPE_CHECKING:
    from tests.flow.conftest import MakeWalk, Walkthrough


def an_event(walk: Walkthrough, id: str) -> Event:
    """One that says neither which ref moved nor where the head is."""
    return Event(
        id=id,
        identity=id,
        source="webhook",
        received_at=walk.clock.now(),
        action="update",
        scope="repo",
        repo_type=walk.repo.type,
        hub_id=walk.repo.hub_id,
        repo_name=walk.repo.name,
    )


def test_why_tells_what_was_said_and_to_whom(walk: Walkthrough) -> None:
    walk.channels["team"].fail_next(PermanentError("404"))
    weak = walk.pushed_and_settled(0.1)
    run: Any = walk.why(weak)["runs"]
    (notice,) = run[0]["notices"]
    assert (notice["kind"], notice["channel"]) == ("run.held", "team")
    assert (notice["state"], notice["error"]) == ("failed", "404")
    assert run[0]["steps"] == []


def test_why_tells_what_a_run_is_waiting_for(walk: Walkthrough) -> None:
    sha = walk.push()
    step = walk.until(StepKind.PROMOTE)
    walk.hub.fail_next("refs", TransientError("the Hub says 503", delay=30))
    walk.worker.perform(step.id)
    run: Any = walk.why(sha)["runs"]
    (waiting,) = run[0]["steps"]
    assert 30 <= waiting.pop("due_at") - walk.clock.now() <= 33
    assert waiting == {
        "kind": "promote",
        "state": "ready",
        "attempts": 0,
        "worker": None,
        "error": "transient: the Hub says 503",
    }


def test_a_prefix_is_enough_unless_it_is_ambiguous(walk: Walkthrough) -> None:
    first, second = walk.pushed_and_settled(0.1), walk.pushed_and_settled(0.2)
    with walk.ledger.view() as view:
        assert views.why(view, "acme/bot", first[:6])["revision"] == first
        assert views.why(view, "acme/bot", None)["revision"] == second
        with pytest.raises(Refused, match="is ambiguous"):
            views.why(view, "acme/bot", "")
        with pytest.raises(Refused, match="nothing is on record about acme/bot@" + "0" * 12):
            views.why(view, "acme/bot", "0" * 12)
        with pytest.raises(Refused, match="acme/x is not on record"):
            views.why(view, "acme/x", None)


def test_a_push_that_started_no_run_is_explained_too(walk: Walkthrough) -> None:
    first = walk.push()
    walk.push()
    walk.settle()
    why: Any = walk.why()
    with walk.ledger.view() as view:
        why = views.why(view, "acme/bot", first[:10])
    assert why["revision"] == first
    assert why["runs"] == []
    assert why["events"][0]["disposition"] == "superseded"


def test_a_repo_that_no_pipeline_covers(make_walk: MakeWalk) -> None:
    walk = make_walk(name="zoo/cat")
    sha = walk.pushed_and_settled()
    with walk.ledger.view() as view:
        why: Any = views.why(view, "zoo/cat", None)
    assert why["revision"] == sha
    assert why["events"][0]["reason"] == "no pipeline matches model zoo/cat"


def test_an_event_that_names_no_revision_is_told_with_the_run_that_it_started(
    walk: Walkthrough,
) -> None:
    sha = walk.push()
    walk.mail.clear()
    event = an_event(walk, "bare")
    with walk.ledger.transaction() as tx:
        tx.add_event(event)
    walk.look()
    walk.settle()
    why: Any = walk.why(sha)
    told = [e for e in why["events"] if e["id"] == event.id]
    assert [(e["disposition"], e["run"]) for e in told] == [("ran", why["runs"][0]["id"])]


def test_the_cause_of_a_run_is_told_however_much_came_after(walk: Walkthrough) -> None:
    sha = walk.pushed_and_settled()
    run = walk.run(sha)
    with walk.ledger.transaction() as tx:
        tx.add_events([an_event(walk, f"later {n}") for n in range(1000)])
    why: Any = walk.why(sha)
    assert why["events"][0]["id"] == run.event_id
    assert why["runs"][0]["event"] == run.event_id


def test_a_journaled_move_that_was_refused_is_not_told_as_done(walk: Walkthrough) -> None:
    sha = walk.push()
    step = walk.until(StepKind.PROMOTE)
    walk.hub.fail_next("create_tag", PermanentError("400"))
    walk.worker.perform(step.id)
    why: Any = walk.why(sha)
    (operation,) = why["runs"][0]["promotions"][0]["operations"]
    assert (operation["kind"], operation["seen_at"]) == ("create", None)
    assert operation["echoed"] is False
    walk.settle()
    why = walk.why(sha)
    operations = [o for p in why["runs"][0]["promotions"] for o in p["operations"]]
    assert len(operations) == 3  # staging, prod-1, prod
    assert all(o["seen_at"] is not None and o["echoed"] for o in operations)


def test_a_replay_is_counted_with_its_event(walk: Walkthrough) -> None:
    good = walk.push()
    (mail,) = walk.mail
    walk.settle()
    walk.deliver(mail)
    walk.settle()
    why: Any = walk.why(good)
    deliveries = [d["disposition"] for d in why["events"][0]["deliveries"]]
    assert deliveries == ["pending", "duplicate"]


def test_status_shows_stages_holds_and_work(walk: Walkthrough) -> None:
    good = walk.pushed_and_settled()
    walk.hub.remove_tag(walk.repo, "prod")
    walk.settle()
    second = walk.push(0.95)
    walk.until(StepKind.CHECK)
    walk.clock.advance(7)
    with walk.ledger.view() as view:
        status: Any = views.status(view, walk.rules, walk.clock.now())
    (repo,) = status["repos"]
    assert repo["stages"] == {"staging": good, "prod": good}
    assert repo["head"] == second
    assert repo["newest_run"]["status"] == "checking"
    assert [h["stage"] for h in status["holds"]] == ["prod"]
    assert [r["revision"] for r in status["open_runs"]] == [second]
    assert status["steps"] == {
        "ready": 2,
        "running": 0,
        "oldest_due_s": 7.0,
        "unattended_s": {},
    }


def test_a_name_shared_by_two_kinds_of_repo_is_refused(walk: Walkthrough) -> None:
    walk.pushed_and_settled()
    sets = walk.hub.create_repo(RepoType.DATASET, "acme/bot")
    walk.settle()
    assert sets.hub_id != walk.repo.hub_id
    with walk.ledger.view() as view, pytest.raises(Refused, match="several repos"):
        views.why(view, "acme/bot", None)
