"""Facts drawn for a terminal."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from proctor.core.figure import figure
from proctor.core.harmless import harmless

Facts = Mapping[str, Any]
"""What `flow.views` gives: JSON."""

STYLES: Final = {
    "promoted": "green",
    "pass": "green",
    "done": "green",
    "held": "yellow",
    "fail": "red",
    "failed": "red",
    "errored": "red",
    "inconclusive": "yellow",
    "waiting": "yellow",
    "superseded": "dim",
    "checking": "cyan",
    "promoting": "cyan",
}

CAUSES: Final = {
    "verdict": "promotion to",
    "promote": "promotion to",
    "rollback": "rollback of",
    "restore": "return of",
}
"""How a promotion's line begins, by its cause."""

UNWRAPPED: Final = 100_000
"""Columns; more than any line has."""

MARKS: Final = {"pass": "✓", "fail": "✗", "inconclusive": "?"}


def console() -> Console:
    """Where pictures are drawn. In a pipe or a file nothing is wrapped, so that a line can be
    searched, unless COLUMNS says how wide it is."""
    wrapped = sys.stdout.isatty() or "COLUMNS" in os.environ
    return Console(highlight=False, soft_wrap=False, width=None if wrapped else UNWRAPPED)


def status(facts: Facts) -> None:
    """Draw `views.status`."""
    out, facts = console(), harmless(facts)
    repos: Sequence[Facts] = facts["repos"]
    if not repos:
        out.print("No repo is on record yet: nothing was pushed since the webhook is there.")
        out.print("Try it on your own machine with [bold]proctor demo[/].")
    else:
        stages = list(repos[0]["stages"])
        table = Table("repo", "head", *stages, "newest run", box=None, pad_edge=False)
        for repo in repos:
            newest = repo["newest_run"]
            table.add_row(
                escape(repo["name"]) + (" (gone)" if repo["gone_because"] else ""),
                _short(repo["head"]),
                *(_short(repo["stages"][s]) for s in stages),
                _word(newest["status"]) if newest else "-",
            )
        out.print(table)
    for hold in facts["holds"]:
        out.print(
            f"[yellow]held[/] {escape(hold['repo'])} {escape(hold['stage'])}: "
            f"{escape(hold['reason'])}; settle it with: "
            f"proctor release {escape(hold['repo'])} {escape(hold['stage'])} --accept | --restore"
        )
    steps = facts["steps"]
    out.print(
        f"{_several(len(facts['open_runs']), 'run')} open, "
        f"{_several(steps['running'], 'step')} running, {steps['ready']} waiting"
        + (f", the oldest due for {steps['oldest_due_s']:.0f} s" if steps["ready"] else "")
    )


def runs(facts: Sequence[Any]) -> None:
    """Draw `views.runs`."""
    out, facts = console(), harmless(facts)
    if not facts:
        out.print("No run is on record yet.")
        return
    out.print(runs_table(facts))


def runs_table(facts: Sequence[Any]) -> Table:
    """Runs as a table: what happened and why."""
    table = Table(box=None, pad_edge=False)
    for column in ("started", "repo", "revision", "pipeline", "status"):
        table.add_column(column, no_wrap=True)
    table.add_column("why", overflow="fold")
    for run in facts:
        table.add_row(
            when(run["created_at"]),
            escape(run["repo"]),
            _short(run["revision"]),
            escape(run["pipeline"]),
            _word(run["status"]),
            escape(run["reason"]),
        )
    return table


def why(facts: Facts) -> None:
    """Draw `views.why`."""
    out, facts = console(), harmless(facts)
    in_stages = [s for s, sha in facts["stages"].items() if sha == facts["revision"]]
    place = f"in {', '.join(in_stages)}" if in_stages else "in no stage"
    head = "the head of main, and " if facts["head"] == facts["revision"] else ""
    root = Tree(Text(f"{facts['repo']}@{facts['revision'] or '?'} is {head}{place}", "bold"))
    for event in facts["events"]:
        line = f"{when(event['received_at'])} {event['source']} {event['scope']}"
        refs = ", ".join(f"{r['ref']} → {_short(r['new'])}" for r in event["refs"])
        said = f" ({event['reason']})" if event["reason"] else ""
        what = f"{line} {refs}" if refs else line
        node = root.add(Text(f"{what}: {event['disposition']}{said}"))
        again = [d for d in event["deliveries"] if d["disposition"] == "duplicate"]
        if again:
            node.add(Text(f"delivered {len(event['deliveries'])} times, counted once"))
    causes = {e["run"] for e in facts["events"]} | {e["id"] for e in facts["events"]}
    for run in facts["runs"]:
        node = _draw_run(root, run)
        if not causes & {run["id"], run["event"]}:
            node.add(Text("no event told of it: a look at the repo found it", "dim"))
    for promotion in facts["promotions"]:
        _draw_promotion(root, promotion, alarmed=False)
    for hold in facts["holds"]:
        root.add(Text(f"{hold['stage']} is held: {hold['reason']}", "yellow"))
    out.print(root)


