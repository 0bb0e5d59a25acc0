"""Reads for people: one source for the command, the API and the pages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from proctor.core.errors import Refused
from proctor.core.event import Event
from proctor.core.evidence import Evidence, Json
from proctor.core.gate import criterion_json
from proctor.core.names import Repo
from proctor.core.promotion import Promotion
from proctor.core.record import OutboxNotice, VerdictRecord
from proctor.core.rule import Rules
from proctor.core.run import Run, RunCheck, Step, StepKind
from proctor.flow.repos import one_repo
from proctor.ports.ledger import View


def status(view: View, rules: Rules, now: float) -> dict[str, Json]:
    """Every repo on record with its stages, and what is going on now."""
    steps = view.open_steps()
    return {
        "repos": [_repo(view, rules, known.repo) for known in view.known_repos()],
        "open_runs": [run_line(r) for r in view.runs(open_only=True)],
        "steps": {
            "ready": sum(1 for s in steps if s.state.value == "ready"),
            "running": sum(1 for s in steps if s.state.value == "running"),
            "oldest_due_s": max([0.0, *(round(now - s.due_at, 1) for s in steps)]),
        },
        "holds": [
            {
                "repo": _name(view, h.hub_id),
                "stage": h.stage,
                "reason": h.reason,
                "since": h.since,
            }
            for h in view.holds()
        ],
    }


def _repo(view: View, rules: Rules, repo: Repo) -> dict[str, Json]:
    heads = {h.stage: h for h in view.stage_heads(repo.hub_id)}
    newest = view.runs(hub_id=repo.hub_id, limit=1)
    known = view.known_repo(repo.hub_id)
    return {
        "name": repo.name,
        "type": repo.type.value,
        "hub_id": repo.hub_id,
        "gone_because": known.gone_because if known else "",
        "head": view.refs_seen(repo.hub_id).get("refs/heads/main"),
        "stages": {
            s.name: heads[s.name].revision if s.name in heads else None for s in rules.stages
        },
        "newest_run": run_line(newest[0]) if newest else None,
    }


def runs(view: View, repo: str | None, limit: int) -> list[Json]:
    """Runs, newest first; of one repo when `repo` is given. Raises Refused when unknown."""
    hub_id = one_repo(view, repo).repo.hub_id if repo else None
    return [run_line(r) for r in view.runs(hub_id=hub_id, limit=limit)]


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


def why(view: View, repo: str, revision: str | None) -> dict[str, Json]:
    """All that is on record about a revision (a prefix is enough; without one: the newest run):
    the events that told of it, and for each run its checks, verdict, promotions and notices, and
    the steps that are still to be done (with the error of the last try).

    Raises Refused when the repo is unknown, or when nothing is on record under that prefix.
    """
    known = one_repo(view, repo)
    hub_id = known.repo.hub_id
    all_runs = view.runs(hub_id=hub_id)
    if revision is None and all_runs:
        revision = all_runs[0].revision
    if revision is None:
        revision = view.refs_seen(hub_id).get("refs/heads/main")
    chosen = [r for r in all_runs if revision is not None and r.revision.startswith(revision)]
    events = [e for e in view.events(hub_id=hub_id, limit=1000) if _about(e, revision)]
    full = {r.revision for r in chosen} | {
        u.new
        for e in events
        for u in e.updates
        if revision is not None and u.new and u.new.startswith(revision)
    }
    if not chosen and not events:
        raise Refused(f"nothing is on record about {repo}@{revision}; see: proctor runs {repo}")
    if len({r.revision for r in chosen}) > 1:
        shas = ", ".join(sorted({r.revision[:12] for r in chosen}))
        raise Refused(f"{revision} is ambiguous: {shas}")
    return {
        "repo": known.repo.name,
        "type": known.repo.type.value,
        "revision": next(iter(full), revision),
        "head": view.refs_seen(hub_id).get("refs/heads/main"),
        "stages": {h.stage: h.revision for h in view.stage_heads(hub_id)},
        "events": [_event(view, e) for e in reversed(events)],
        "runs": [_run(view, r) for r in chosen],
        "holds": [{"stage": h.stage, "reason": h.reason} for h in view.holds(hub_id=hub_id)],
    }


def _about(event: Event, revision: str | None) -> bool:
    if revision is None:
        return True
    shas = [u.new for u in event.updates] or [event.head]
    return any(sha is not None and sha.startswith(revision) for sha in shas)


def _event(view: View, event: Event) -> dict[str, Json]:
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
        "deliveries": [
            {"id": d.id, "received_at": d.received_at, "disposition": d.disposition.value}
            for d in reversed(deliveries)
        ],
    }


def _run(view: View, run: Run) -> dict[str, Json]:
    verdict, checks = view.verdict(run.id), view.checks(run.id)
    promotions = view.promotions(run_id=run.id)
    subjects = {run.id, f"{run.hub_id}@{run.revision}"}
    subjects |= {*(p.id for p in promotions), *(c.id for c in checks)}
    return {
        **run_line(run),
        "checks": [_check(view, c) for c in checks],
        "verdict": _verdict(verdict) if verdict else None,
        "promotions": [_promotion(view, p) for p in reversed(promotions)],
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
        "channel": row.channel,
        "state": row.state.value,
        "sent_at": row.sent_at,
        "error": row.error,
    }


def _verdict(record: VerdictRecord) -> dict[str, Json]:
    return {
        "result": record.verdict.result.value,
        "reasons": [{"result": r.result.value, "text": r.text} for r in record.verdict.reasons],
        "gate": [criterion_json(c) for c in record.gate],
        "judged_at": record.judged_at,
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


def _promotion(view: View, promotion: Promotion) -> dict[str, Json]:
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
            {"kind": o.kind.value, "tag": o.tag, "revision": o.revision, "at": o.recorded_at}
            for o in view.operations(promotion.id)
        ],
    }


def promotions(view: View, repo: str) -> Sequence[Json]:
    """The promotions of a repo, newest first."""
    hub_id = one_repo(view, repo).repo.hub_id
    return [_promotion(view, p) for p in view.promotions(hub_id=hub_id)]


def _name(view: View, hub_id: str) -> str:
    known = view.known_repo(hub_id)
    return known.repo.name if known else hub_id
