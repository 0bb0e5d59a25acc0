"""Reads for people: one source for the command, the API and the pages."""

from __future__ import annotations

from collections.abc import Sequence

from proctor.core.errors import Refused
from proctor.core.event import Disposition, Event
from proctor.core.evidence import Json
from proctor.core.names import Repo
from proctor.core.promotion import Promotion
from proctor.core.rule import Rules
from proctor.core.run import Run
from proctor.flow.attendance import unattended
from proctor.flow.repos import one_repo
from proctor.flow.told import delivery_told, event_told, promotion_told, run_line, run_told
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
            "unattended_s": {q: round(s, 1) for q, s in unattended(steps, now).items()},
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


def why(view: View, repo: str, revision: str | None, *, verified: bool = False) -> dict[str, Json]:
    """All that is on record about a revision (a prefix is enough; without one: the newest run):
    the events that told of it, and for each run its checks, verdict, promotions and notices, and
    the steps that are still to be done (with the error of the last try); and the promotions of the
    revision that came of a run of another. With `verified` each verdict is computed once more from
    its recorded evidence.

    Raises Refused when the repo is unknown, or when nothing is on record under that prefix; with
    `verified` also when no run of the revision has a verdict.
    """
    known = one_repo(view, repo)
    hub_id = known.repo.hub_id
    all_runs = view.runs(hub_id=hub_id)
    told = view.events(hub_id=hub_id, limit=1000)
    of_runs = {r.id: r.revision for r in all_runs}
    lent = [p for p in view.promotions(hub_id=hub_id) if of_runs.get(p.run_id) != p.revision]
    if revision is None and all_runs:
        revision = all_runs[0].revision
    if revision is None:
        revision = view.refs_seen(hub_id).get("refs/heads/main")
    if revision is not None:
        revision = _full(repo, revision, all_runs, told, lent)
    chosen = [r for r in all_runs if r.revision == revision]
    events = _events(view, revision, chosen, told)
    lent = [p for p in lent if p.revision == revision]
    if not chosen and not events and not lent:
        raise Refused(f"nothing is on record about {repo}@{revision}; see: proctor runs {repo}")
    if verified and not any(view.verdict(r.id) for r in chosen):
        raise Refused(f"no run of {repo}@{revision} has a verdict that could be computed again")
    return {
        "repo": known.repo.name,
        "type": known.repo.type.value,
        "revision": revision,
        "head": view.refs_seen(hub_id).get("refs/heads/main"),
        "stages": {h.stage: h.revision for h in view.stage_heads(hub_id)},
        "events": [event_told(view, e) for e in events],
        "runs": [run_told(view, r, verified=verified) for r in chosen],
        "promotions": [promotion_told(view, p) for p in reversed(lent)],
        "holds": [{"stage": h.stage, "reason": h.reason} for h in view.holds(hub_id=hub_id)],
    }


def _full(
    repo: str,
    prefix: str,
    runs: Sequence[Run],
    events: Sequence[Event],
    promotions: Sequence[Promotion],
) -> str:
    """The one revision on record that begins so; as given where there is none."""
    shas: set[str] = {r.revision for r in runs}
    shas |= {p.revision for p in promotions}
    shas |= {sha for e in events for sha in _shas(e)}
    found = sorted(sha for sha in shas if sha.startswith(prefix))
    if len(found) > 1:
        raise Refused(f"{prefix} is ambiguous: {', '.join(sha[:12] for sha in found)}")
    return found[0] if found else prefix


def _events(
    view: View, revision: str | None, runs: Sequence[Run], told: Sequence[Event]
) -> Sequence[Event]:
    """The events that tell of the revision, oldest first, and those that its runs came of: some
    of these name no revision, or an older one, or are too old to be among `told`."""
    ids = {r.id for r in runs}
    found = [e for e in told if revision in _shas(e) or e.run_id in ids or revision is None]
    there = {e.id for e in found}
    causes = dict.fromkeys(r.event_id for r in runs if r.event_id and r.event_id not in there)
    older = [e for e in map(view.event, causes) if e is not None]
    return [*reversed(older), *reversed(found)]


def _shas(event: Event) -> set[str]:
    """The revisions that an event tells of: where refs are now, or else the head."""
    named = [u.new for u in event.updates] or [event.head]
    return {sha for sha in named if sha}


def deliveries(view: View, disposition: Disposition | None, limit: int) -> list[Json]:
    """What the receiver took in, newest first; with `disposition` only those of which this
    became."""
    found = view.deliveries(disposition=disposition, limit=limit)
    return [delivery_told(view, d) for d in found]


def promotions(view: View, repo: str) -> Sequence[Json]:
    """The promotions of a repo, newest first."""
    hub_id = one_repo(view, repo).repo.hub_id
    return [promotion_told(view, p) for p in view.promotions(hub_id=hub_id)]


def _name(view: View, hub_id: str) -> str:
    known = view.known_repo(hub_id)
    return known.repo.name if known else hub_id
