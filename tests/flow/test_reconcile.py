"""A webhook that never came is found by comparing the Hub's heads with the ledger (P3)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tests.flow.conftest import CHAT, RULES

from proctor.core.errors import AccessDenied, PermanentError, TransientError
from proctor.core.names import RepoType
from proctor.core.rule import Match, Rules
from proctor.core.run import RunStatus, StepKind
from proctor.flow.reconcile import GONE_AGAIN, STALE, owners

if TYPE_CHECKING:
    from tests.flow.conftest import MakeWalk, Walkthrough


def test_a_push_that_nobody_told_of_is_found(walk: Walkthrough) -> None:
    sha = walk.push()
    walk.mail.clear()
    assert walk.reconcile.once().missed == ("acme/bot",)
    walk.settle()
    assert walk.run(sha).status is RunStatus.PROMOTED
    why: Any = walk.why(sha)
    assert why["events"][0]["source"] == "sweep"
    assert why["events"][0]["disposition"] == "ran"


def test_what_is_on_record_is_not_asked_for_again(walk: Walkthrough) -> None:
    walk.pushed_and_settled()
    drift = walk.reconcile.once()
    assert (drift.heads, drift.missed, drift.looks) == (1, (), 0)
    assert walk.open_steps() == ()


def test_asking_twice_before_the_look_makes_one_event(walk: Walkthrough) -> None:
    walk.push()
    walk.mail.clear()
    assert walk.reconcile.once().missed == walk.reconcile.once().missed == ("acme/bot",)
    walk.settle()
    assert [d for d in walk.dispositions() if d != "echo"] == ["ran"]


def test_the_webhook_that_comes_late_after_all_changes_nothing(walk: Walkthrough) -> None:
    sha = walk.push()
    late = walk.mail.pop()
    walk.reconcile.once()
    walk.settle()
    walk.deliver(late)
    walk.settle()
    assert len(walk.runs(sha)) == 1
    assert walk.dispositions()[-1] == "unchanged"


def test_a_tag_moved_without_a_webhook_is_noticed_in_time(walk: Walkthrough) -> None:
    good = walk.pushed_and_settled()
    weak = walk.pushed_and_settled(0.1)
    walk.hub.move_tag(walk.repo, "prod", weak)
    walk.mail.clear()
    assert walk.reconcile.once().looks == 0
    walk.clock.advance(STALE)
    assert walk.reconcile.once().looks == 1
    walk.settle()
    assert walk.told()[-1] == "stage.held"
    assert walk.tags()["prod"] == weak
    assert walk.tags()["staging"] == good


def test_repos_without_a_pipeline_are_passed_over(walk: Walkthrough) -> None:
    walk.hub.create_repo(RepoType.DATASET, "acme/numbers")
    walk.hub.create_repo(RepoType.MODEL, "zoo/cat")
    walk.mail.clear()
    walk.reconcile.once()
    walk.settle()
    with walk.ledger.view() as view:
        assert [k.repo.name for k in view.known_repos()] == ["acme/bot"]


def test_a_hub_that_is_down_leaves_what_was_found(walk: Walkthrough) -> None:
    walk.push()
    walk.mail.clear()
    walk.hub.fail_next("heads", TransientError("503", delay=40))
    drift = walk.reconcile.once()
    assert (drift.missed, drift.wait) == ((), 40)
    assert drift.trouble == ("the models of acme cannot be listed: 503",)
    assert not drift.reached
    walk.hub.fail_next("heads", AccessDenied("403"))
    drift = walk.reconcile.once()
    assert drift.reached and drift.trouble
    drift = walk.reconcile.once()
    assert drift.reached and drift.missed == ("acme/bot",)


def _three_owners(make_walk: MakeWalk) -> Walkthrough:
    pipelines = tuple(
        replace(CHAT, name=name, match=Match(f"{name}/*")) for name in ("acme", "beta", "zeta")
    )
    walk = make_walk(replace(RULES, pipelines=pipelines))
    for owner in ("beta", "zeta"):
        walk.push(repo=walk.hub.create_repo(RepoType.MODEL, f"{owner}/bot"))
    walk.mail.clear()
    return walk


def _listed(walk: Walkthrough) -> list[str]:
    return [str(call.repo) for call in walk.hub.calls if call.name == "heads"]


def test_nobody_else_is_listed_after_the_hub_asked_us_to_wait(make_walk: MakeWalk) -> None:
    walk = _three_owners(make_walk)
    walk.hub.before_next("heads", lambda: None)  # the first owner is listed
    walk.hub.fail_next("heads", TransientError("429", delay=290))
    drift = walk.reconcile.once()
    assert (_listed(walk), drift.wait) == (["acme", "beta"], 290)
    drift = walk.reconcile.once(drift.begin_at)  # goes on where it stopped
    assert _listed(walk)[2:] == ["beta", "zeta", "acme"]
    assert (drift.missed, drift.begin_at) == (("beta/bot", "zeta/bot", "acme/bot"), None)


def test_an_owner_that_always_has_to_wait_keeps_no_other_from_being_listed(
    make_walk: MakeWalk,
) -> None:
    walk = _three_owners(make_walk)
    walk.hub.fail_next("heads", TransientError("429", delay=290))
    begin_at = walk.reconcile.once().begin_at
    assert walk.reconcile.once(begin_at).missed == ("beta/bot", "zeta/bot", "acme/bot")


def test_an_owner_that_cannot_be_listed_keeps_no_other_from_it(make_walk: MakeWalk) -> None:
    walk = _three_owners(make_walk)
    walk.hub.fail_next("heads", TransientError("reset"))
    assert walk.reconcile.once().missed == ("beta/bot", "zeta/bot")


def failing(walk: Walkthrough, passes: int, reason: str = "the Hub answered 418") -> None:
    """So many passes while each look at the repo fails for good."""
    for _ in range(passes):
        walk.hub.fail_next("refs", PermanentError(reason), times=1)
        walk.reconcile.once()
        walk.settle()
        walk.clock.advance(GONE_AGAIN)


def test_a_repo_that_never_can_be_looked_at_is_told_of_once(walk: Walkthrough) -> None:
    sha = walk.push()
    walk.mail.clear()
    failing(walk, 5)
    assert walk.told() == ["step.gave_up"]
    with walk.ledger.view() as view:
        tries = view.attempts(StepKind.PLAN, walk.repo.hub_id)
    assert [t.outcome for t in tries] == ["failed: the Hub answered 418"] * 5  # all on record
    failing(walk, 2, "the Hub answered 451")
    assert walk.told() == ["step.gave_up"] * 2
    walk.reconcile.once()
    walk.settle()
    assert walk.run(sha).status is RunStatus.PROMOTED


def test_the_same_trouble_after_a_look_that_succeeded_is_told_again(walk: Walkthrough) -> None:
    for acc in (0.9, 0.95):
        walk.push(acc)
        walk.mail.clear()
        failing(walk, 2)
        walk.reconcile.once()
        walk.settle()
    assert walk.told().count("step.gave_up") == 2


def test_a_look_that_failed_for_good_is_not_asked_for_at_every_pass(walk: Walkthrough) -> None:
    walk.push()
    walk.mail.clear()
    walk.hub.fail_next("refs", PermanentError("the Hub answered 418"), times=1)
    walk.reconcile.once()
    walk.settle()
    assert walk.reconcile.once().missed == ()
    assert walk.open_steps() == ()
    walk.push(0.95)  # something moved
    walk.mail.clear()
    assert walk.reconcile.once().missed == ("acme/bot",)


def test_stages_that_cannot_be_looked_at_are_not_asked_for_at_every_pass(
    walk: Walkthrough,
) -> None:
    walk.pushed_and_settled()
    walk.clock.advance(STALE)
    walk.hub.fail_next("refs", PermanentError("the Hub answered 418"), times=1)
    assert walk.reconcile.once().looks == 1
    walk.settle()
    assert walk.reconcile.once().looks == 0
    walk.clock.advance(GONE_AGAIN)
    assert walk.reconcile.once().looks == 1


YEAR = 365 * 86_400.0


def test_a_repo_that_was_seen_in_the_future_is_looked_at(walk: Walkthrough) -> None:
    """A clock was a year ahead when the last look was recorded."""
    walk.pushed_and_settled()
    walk.clock.jump(YEAR)
    walk.look()
    walk.drain()
    walk.clock.jump(-YEAR)
    walk.hub.remove_tag(walk.repo, "prod")
    walk.mail.clear()
    assert walk.reconcile.once().looks == 1
    walk.settle()
    assert walk.told()[-1] == "stage.held"
    assert walk.reconcile.once().looks == 0


def test_a_look_that_failed_in_the_future_does_not_put_off_the_next(walk: Walkthrough) -> None:
    sha = walk.push()
    walk.mail.clear()
    walk.hub.fail_next("refs", PermanentError("the Hub answered 418"))
    walk.reconcile.once()
    walk.clock.jump(YEAR)
    walk.drain()
    walk.clock.jump(-YEAR)
    assert walk.reconcile.once().missed == ("acme/bot",)
    walk.settle()
    assert walk.run(sha).status is RunStatus.PROMOTED


def test_owners_are_those_that_pipelines_spell_out(rules: Rules, make_walk: MakeWalk) -> None:
    globs = ["acme/*", "acme/chat-*", "*/bot", "a?me/x", "gpt2", "zoo/cat"]
    one = rules.pipelines[0]
    named = tuple(replace(one, name=g, match=Match(g)) for g in globs)
    sets = replace(one, name="sets", match=Match("acme/*", RepoType.DATASET))
    assert owners(replace(rules, pipelines=(*named, sets))) == (
        (RepoType.MODEL, "acme"),
        (RepoType.MODEL, "zoo"),
        (RepoType.DATASET, "acme"),
    )
