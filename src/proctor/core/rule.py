"""Rules: which events start what. The values of proctor.yaml, and the matching."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from proctor.core.evidence import Json, digest
from proctor.core.gate import Criterion, criterion_json
from proctor.core.names import RepoType


@dataclass(frozen=True, slots=True)
class Stage:
    """A promotion target with a moving tag of the same name. `after` names the stage that a
    revision has to be in first."""

    name: str
    after: str | None = None


@dataclass(frozen=True, slots=True)
class Match:
    """Which pushes a pipeline answers to. `repo` is a glob over "org/name", case matters."""

    repo: str
    type: RepoType = RepoType.MODEL
    ref: str = "refs/heads/main"


@dataclass(frozen=True, slots=True)
class CheckSpec:
    """A check as a pipeline asks for it: `use` names the plugin, `parameters` are its `with:`.
    `needs` are names of checks of the same pipeline that have to have measured first. `content`
    is what the folders and files that the parameters name held when the configuration was read:
    SHA-256 in hex by the path as it is written."""

    name: str
    use: str
    parameters: Mapping[str, Json] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    content: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Channel:
    """Whom to tell, and how. `parameters` are JSON values, and Secret where the configuration
    names an environment variable. They stay in memory: a channel is never recorded."""

    name: str
    use: str
    parameters: Mapping[str, object] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Checks, gate and stages for a set of repos."""

    name: str
    match: Match
    checks: tuple[CheckSpec, ...]
    gate: tuple[Criterion, ...]
    promote: tuple[str, ...]
    notify: tuple[str, ...] = ()

    def gate_digest(self) -> str:
        """Changes whenever a criterion or a check changes: a verdict counts only under the gate
        that gave it."""
        return gate_digest(self.gate, self.checks)


def gate_digest(gate: Sequence[Criterion], checks: Sequence[CheckSpec]) -> str:
    """The digest of criteria together with the checks that measured for them, in order."""
    return digest(
        {
            "gate": [criterion_json(c) for c in gate],
            "checks": [_check_json(c) for c in checks],
        }
    )


def _check_json(check: CheckSpec) -> dict[str, Json]:
    written: dict[str, Json] = {
        "name": check.name,
        "use": check.use,
        "with": dict(check.parameters),
        "needs": check.needs,
    }
    # Left out where there is none, so that a digest says the same whatever names no path.
    return written | {"content": dict(check.content)} if check.content else written


@dataclass(frozen=True, slots=True)
class Rules:
    """All of proctor.yaml, validated: stages in order, pipelines, channels by name."""

    stages: tuple[Stage, ...]
    pipelines: tuple[Pipeline, ...]
    channels: Mapping[str, Channel] = field(default_factory=dict)

    def pipeline(self, name: str) -> Pipeline | None:
        """The pipeline called `name`, or None when the configuration no longer has it."""
        return next((p for p in self.pipelines if p.name == name), None)

    def releases(self, stage: str) -> bool:
        """Whether a promotion to `stage` makes an immutable release tag: the last stage does."""
        return bool(self.stages) and self.stages[-1].name == stage


def match(pipelines: Sequence[Pipeline], type: RepoType, repo: str) -> tuple[Pipeline, ...]:
    """The pipelines whose rule covers this repo, in the order of the file."""
    return tuple(p for p in pipelines if p.match.type is type and fnmatchcase(repo, p.match.repo))


def deciding(pipelines: Sequence[Pipeline], stage: str) -> tuple[Pipeline, ...]:
    """Of the pipelines that cover a repo, those whose verdicts open a stage: the ones that promote
    to it, or all of them where none does. What another pipeline thinks of a revision is no proof
    for a stage that has its own."""
    return tuple(p for p in pipelines if stage in p.promote) or tuple(pipelines)
