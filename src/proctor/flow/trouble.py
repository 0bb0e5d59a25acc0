"""Trouble: telling people of a step that waits for them, or that nothing more comes of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from proctor.core import compose
from proctor.core.names import RepoType, Revision, short
from proctor.core.notice import Notice
from proctor.core.rule import Rules, match
from proctor.core.run import Attempt, Run, Step, StepKind
from proctor.flow.outbox import DEFAULT_CHANNEL, tell
from proctor.flow.runs import Link
from proctor.ports.clock import Clock
from proctor.ports.ledger import DONE, FAILED, Ledger, Transaction, View


def last_end(view: View, step: Step) -> Attempt | None:
    """The try with which the last step of the same kind and subject before this one ended, done
    or failed for good."""
    for attempt in reversed(view.attempts(step.kind, step.subject)):
        outcome = attempt.outcome or ""
        this = (attempt.step_id, attempt.fence) == (step.id, step.fence)
        if not this and (outcome == DONE or outcome.startswith(FAILED)):
            return attempt
    return None


@dataclass(frozen=True, slots=True)
class _About:
    """What a step is for, in words; a page about it; whom it concerns (nobody: ())."""

    text: str
    link: str
    channels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Trouble:
    """Writes notices about steps, in the transaction of what became of them."""

    clock: Clock
    rules: Rules
    link: Link

    def paused(self, tx: Transaction, step: Step, reason: str) -> Sequence[Step]:
        """The step waits for a person to mend access; returns the steps that send the notice."""
        return self._tell(tx, replace(step, error=reason), compose.step_paused)

    def half_moved(self, tx: Transaction, step: Step, reason: str) -> Sequence[Step]:
        """The tags are not yet as decided, and it takes long; returns the steps that tell it."""
        return self._tell(tx, replace(step, error=reason), compose.half_moved)

    def gave_up(self, tx: Transaction, step: Step, reason: str) -> Sequence[Step]:
        """The step failed for good; returns the steps that send the notice. None where the last
        of its kind failed for the same reason: what asks again and again tells it once."""
        before = last_end(tx, step)
        if before is not None and before.outcome == f"{FAILED}{reason}":
            return ()
        return self._tell(tx, replace(step, error=reason), compose.step_gave_up)

    def _tell(
        self, tx: Transaction, step: Step, says: Callable[[Step, str, str], Notice]
    ) -> Sequence[Step]:
        about = self._about(tx, step)
        notice = says(step, about.text, about.link)
        return tell(tx, self.clock, notice, about.channels) if about.channels else ()

    def _about(self, view: View, step: Step) -> _About:
        if step.kind is StepKind.PLAN:
            return self._of_repo(view, step.subject, None)
        if step.kind is StepKind.SYNC:
            hub_id, _, revision = step.subject.rpartition("@")
            return self._of_repo(view, hub_id, Revision(revision))
        run_id, what = step.subject, ""
        if step.kind is StepKind.CHECK:
            check = view.check(step.subject)
            if check is not None:
                run_id, what = check.run_id, f"{check.name} for "
        if step.kind is StepKind.PROMOTE:
            promotion = view.promotion(step.subject)
            if promotion is not None:
                run_id, what = promotion.run_id, f"{promotion.stage} of "
        run = view.run(run_id)
        return self._of_run(run, what) if run else _About(step.subject, "", _everybody(self.rules))

    def _of_run(self, run: Run, what: str) -> _About:
        pipeline = self.rules.pipeline(run.pipeline)
        channels = _told(pipeline.notify) if pipeline else _everybody(self.rules)
        link = self.link(run.repo_type, run.repo_name, run.revision)
        return _About(f"{what}{run.repo_name}@{short(run.revision)}", link, channels)

    def _of_repo(self, view: View, hub_id: str, revision: Revision | None) -> _About:
        """Of a repo that no pipeline covers, nobody is told."""
        found = _name(view, hub_id)
        if found is None:
            return _About(hub_id, "", _everybody(self.rules))
        kind, name = found
        covering = match(self.rules.pipelines, kind, name)
        channels = {each: None for p in covering for each in _told(p.notify)}
        text = f"{name}@{short(revision)}" if revision else name
        return _About(text, self.link(kind, name, revision), tuple(channels))


@dataclass(frozen=True, slots=True)
class RefusedToken:
    """Tells everybody that the Hub does not know our token: once a day as long as it lasts, not for
    each of the many that it stops."""

    ledger: Ledger
    clock: Clock
    rules: Rules

    def tell(self) -> Sequence[Step]:
        """Returns the steps that send the notice; none where people were told today. Raises
        LedgerUnavailable."""
        day = datetime.fromtimestamp(self.clock.now(), UTC).date().isoformat()
        try:
            with self.ledger.transaction() as tx:
                return tell(tx, self.clock, compose.token_refused(day), _everybody(self.rules))
        except ValueError:  # it is on record
            return ()


def _name(view: View, hub_id: str) -> tuple[RepoType, str] | None:
    known = view.known_repo(hub_id)
    if known is not None:
        return known.repo.type, known.repo.name
    told = view.events(hub_id=hub_id, limit=1)
    return (told[0].repo_type, told[0].repo_name) if told else None


def _everybody(rules: Rules) -> tuple[str, ...]:
    return tuple({each: None for p in rules.pipelines for each in _told(p.notify)})


def _told(notify: Sequence[str]) -> tuple[str, ...]:
    return tuple(notify) or (DEFAULT_CHANNEL,)
