"""Follow: a repo is its id. Where its name leads elsewhere, a look finds what it is called now."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from proctor.core.errors import RepoGone, RepoReplaced, TransientError
from proctor.flow.runs import plan_step
from proctor.ports.clock import Clock
from proctor.ports.ledger import Ledger

LOOKED_FOR = 30.0
"""Seconds for the look, and for the webhook that tells of the new name, before the next try."""


@contextmanager
def by_id(ledger: Ledger, clock: Clock, hub_id: str) -> Iterator[None]:
    """Around calls to the Hub that go by the name on record. Where that leads to no repo, or to a
    stranger's, a look is asked for and TransientError raised: the next try goes by the name that
    the look puts on record. Once a look found the id under no name that we were told, what the
    Hub said stands."""
    try:
        yield
    except (RepoGone, RepoReplaced) as error:
        with ledger.transaction() as tx:
            known = tx.known_repo(hub_id)
            if known is None or known.gone_because:
                raise
            tx.add_step(plan_step(clock, hub_id))
        raise TransientError(f"{error}; it is looked for by its id", delay=LOOKED_FOR) from error
