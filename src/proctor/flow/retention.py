"""Retention: what nobody needs any more goes, by age. Facts and decisions stay for ever."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from proctor.core.run import Run
from proctor.ports.clock import Clock
from proctor.ports.ledger import Archive, View

AT_ONCE = 100
"""Runs looked up in one snapshot."""


@dataclass(frozen=True, slots=True)
class Gone:
    """What one pass removed: bodies of deliveries, and runs whose files are gone."""

    bodies: int
    runs: int


@dataclass(slots=True)
class Retention:
    """Empties raw bodies of deliveries, and removes files that checks kept, older than `keep`
    seconds. The rows stay: what was sent, measured and decided is known without them.

    `artifacts` holds a folder for each run. Files stay whatever their age while the run is open,
    while a promotion of it is, and while the newest verdict of a revision now in a stage, or the
    promotion that put it there, rests on them.
    """

    ledger: Archive
    clock: Clock
    artifacts: Path
    keep: float
    _settled: int = field(default=0)

    def once(self, stopped: Callable[[], bool] = lambda: False) -> Gone:
        """One pass, until all is done or `stopped()`. Raises LedgerUnavailable."""
        before = self.clock.now() - self.keep
        return Gone(self._bodies(before, stopped), self._files(before, stopped))

    def _bodies(self, before: float, stopped: Callable[[], bool]) -> int:
        """Goes on from where all was empty the last time."""
        emptied, after, unbroken = 0, self._settled, True
        while not stopped():
            done = self.ledger.forget_bodies(before, after)
            emptied += done.emptied
            if unbroken:
                self._settled = done.settled
            unbroken = unbroken and done.settled == done.upto
            if not done.more:
                break
            after = done.upto
        return emptied

    def _files(self, before: float, stopped: Callable[[], bool]) -> int:
        removed = 0
        folders = self._folders()
        while (some := list(islice(folders, AT_ONCE))) and not stopped():
            with self.ledger.view() as view:
                old = [folder for folder in some if _forgettable(view, folder.name, before)]
            for folder in old:
                shutil.rmtree(folder, ignore_errors=True)
                removed += not folder.exists()
        return removed

    def _folders(self) -> Iterator[Path]:
        if self.artifacts.is_dir():
            found = sorted(self.artifacts.iterdir())
            yield from (f for f in found if f.is_dir() and not f.is_symlink())


def _forgettable(view: View, run_id: str, before: float) -> bool:
    """Folders that are not a run's on record are not ours to remove."""
    run = view.run(run_id)
    if run is None or not run.status.ended or run.updated_at >= before:
        return False
    return run.id not in _needed(view, run)


def _needed(view: View, run: Run) -> Sequence[str]:
    """Runs of the same revision that something which holds now rests on."""
    needed = [p.run_id for p in view.promotions(run_id=run.id, open_only=True)]
    heads = [h for h in view.stage_heads(run.hub_id) if h.revision == run.revision]
    if heads:
        needed += [v.run_id for v in view.verdicts_of(run.hub_id, run.revision)[:1]]
    for head in heads:
        done = view.promotion(head.promotion_id) if head.promotion_id else None
        needed += [done.run_id] if done else []
    return needed
