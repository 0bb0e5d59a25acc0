"""Values for the ledger's contract: one of each, every field away from its default."""

from __future__ import annotations

from proctor.core.event import Delivery, Disposition, Event, RefUpdate
from proctor.core.evidence import Artifact, Evidence, Findings, Json, Metric, Outcome
from proctor.core.gate import AtLeast, AtMost, Reason, Result, Verdict
from proctor.core.names import Repo, RepoType, Revision
from proctor.core.promotion import Operation, OperationKind, Promotion
from proctor.core.record import Entry, Hold, VerdictRecord
from proctor.core.registry import Commit, Description, File
from proctor.core.run import Run, RunCheck

T0 = 1_700_000_000.123456
"""A time that binary floats cannot hold in fewer digits."""

OLD, NEW = Revision("0" * 39 + "1"), Revision("f" * 40)
MAIN = "refs/heads/main"
REPO = Repo("r1", RepoType.MODEL, "acme/bot")

HOSTILE = (
    "nul \x00 in the middle",
    "escapes \x10 \x100000 \\u0000 \x1b",
    "lone \ud800 surrogate",
    "pair \ud83d" + "\ude00 apart",
    "'; DROP TABLE runs; -- %s %(x)s :x ?",
    "emoji 🎓, umlaut ü, rtl \u202e, bom \ufeff",
    " spaces \t\r\n ",
    "".join(chr(33 + (7919 * n * n + 31 * n) % 90_000) for n in range(9_000)),
)
"""What a Hub, a person or an attacker may put into a field; the last is long and hard to pack."""


def a_delivery(id: str = "d1", *, received_at: float = T0, event_id: str | None = "e1") -> Delivery:
    """A delivery with bytes that are no text."""
    headers = (("X-One", "1"), ("x-one", "2"))
    body = bytes(range(256))
    return Delivery(
        id, received_at, "wh-1", headers, body, Disposition.PENDING, "because", event_id
    )


def an_event(id: str = "e1", *, identity: str = "sub/wh-1", hub_id: str = "r1") -> Event:
    """A pending event of a push that moved two refs."""
    updates = (RefUpdate(MAIN, OLD, NEW), RefUpdate("refs/tags/v1", None, NEW))
    where = (RepoType.MODEL, hub_id, "acme/bot")
    return Event(id, identity, "webhook", T0, "update", "repo.content", *where, updates, NEW)


def a_run(id: str = "run-1", *, number: int = 1) -> Run:
    """A planned run of r1 at NEW."""
    where = ("r1", RepoType.MODEL, "acme/bot", NEW, MAIN)
    return Run(
        id,
        *where,
        "chat",
        T0,
        T0 + 1,
        reason="pushed",
        number=number,
        event_id="e1",
        begins_at=T0 + 60,
    )


def a_check(id: str = "k1", *, name: str = "smoke") -> RunCheck:
    """A check of run-1."""
    parameters: dict[str, Json] = {
        "limit": 50,
        "tasks": ["arith"],
        "deep": {"n": None, "x": 1.5, "yes": True},
    }
    held = {"tasks/": "ab" * 32}
    return RunCheck(id, "run-1", name, "lm-eval", parameters, needs=("card",), content=held)


def an_evidence(note: str = "fine") -> Evidence:
    """Evidence with numbers that are easily rounded."""
    metrics = (
        Metric("arith/acc", 0.1 + 0.2, 1e-300, 50, True, ""),
        Metric("cost", 3.0, higher_is_better=False, unit="s"),
    )
    findings = Findings(
        metrics,
        (Artifact("a/b.jsonl", "ab" * 32, 2**53 + 1, "text/plain"),),
        {"dtype": "float32", "versions": {"arith": 1}},
        {"wall_s": 1.1},
        (note,),
    )
    return Evidence("ev1", "smoke", NEW, Outcome.MEASURED, findings, error=note)


def a_verdict(id: str = "v1") -> VerdictRecord:
    """A verdict on run-1."""
    verdict = Verdict(Result.FAIL, (Reason(Result.PASS, "good"), Reason(Result.FAIL, "bad")))
    gate = (AtLeast("smoke/arith/acc", 0.8), AtMost("smoke/cost", 0.1))
    return VerdictRecord(id, "run-1", verdict, gate, "ab" * 32, ("ev1", "ev2"), T0)


def an_entry(revision: Revision, synced_at: float, text: str = "chat") -> Entry:
    """A registry entry of r1."""
    files = (File("model.safetensors", 2**40, "0a" * 20, "ab" * 32), File("README.md", 7, "1" * 40))
    card: dict[str, Json] = {"license": "mit", "tags": [text], text: {"n": 1.0}}
    described = Description(revision, card, (text, "b"), files, "text-generation", "tf", T0)
    commits = (Commit(revision, text, ("ann", "bob"), T0), Commit(OLD, "first", (), T0 - 1))
    return Entry("r1", described, commits, ("card", "weights"), synced_at)


def a_promotion(id: str = "p1", *, release: str = "prod-1") -> Promotion:
    """A planned promotion of r1 to prod."""
    where = ("r1", "run-1", "prod", NEW, OLD)
    return Promotion(id, *where, release, "verdict", "proctor", T0, reason="passed")


def an_operation(id: str = "o1", *, event_id: str | None = None) -> Operation:
    """The first move of promotion p1."""
    return Operation(
        id, "p1", "r1", OperationKind.CREATE, "prod-1", NEW, T0, observed_at=T0, event_id=event_id
    )


def a_hold(id: str = "h1") -> Hold:
    """A hold on prod of r1."""
    return Hold(id, "r1", "prod", "moved by hand", OLD, None, T0)