def _draw_run(root: Tree, run: Facts) -> Tree:
    title = Text(f"{when(run['created_at'])} run {run['id']} of {run['pipeline']}: ")
    title.append(run["status"], STYLES.get(run["status"], ""))
    node = root.add(title)
    if run["status"] == "planned" and run["begins_at"] > time.time():
        until = when(run["begins_at"])
        node.add(Text(f"begins at {until}: it overtook a push, and more may follow", "cyan"))
    for check in run["checks"]:
        _draw_check(node, check)
    verdict = run["verdict"]
    if verdict:
        judged = node.add(Text.assemble("verdict: ", _styled(verdict["result"])))
        for reason in verdict["reasons"]:
            mark = MARKS[reason["result"]]
            judged.add(Text(f"{mark} {reason['text']}", STYLES.get(reason["result"], "")))
        if "verified" in run:
            _draw_verified(judged, run["verified"])
    elif run["reason"]:
        node.add(Text(run["reason"]))
    alarms = {n["subject"] for n in run["notices"] if n["kind"] == "echo.missing"}
    for promotion in run["promotions"]:
        _draw_promotion(node, promotion, alarmed=promotion["id"] in alarms)
    for step in run["steps"]:
        node.add(Text(_under_way(step), "yellow" if step["error"] else "cyan"))
    for notice in run["notices"]:
        if notice["state"] != "sent":
            told = f": {notice['error']}" if notice["error"] else ""
            node.add(Text(f"notice to {notice['channel']} {notice['state']}{told}", "yellow"))
    return node


def _draw_verified(node: Tree, verified: Facts) -> None:
    if verified["same"]:
        drawn = node.add(Text("recomputed: the same", "green"))
        for text in verified["otherwise"]:
            drawn.add(Text(f"in other words; {text}", "yellow"))
        return
    drawn = node.add(Text("recomputed: it differs", "bold red"))
    for text in verified["differences"]:
        drawn.add(Text(text, "red"))


def _draw_promotion(node: Tree, promotion: Facts, *, alarmed: bool) -> None:
    cause = CAUSES.get(promotion["cause"], promotion["cause"])
    by = "" if promotion["cause"] == "verdict" else f" by {promotion['by']}"
    line = Text.assemble(f"{cause} {promotion['stage']}{by}: ", _styled(promotion["status"]))
    if promotion["status"] == "done" and promotion["before"] == promotion["revision"]:
        line.append(", was there already")
    if promotion["reason"]:
        line.append(f" ({promotion['reason']})")
    moved = node.add(line)
    for operation in promotion["operations"]:
        at, sha = when(operation["at"]), _short(operation["revision"])
        drawn = Text(f"{at} {operation['kind']} tag {operation['tag']} at {sha}")
        if operation["seen_at"] is None and not operation["echoed"]:
            yet = " yet" if promotion["ended_at"] is None else ""
            drawn.append(f": asked, not seen on the Hub{yet}", "yellow")
        elif alarmed and not operation["echoed"]:
            drawn.append(": done, but its webhook did not come back", "yellow")
        moved.add(drawn)


def _under_way(step: Facts) -> str:
    """What is still to be done for a run: by whom, or since or until when it waits."""
    if step["state"] == "running":
        text = f"{step['kind']} runs on {step['worker']}"
    elif step["due_at"] > time.time():
        verb = "is tried again" if step["error"] else "begins"
        text = f"{step['kind']} {verb} at {when(step['due_at'])}"
    else:
        text = f"{step['kind']} waits for a worker since {when(step['due_at'])}"
    return f"{text}; the last try: {step['error']}" if step["error"] else text


def _draw_check(node: Tree, check: Facts) -> None:
    evidence = check["evidence"]
    if evidence is None:
        node.add(Text(f"check {check['name']} ({check['use']}): {check['status']}"))
        return
    line = Text.assemble(f"check {check['name']} ({check['use']}): ", _styled(evidence["outcome"]))
    seconds = evidence["costs"].get("wall_s")
    if seconds is not None:
        line.append(f" in {seconds:.1f} s")
    drawn = node.add(line)
    if evidence["error"]:
        drawn.add(Text(evidence["error"], "red"))
    for metric in evidence["metrics"]:
        error = f" ± {figure(metric['stderr'], 2)}" if metric["stderr"] is not None else ""
        count = f" (n={metric['n']})" if metric["n"] is not None else ""
        unit = f" {metric['unit']}" if metric["unit"] else ""
        drawn.add(Text(f"{metric['name']} = {figure(metric['value'])}{unit}{error}{count}"))
    for note in evidence["notes"]:
        drawn.add(Text(note, "dim"))


def swept(facts: Facts) -> None:
    """Draw `rounds.once`."""
    out, facts = console(), harmless(facts)
    drift = facts["drift"]
    out.print(
        f"{facts['reclaimed']} steps taken back, {facts['woken']} hints sent, "
        f"{facts['orphans']} lost looks found"
    )
    if facts["alarms"]:
        out.print(f"[yellow]no webhook came for {facts['alarms']} of our own tag moves[/]")
    if drift["reached"]:
        told = ", ".join(drift["missed"]) or "none"
        of_those = " among them" if drift["trouble"] else ""
        out.print(
            Text(f"{drift['heads']} heads compared; pushes without a webhook{of_those}: {told}")
        )
    else:
        said = f"The Hub at {drift['hub']} was not reached: no pushes were looked for."
        out.print(Text(said, "red"))
    for text in drift["trouble"]:
        out.print(Text(text, "yellow"))
    if drift["trouble"]:
        remedy = "what the token may do" if drift["reached"] else "HF_ENDPOINT and the network"
        out.print(Text(f"Look at {remedy} (`proctor doctor`). Nothing is lost meanwhile."))


def _several(count: int, thing: str) -> str:
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"


def when(seconds: float) -> str:
    """Local time; with the day unless it is today."""
    then, now = time.localtime(seconds), time.localtime()
    same = then[:3] == now[:3]
    return time.strftime("%H:%M:%S" if same else "%Y-%m-%d %H:%M", then)


def _short(sha: str | None) -> str:
    return sha[:8] if sha else "-"


def _styled(word: str) -> Text:
    return Text(word, STYLES.get(word, ""))


def _word(word: str) -> str:
    style = STYLES.get(word)
    return f"[{style}]{word}[/]" if style else word
