"""Rerun: which pipeline over which revision a person means by it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from proctor.core.errors import Refused
from proctor.core.names import Repo, Revision, short
from proctor.core.planning import Start
from proctor.core.rule import Pipeline, Rules, match
from proctor.core.run import Run
from proctor.flow.repos import one_repo
from proctor.flow.rollback import was_in
from proctor.ports.ledger import View

_FILE = "proctor.yaml (the file that PROCTOR_CONFIG names)"


def wanted(
    view: View, rules: Rules, repo: str, revision: str | None, pipeline: str | None
) -> tuple[Repo, Start]:
    """The run to start. `revision` may be a prefix.

    A head is run under the pipeline that looks at it, whether that pipeline ran before or not.
    Without a revision the newest run counts, or where there is none the head. Raises Refused with
    the reason and what to do instead.
    """
    known = one_repo(view, repo).repo
    if pipeline is not None and rules.pipeline(pipeline) is None:
        names = ", ".join(p.name for p in rules.pipelines) or "none"
        raise Refused(f"there is no pipeline {pipeline!r} in {_FILE}; there are: {names}")
    covering = [
        p for p in match(rules.pipelines, known.type, known.name) if pipeline in (None, p.name)
    ]
    runs = view.runs(hub_id=known.hub_id, pipeline=pipeline)
    refs = view.refs_seen(known.hub_id)
    stages = [s.name for s in rules.stages]
    choice = _Choice(view, stages, known, revision, pipeline, covering, refs, runs)
    start = choice.by_revision(revision) if revision else choice.newest()
    for run in runs:
        same = (run.pipeline, run.revision) == (start.pipeline.name, start.revision)
        if same and not run.status.ended:
            raise Refused(f"run {run.id} of {short(run.revision)} is {run.status.value} now")
    return known, start


@dataclass(frozen=True, slots=True)
class _Choice:
    """What there is to choose from: `covering` are the pipelines that match the repo, `refs` its
    heads as last seen, `runs` those on record, newest first."""

    view: View
    stages: Sequence[str]
    repo: Repo
    revision: str | None
    asked_for: str | None
    covering: Sequence[Pipeline]
    refs: Mapping[str, Revision]
    runs: Sequence[Run]

    def newest(self) -> Start:
        """Without a revision."""
        if self.runs:
            return self._again(self.runs[0])
        heads = [p for p in self.covering if p.match.ref in self.refs]
        if not heads:
            raise Refused(self._nothing())
        pipeline = self._one(heads)
        return self._start(pipeline, self.refs[pipeline.match.ref])

    def by_revision(self, prefix: str) -> Start:
        """With one, or its first digits."""
        heads = [p for p in self.covering if self.refs.get(p.match.ref, "").startswith(prefix)]
        before = [r for r in self.runs if r.revision.startswith(prefix)]
        meant = {self.refs[p.match.ref] for p in heads} | {r.revision for r in before}
        if len(meant) > 1:
            shas = ", ".join(sorted(sha[:12] for sha in meant))
            raise Refused(f"{prefix} is the beginning of several revisions: {shas}")
        if heads:
            pipeline = self._one(heads)
            return self._start(pipeline, self.refs[pipeline.match.ref])
        if before:
            return self._again(before[0])
        raise Refused(self._nothing())

    def _again(self, old: Run) -> Start:
        """The pipeline of an old run once more, over the same revision."""
        pipeline = next((p for p in self.covering if p.name == old.pipeline), None)
        if pipeline is None:
            now = ", ".join(p.name for p in self.covering)
            name = now if len(self.covering) == 1 else "NAME"
            other = f". For one that does ({now}): {self._command(f'--pipeline {name}')}"
            raise Refused(
                f"pipeline {old.pipeline} of the run on record no longer matches {self._named}: "
                f"it is gone from {_FILE}, or its `match` changed{other if now else ''}"
            )
        head = self.refs.get(pipeline.match.ref)
        if head is not None and head != old.revision:
            raise Refused(
                f"{short(old.revision)} is no longer the head of {pipeline.match.ref} (that is "
                f"{short(head)}), so a run of it would be superseded at once{self._return(old)}"
            )
        return self._start(pipeline, old.revision)

    def _return(self, old: Run) -> str:
        """How to have an old revision after all: only where a rollback may lead there."""
        there = {h.stage for h in self.view.stage_heads(old.hub_id) if h.revision == old.revision}
        away = [s for s in self.stages if s not in there]
        stages = [s for s in away if was_in(self.view, old.hub_id, s, old.revision)]
        if not stages:
            return "; to have it judged again, push its content once more"
        back = f"proctor rollback {self.repo.name} {stages[-1]} --to {short(old.revision)}"
        return f"; to return to it: {back}"

    def _start(self, pipeline: Pipeline, revision: Revision) -> Start:
        before = [r for r in self.runs if (r.pipeline, r.revision) == (pipeline.name, revision)]
        last = max(before, key=lambda r: r.number, default=None)
        return Start(
            pipeline,
            revision,
            number=last.number + 1 if last else 1,
            again_of=last.id if last else None,
        )

    def _one(self, pipelines: Sequence[Pipeline]) -> Pipeline:
        if len(pipelines) > 1:
            names = ", ".join(p.name for p in pipelines)
            raise Refused(
                f"several pipelines match: {names}; say which: {self._command('--pipeline NAME')}"
            )
        return pipelines[0]

    def _nothing(self) -> str:
        """Why nothing fits."""
        said = f"{self.repo.name}@{self.revision}" if self.revision else self.repo.name
        none = f"no run of {said} is on record"
        if not self.covering:
            which = f"pipeline {self.asked_for} does not match" if self.asked_for else ""
            which = which or "no pipeline matches"
            return (
                f"{none}, and {which} {self._named}: mend `match` in {_FILE}, "
                "and restart Proctor to have it count"
            )
        watched = list(dict.fromkeys(p.match.ref for p in self.covering))
        if self.revision is None:
            return f"{none}, and {', '.join(watched)} of it was not seen yet: push to it first"
        places = [r for r, sha in self.refs.items() if sha.startswith(self.revision)]
        if places:
            return (
                f"{none}: it is at {', '.join(places)}, where no pipeline that matches "
                f"{self._named} looks (they look at {', '.join(watched)}); see `match` in {_FILE}"
            )
        heads = [f"{ref} (now {short(self.refs[ref])})" for ref in watched if ref in self.refs]
        return (
            f"{none}, and it was not seen at the head of {' or '.join(heads or watched)}; "
            f"see: proctor runs {self.repo.name}"
        )

    @property
    def _named(self) -> str:
        return f"{self.repo.type.value} {self.repo.name}"

    def _command(self, option: str) -> str:
        at = f"@{self.revision[:12]}" if self.revision else ""
        return f"proctor rerun {self.repo.name}{at} {option}"
