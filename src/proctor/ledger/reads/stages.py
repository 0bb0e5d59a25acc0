"""Reads of promotions, their journal, stages, holds and notices."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select

from proctor.core.promotion import Operation, Promotion, PromotionStatus
from proctor.core.record import Hold, OutboxNotice, StageHead
from proctor.ledger.reads.base import Reads, among, of

PROMOTIONS, OPERATIONS, HEADS = of(Promotion), of(Operation), of(StageHead)
HOLDS, OUTBOX = of(Hold), of(OutboxNotice)

_OPEN_PROMOTION = [s.value for s in PromotionStatus if not s.ended]


class StageReads(Reads):
    """Where the tags are, how they got there, and what was said about it."""

    def promotion(self, id: str) -> Promotion | None:
        """By id."""
        return self._one(Promotion, id=id)

    def promotions(
        self,
        *,
        hub_id: str | None = None,
        stage: str | None = None,
        run_id: str | None = None,
        open_only: bool = False,
        limit: int = 1000,
    ) -> Sequence[Promotion]:
        """Newest first."""
        newest = (PROMOTIONS.c.created_at.desc(), PROMOTIONS.c.seq.desc())
        query = select(PROMOTIONS).order_by(*newest).limit(limit)
        for name, wanted in {"hub_id": hub_id, "stage": stage, "run_id": run_id}.items():
            if wanted is not None:
                query = query.where(PROMOTIONS.c[name] == wanted)
        if open_only:
            query = query.where(among(PROMOTIONS.c.status, _OPEN_PROMOTION))
        return self._many(Promotion, query)

    def operations(self, promotion_id: str) -> Sequence[Operation]:
        """The journal of a promotion, in the order of recording."""
        query = select(OPERATIONS).where(OPERATIONS.c.promotion_id == promotion_id)
        return self._many(Operation, query.order_by(OPERATIONS.c.seq))

    def unmatched_operations(self, hub_id: str) -> Sequence[Operation]:
        """Operations of the repo whose webhook has not come back, oldest first."""
        query = select(OPERATIONS).where(
            OPERATIONS.c.hub_id == hub_id, OPERATIONS.c.event_id.is_(None)
        )
        return self._many(Operation, query.order_by(OPERATIONS.c.recorded_at, OPERATIONS.c.seq))

    def unechoed(self, since: float, before: float) -> Sequence[Operation]:
        """Operations observed after `since`, no later than `before`, whose webhook has not come
        back, oldest first."""
        observed = OPERATIONS.c.observed_at
        query = select(OPERATIONS).where(
            OPERATIONS.c.event_id.is_(None), observed > since, observed <= before
        )
        return self._many(Operation, query.order_by(observed, OPERATIONS.c.seq))

    def stage_head(self, hub_id: str, stage: str) -> StageHead | None:
        """Where the stage's tag points, as far as we know; None: nowhere."""
        return self._one(StageHead, hub_id=hub_id, stage=stage)

    def stage_heads(self, hub_id: str | None = None) -> Sequence[StageHead]:
        """Of one repo or all, oldest first."""
        query = select(HEADS)
        if hub_id is not None:
            query = query.where(HEADS.c.hub_id == hub_id)
        found = self._many(StageHead, query)
        return sorted(found, key=lambda head: (head.since, head.hub_id, head.stage))

    def holds(self, *, hub_id: str | None = None, in_force: bool = True) -> Sequence[Hold]:
        """Oldest first; with `in_force` only those not released."""
        query = select(HOLDS)
        if hub_id is not None:
            query = query.where(HOLDS.c.hub_id == hub_id)
        if in_force:
            query = query.where(HOLDS.c.released_at.is_(None))
        return self._many(Hold, query.order_by(HOLDS.c.since, HOLDS.c.seq))

    def notice(self, id: str) -> OutboxNotice | None:
        """By id."""
        return self._one(OutboxNotice, id=id)

    def notices(self, *, limit: int = 100) -> Sequence[OutboxNotice]:
        """Newest first."""
        query = select(OUTBOX).order_by(OUTBOX.c.seq.desc()).limit(limit)
        return self._many(OutboxNotice, query)
