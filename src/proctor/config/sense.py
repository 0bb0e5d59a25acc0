"""What the file means: names that have to exist, orders that have to hold."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter

from proctor.config.model import NAME
from proctor.config.node import Node, check_names
from proctor.config.problem import Complaint
from proctor.core.figure import written
from proctor.plugins import nearest

BUILT_IN_CHANNEL = "log"
"""A channel that every configuration has: the worker's log."""


def complaints(root: Node) -> Iterator[Complaint]:
    """Everything wrong with the meaning of the file, apart from what plugins say."""
    yield from _stages(root)
    yield from _unique((p, p.text("name")) for p in root.items("pipelines"))
    for pipeline in root.items("pipelines"):
        yield from _name(pipeline / "name")
        yield from _match(pipeline)
        yield from _checks(pipeline)
        yield from _gate(pipeline)
        yield from _between(pipeline)
        yield from _promote(root, pipeline)
        yield from _notify(root, pipeline)
    for name, channel in root.entries("channels"):
        if not re.match(NAME, name):
            yield channel.wrong(*_bad_name(name), key=True)


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def _bad_name(name: str) -> tuple[str, str]:
    return (
        f"{name[:80]!r} cannot be a name",
        "Use up to 63 letters, digits, '.', '_' and '-', beginning with a letter or digit.",
    )


def _name(node: Node) -> Iterator[Complaint]:
    if isinstance(node.value, str) and not re.match(NAME, node.value):
        yield node.wrong(*_bad_name(node.value))


def _unique(named: Iterable[tuple[Node, str | None]]) -> Iterator[Complaint]:
    seen: set[str] = set()
    for node, name in named:
        if name in seen:
            where = node / "name" if node.text("name") else node / "use"
            yield where.wrong(f"{name!r} is there already", "Give this one a `name` of its own.")
        if name:
            seen.add(name)


def _cycle(edges: Mapping[str, Iterable[str]]) -> list[str]:
    """One cycle of the graph, as names in order and the first again; empty when there is none."""
    try:
        TopologicalSorter(edges).prepare()
    except CycleError as e:
        return [str(name) for name in reversed(e.args[1])]
    return []


def _stages(root: Node) -> Iterator[Complaint]:
    stages = list(root.items("stages"))
    names = [s.text("name") for s in stages]
    yield from _unique(zip(stages, names, strict=True))
    after = {name: s.text("after") for s, name in zip(stages, names, strict=True) if name}
    cycle = _cycle({name: [a] for name, a in after.items() if a in after})
    if cycle:
        first = stages[names.index(cycle[0])]
        yield (first / "after").wrong(
            f"stages in a circle: {' after '.join(cycle)}", "Remove one `after`."
        )
    branches = {"main"} | {
        ref.removeprefix("refs/heads/")
        for p in root.items("pipelines")
        if (ref := (p / "match").text("ref"))
    }
    for i, (stage, name) in enumerate(zip(stages, names, strict=True)):
        if name is not None:
            yield from _tag(stage / "name", name, {n for n in names if n}, branches)
        behind = stage.text("after")
        if behind is None:
            continue
        if behind not in after:
            yield (stage / "after").wrong(
                f"unknown stage {behind!r}", _capital(nearest(behind, after))
            )
        elif behind not in names[:i] and not cycle:
            yield (stage / "after").wrong(
                f"{name!r} comes after {behind!r}, but stands before it",
                "List the stages in the order in which a revision goes through them.",
            )


def _tag(node: Node, name: str, stages: set[str], branches: set[str]) -> Iterator[Complaint]:
    """A stage's name is a git tag: https://git-scm.com/docs/git-check-ref-format"""
    if not re.match(NAME, name) or ".." in name or name.endswith((".", ".lock")):
        yield node.wrong(
            f"{name[:80]!r} cannot be a git tag",
            "Use letters, digits, '.', '_' and '-'; no '..', no '.' or '.lock' at the end.",
        )
    elif name in branches:
        yield node.wrong(
            f"a tag {name!r} would hide the branch of that name", "Choose another name."
        )
    elif re.fullmatch(r"[0-9a-f]{40}", name):
        yield node.wrong(f"{name!r} looks like a commit", "Choose another name.")
    else:
        stem, _, number = name.rpartition("-")
        if stem in stages and number.isdigit():
            yield node.wrong(
                f"{name!r} is what a release tag of stage {stem!r} is called",
                f"Choose another name: {stem}-<n> are its release tags.",
            )


