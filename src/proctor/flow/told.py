"""The record of a run and of an event as JSON: what `flow.views` puts together."""

from __future__ import annotations

from typing import cast

from proctor.core.event import Delivery, Disposition, Event
from proctor.core.evidence import Evidence, Json
from proctor.core.gate import Verdict, criterion_json
from proctor.core.promotion import Promotion
from proctor.core.record import OutboxNotice, VerdictRecord
from proctor.core.run import Run, RunCheck, Step, StepKind
from proctor.core.secret import redact
from proctor.flow.verify import verify
from proctor.ports.ledger import View


def run_line(run: Run) -> dict[str, Json]:
    """A run in one line."""
    return {
        "id": run.id,
        "repo": run.repo_name,
        "type": run.repo_type.value,
        "revision": run.revision,
        "ref": run.ref,
        "pipeline": run.pipeline,
        "status": run.status.value,
        "reason": run.reason,
        "number": run.number,
        "again_of": run.again_of,
        "created_at": run.created_at,
        "begins_at": run.begins_at,
        "updated_at": run.updated_at,
    }


def event_told(view: View, event: Event) -> dict[str, Json]:
    """An event with the deliveries that told it."""
    deliveries = view.deliveries(event_id=event.id)
    return {
        "id": event.id,
        "source": event.source,
        "received_at": event.received_at,
        "scope": event.scope,
        "action": event.action,
        "refs": [{"ref": u.ref, "old": u.old, "new": u.new} for u in event.updates],
        "disposition": event.disposition.value,
        "reason": event.reason,
        "run": event.run_id,
        "deliveries": [
            {"id": d.id, "received_at": d.received_at, "disposition": d.disposition.value}
            for d in reversed(deliveries)
        ],
    }


BEGINNING = 300
"""Bytes that are told of the body of a delivery that could not be read."""


def delivery_told(view: View, delivery: Delivery) -> dict[str, Json]:
    """A delivery and what became of it: where it told a new event, that is the event's. `begins`
    is the beginning of a body that could not be read, "" of any other (or once it was emptied)."""
    event = view.event(delivery.event_id) if delivery.event_id else None
    became, reasons = delivery.disposition, [delivery.reason]
    if event is not None and became is Disposition.PENDING:
        became, reasons = event.disposition, [event.reason, delivery.reason]
    unread = delivery.body[:BEGINNING] if became is Disposition.QUARANTINED else b""
    return {
        "id": delivery.id,
        "received_at": delivery.received_at,
        "webhook_id": delivery.webhook_id,
        "bytes": len(delivery.body),
        "disposition": became.value,
        "reason": "; ".join(filter(None, reasons)),
        "begins": redact(unread.decode("utf-8", "backslashreplace")),
        "event": None
        if event is None
        else {
            "id": event.id,
            "repo": event.repo_name,
            "type": event.repo_type.value,
            "scope": event.scope,
            "action": event.action,
            "run": event.run_id,
        },
    }


def run_told(view: View, run: Run, *, verified: bool = False) -> dict[str, Json]:
    """A run with its checks, verdict, promotions and notices, and the steps still to be done. A
    promotion of another revision is told with that one. With `verified` the verdict is computed
    once more, and what came of that is told with it."""
    verdict, checks = view.verdict(run.id), view.checks(run.id)
    promotions = [p for p in view.promotions(run_id=run.id) if p.revision == run.revision]
    subjects = {run.id, f"{run.hub_id}@{run.revision}"}
    subjects |= {*(p.id for p in promotions), *(c.id for c in checks)}
    return {
        **run_line(run),
        "event": run.event_id,
        "checks": [_check(view, c) for c in checks],
        "verdict": _verdict(verdict) if verdict else None,
        **({"verified": _verified(view, run, verdict)} if verified else {}),
        "promotions": [promotion_told(view, p) for p in reversed(promotions)],
        "steps": [_step(s) for s in view.open_steps() if s.subject in subjects],
        "notices": [
            _notice(n)
            for n in reversed(view.notices(limit=1000))
            if n.notice.key.rpartition(":")[2] in subjects
        ],
    }


def _step(step: Step) -> dict[str, Json]:
    return {
        "kind": step.kind.value,
        "state": step.state.value,
        "due_at": step.due_at,
        "attempts": step.attempts,
        "worker": step.worker,
        "error": step.error,
    }


def _notice(row: OutboxNotice) -> dict[str, Json]:
    return {
        "kind": row.notice.kind,
        "title": row.notice.title,
        "subject": row.notice.key.rpartition(":")[2],
        "channel": row.channel,
        "state": row.state.value,
        "sent_at": row.sent_at,
        "error": row.error,
    }


def _judged(verdict: Verdict) -> dict[str, Json]:
    return {
        "result": verdict.result.value,
        "reasons": [{"result": r.result.value, "text": r.text} for r in verdict.reasons],
    }


def _verdict(record: VerdictRecord) -> dict[str, Json]:
    return {
        **_judged(record.verdict),
        "gate": [criterion_json(c) for c in record.gate],
        "judged_at": record.judged_at,
    }


def _verified(view: View, run: Run, record: VerdictRecord | None) -> dict[str, Json] | None:
    if record is None:
        return None
    found = verify(view, run, record)
    return {
        "same": found.same,
        "differences": list(found.differences),
        "otherwise": list(found.otherwise),
        "recomputed": _judged(found.recomputed),
    }


def _check(view: View, check: RunCheck) -> dict[str, Json]:
    evidence = view.evidence(check.evidence_id) if check.evidence_id else None
    attempts = view.attempts(StepKind.CHECK, check.id)
    return {
        "name": check.name,
        "use": check.use,
        "status": check.status.value,
        "attempts": [
            {"worker": a.worker, "started_at": a.started_at, "outcome": a.outcome} for a in attempts
        ],
        "evidence": _evidence(evidence) if evidence else None,
    }


def _evidence(evidence: Evidence) -> dict[str, Json]:
    found = evidence.findings
    return {
        "id": evidence.id,
        "outcome": evidence.outcome.value,
        "error": evidence.error,
        "metrics": [
            {
                "name": m.name,
                "value": m.value,
                "stderr": m.stderr,
                "n": m.n,
                "higher_is_better": m.higher_is_better,
                "unit": m.unit,
            }
            for m in found.metrics
        ],
        "notes": list(found.notes),
        "costs": cast("dict[str, Json]", dict(found.costs)),
        "artifacts": [{"path": a.path, "size": a.size} for a in found.artifacts],
    }


def promotion_told(view: View, promotion: Promotion) -> dict[str, Json]:
    """A promotion with its journal. An operation is journaled before it is made: `seen_at` says
    when the Hub was seen to have it (None: not yet, or never), `echoed` whether its webhook came
    back."""
    return {
        "id": promotion.id,
        "stage": promotion.stage,
        "revision": promotion.revision,
        "before": promotion.expected,
        "release": promotion.release or None,
        "cause": promotion.cause,
        "by": promotion.by,
        "status": promotion.status.value,
        "reason": promotion.reason,
        "created_at": promotion.created_at,
        "ended_at": promotion.ended_at,
        "operations": [
            {
                "kind": o.kind.value,
                "tag": o.tag,
                "revision": o.revision,
                "at": o.recorded_at,
                "seen_at": o.observed_at,
                "echoed": o.event_id is not None,
            }
            for o in view.operations(promotion.id)
        ],
    }
