"""Which checks may begin, and which never can."""

from __future__ import annotations

from proctor.core.checking import onward
from proctor.core.evidence import Outcome
from proctor.core.run import CheckStatus, RunCheck

M, E = Outcome.MEASURED, Outcome.ERRORED


def check(
    name: str, *needs: str, status: CheckStatus = CheckStatus.WAITING, run: str = "r"
) -> RunCheck:
    return RunCheck(name, run, name, "fake", needs=needs, status=status)


def names(checks: tuple[RunCheck, ...]) -> list[str]:
    return [c.name for c in checks]


def test_a_check_begins_when_all_that_it_needs_have_measured() -> None:
    checks = [
        check("a", status=CheckStatus.DONE),
        check("b", status=CheckStatus.DONE),
        check("c", "a", "b"),
        check("d", "c"),
    ]
    assert names(onward(checks, {"a": M}).ready) == []
    on = onward(checks, {"a": M, "b": M})
    assert names(on.ready) == ["c"]
    assert not on.blocked
    assert not on.complete


def test_a_check_already_ready_or_cancelled_does_not_begin_again() -> None:
    checks = [
        check("a", status=CheckStatus.READY),
        check("b", status=CheckStatus.CANCELLED),
        check("c"),
    ]
    on = onward(checks, {})
    assert names(on.ready) == ["c"]
    assert not on.complete


def test_an_error_blocks_all_that_rests_on_it_and_names_the_nearest_cause() -> None:
    checks = [
        # in an order that takes more than one pass
        check("d", "c"),
        check("c", "b"),
        check("b", "a"),
        check("a", status=CheckStatus.DONE),
        check("e"),
    ]
    on = onward(checks, {"a": E})
    assert {(c.name, cause) for c, cause in on.blocked} == {("b", "a"), ("c", "b"), ("d", "c")}
    assert names(on.ready) == ["e"]
    assert not on.complete
    assert onward(checks, {"a": E, "e": M}).complete


def test_one_errored_need_of_two_blocks_before_the_other_is_known() -> None:
    checks = [
        check("a", status=CheckStatus.DONE),
        check("b", status=CheckStatus.READY),
        check("c", "b", "a"),
    ]
    on = onward(checks, {"a": E})
    assert [(c.name, cause) for c, cause in on.blocked] == [("c", "a")]
    assert not on.complete


def test_all_outcomes_in_means_complete_even_when_errored() -> None:
    checks = [check("a", status=CheckStatus.DONE), check("b", status=CheckStatus.DONE)]
    assert onward(checks, {"a": M, "b": E}).complete
    assert not onward(checks, {"a": M}).complete
    assert onward([], {}).complete