def _match(pipeline: Node) -> Iterator[Complaint]:
    node = pipeline / "match"
    repo, ref = node.text("repo"), node.text("ref")
    if repo is not None and (repo.count("/") != 1 or repo.startswith("/") or repo.endswith("/")):
        yield (node / "repo").wrong(
            f"{repo[:80]!r} is not a pattern over org/name", "Write it as acme/chat-*."
        )
    if ref is None:
        return
    branch = ref.removeprefix("refs/heads/")
    if branch == ref or not branch:
        yield (node / "ref").wrong(
            f"{ref[:80]!r} is not a branch", "Write it in full: refs/heads/main."
        )
    elif re.search(r"[\s*?\[~^:\\]|\.\.", branch):
        yield (node / "ref").wrong(
            f"{ref[:80]!r} is not the name of one branch", "Patterns are for `repo` only."
        )


def _checks(pipeline: Node) -> Iterator[Complaint]:
    checks = list(pipeline.items("checks"))
    names = [c.text("name") or c.text("use") for c in checks]
    yield from _unique(zip(checks, names, strict=True))
    known = check_names(pipeline)
    edges: dict[str, list[str]] = {}
    for check, name in zip(checks, names, strict=True):
        yield from _name(check / "name")
        for node, need in check.texts("needs"):
            if need not in known:
                others = [n for n in known if n != name]
                yield node.wrong(f"unknown check {need!r}", _capital(nearest(need, others)))
            elif name:
                edges.setdefault(name, []).append(need)
    cycle = _cycle(edges)
    if cycle:
        yield (checks[names.index(cycle[0])] / "needs").wrong(
            f"checks in a circle: {' needs '.join(cycle)}", "Remove one `needs`.", key=True
        )


def _gate(pipeline: Node) -> Iterator[Complaint]:
    known = check_names(pipeline)
    for criterion in pipeline.items("gate"):
        metric = criterion.text("metric")
        if metric is not None:
            check, found, rest = metric.partition("/")
            if not (found and rest and check):
                yield (criterion / "metric").wrong(
                    f"{metric[:80]!r} is not check/metric", "Write it as full/arith/acc."
                )
            elif check not in known:
                yield (criterion / "metric").wrong(
                    f"no check {check!r} in this pipeline", _capital(nearest(check, known))
                )
        if not isinstance(criterion.value, dict):
            continue
        bounds = [k for k in ("at_least", "at_most") if criterion.value.get(k) is not None]
        if len(bounds) == 2:
            yield (criterion / "at_most").wrong(
                "at_least and at_most in one criterion", "Write two criteria.", key=True
            )
        elif not bounds and not {"no_worse_than", "margin"} & criterion.value.keys():
            yield criterion.wrong("the criterion has no bound", "Add at_least or at_most.")


def _between(pipeline: Node) -> Iterator[Complaint]:
    """Two criteria on one metric that exclude each other."""
    least: dict[str, float] = {}
    for key in ("at_least", "at_most"):
        for criterion in pipeline.items("gate"):
            metric, bound = criterion.text("metric"), (criterion / key).value
            if metric is None or not isinstance(bound, int | float) or isinstance(bound, bool):
                continue
            if key == "at_least":
                least[metric] = max(bound, least.get(metric, bound))
            elif bound < least.get(metric, bound):
                yield (criterion / key).wrong(
                    f"{metric[:80]!r} should be at most {written(bound)} and at least "
                    f"{written(least[metric])}: nothing would pass",
                    "Correct one of the two.",
                )


def _promote(root: Node, pipeline: Node) -> Iterator[Complaint]:
    stages = [s.text("name") for s in root.items("stages")]
    after = {s.text("name"): s.text("after") for s in root.items("stages")}
    before: list[str] = []
    for node, stage in pipeline.texts("promote"):
        if stage not in stages:
            known = [s for s in stages if s]
            remedy = _capital(nearest(stage, known)) if known else "List it under `stages`."
            yield node.wrong(f"unknown stage {stage!r}", remedy)
            continue
        needed = after[stage]
        if stage in before:
            yield node.wrong(f"{stage!r} is there already", "Remove it.")
        elif any(stages.index(s) > stages.index(stage) for s in before):
            yield node.wrong(
                f"{stage!r} comes before {before[-1]!r} in `stages`", "Keep the stages' order."
            )
        elif needed in stages and needed not in before:
            yield node.wrong(
                f"{stage!r} comes after {needed!r}, which is skipped",
                f"Put {needed!r} before it, or remove `after` from the stage.",
            )
        before.append(stage)


def _notify(root: Node, pipeline: Node) -> Iterator[Complaint]:
    known = {name for name, _ in root.entries("channels")} | {BUILT_IN_CHANNEL}
    seen: set[str] = set()
    for node, channel in pipeline.texts("notify"):
        if channel not in known:
            yield node.wrong(f"unknown channel {channel!r}", _capital(nearest(channel, known)))
        elif channel in seen:
            yield node.wrong(f"{channel!r} is there already", "Remove it.")
        seen.add(channel)
