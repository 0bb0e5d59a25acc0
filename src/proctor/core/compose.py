"""Composing notices: from decisions to plain words, for chat, e-mail and machines alike.

Keys are stable: the same fact composed twice gives the same key, so a receiver can tell a
repetition. `link` is a page about the fact, or "".
"""

from __future__ import annotations

from typing import Final

from proctor.core.gate import Result, Verdict
from proctor.core.names import Revision, short
from proctor.core.notice import Notice, Severity
from proctor.core.promotion import Promotion
from proctor.core.record import Hold
from proctor.core.run import Run, Step

Facts = tuple[tuple[str, str], ...]

MARKS: Final = {Result.PASS: "✓", Result.FAIL: "✗", Result.INCONCLUSIVE: "?"}
"""How each reason of a verdict begins."""


def run_held(run: Run, verdict: Verdict, link: str, *, bare: bool = False) -> Notice:
    """The gate did not pass: why, criterion by criterion, the decisive ones first. This is what
    a gate is for: nothing is broken. `bare`: the revision holds no more than a new repo does."""
    failed = verdict.result is Result.FAIL
    what = "did not pass" if failed else "could not be judged"
    ordered = sorted(verdict.reasons, key=lambda r: (r.result is Result.PASS, r.result.value))
    text = "\n".join(f"{MARKS[r.result]} {r.text}" for r in ordered)
    if bare:
        what = "holds nothing to measure yet"
        after = "What is pushed next is judged anew; to judge this one again"
    elif failed:
        after = "No stage was moved. Push a better revision; to judge this one again"
    else:
        after = (
            "This says nothing about the model; no stage was moved. Mend the cause; to try again"
        )
    return Notice(
        key=f"run.held:{run.id}",
        kind="run.held",
        severity=Severity.INFO if bare else Severity.WARNING,
        title=f"{run.repo_name}@{short(run.revision)} {what}",
        text=f"{text}\n{after}: `proctor rerun {run.repo_name}@{short(run.revision)}`.",
        facts=(*_of(run), ("verdict", verdict.result.value)),
        link=link,
    )


def run_failed(run: Run, link: str) -> Notice:
    """The run ended by an error that no retry mends."""
    return Notice(
        key=f"run.failed:{run.id}",
        kind="run.failed",
        severity=Severity.FAILURE,
        title=f"{run.repo_name}@{short(run.revision)}: the run failed",
        text=(
            f"{run.reason or 'No reason was recorded.'}\n"
            "Nothing more happens in this run. How far it came: "
            f"`proctor why {run.repo_name}@{short(run.revision)}`. Once the cause is mended: "
            f"`proctor rerun {run.repo_name}@{short(run.revision)}`."
        ),
        facts=_of(run),
        link=link,
    )


def promoted(repo_name: str, promotion: Promotion, link: str, *, undoable: bool = True) -> Notice:
    """A stage points at a new revision. `undoable`: a rollback leads to where it pointed before."""
    before = promotion.expected
    came = f"It pointed at {short(before)} before." if before else "It pointed nowhere before."
    if before == promotion.revision:
        came = "It was there already."
    elif before and undoable:
        came += f" To go back: `proctor rollback {repo_name} {promotion.stage}`."
    return Notice(
        key=f"promotion.done:{promotion.id}",
        kind="promotion.done",
        severity=Severity.SUCCESS,
        title=f"{repo_name}@{short(promotion.revision)} is in {promotion.stage}",
        text=f"{_why(promotion)} {came}",
        facts=_moved(repo_name, promotion),
        link=link,
    )


def rolled_back(repo_name: str, promotion: Promotion, link: str) -> Notice:
    """A stage points at an older revision again."""
    before = promotion.expected
    left = f" It left {short(before)}." if before else ""
    return Notice(
        key=f"promotion.rolled_back:{promotion.id}",
        kind="promotion.rolled_back",
        severity=Severity.WARNING,
        title=f"{repo_name}: {promotion.stage} is back at {short(promotion.revision)}",
        text=f"Rolled back by {promotion.by}.{left}",
        facts=_moved(repo_name, promotion),
        link=link,
    )


def promotion_failed(repo_name: str, promotion: Promotion, link: str) -> Notice:
    """A stage could not be moved."""
    stage = promotion.stage
    return Notice(
        key=f"promotion.failed:{promotion.id}",
        kind="promotion.failed",
        severity=Severity.FAILURE,
        title=f"{repo_name}: {stage} could not be moved to {short(promotion.revision)}",
        text=(
            f"{promotion.reason or 'No reason was recorded.'}\n"
            f"Look where the tag {stage} points now before anything else. Once the cause is "
            f"mended: `proctor promote {repo_name}@{short(promotion.revision)} {stage}`."
        ),
        facts=_moved(repo_name, promotion),
        link=link,
    )


def tag_moved(tag: str, found: Revision | None, expected: Revision | None) -> str:
    """Where a person's tag is, and where Proctor left it: the reason of a hold."""
    if found is not None and found == expected:
        return f"tag {tag} points at {short(found)} again, where Proctor left it"
    where = f"points at {short(found)}" if found else "is gone"
    left = f"Proctor left it at {short(expected)}" if expected else "not by Proctor"
    return f"tag {tag} {where}; {left}"


def stage_held(repo_name: str, hold: Hold, link: str, *, proven: bool = True) -> Notice:
    """A person moved or removed a stage's tag, or asked for a stop: nothing moves until a person
    decides. `proven`: a verdict brought the stage where it was left, so it can be put back."""
    stage, found, expected = hold.stage, hold.found, hold.expected
    facts = (
        ("repo", repo_name),
        ("stage", stage),
        ("tag now", short(found) if found else "none"),
        ("left by Proctor at", short(expected) if expected else "nowhere"),
    )
    release = f"proctor release {repo_name} {stage}"
    if found == expected:
        ways = f"To let promotions go on: `{release} --restore`."
    else:
        # Who moves a tag on the Hub removes it first: this may be said in between.
        keep = f"points at {short(found)}" if found else "is gone, or where it is by then"
        ways = (
            "Proctor will not touch it until a person settles it. Two ways out:\n"
            f"1. Keep it so, the tag {keep}: `{release} --accept`.\n"
        )
        if expected and not proven:
            ways += (
                "2. Let Proctor move it to the revision that waits, once one does: "
                f"`{release} --restore`. It does not put back {short(expected)}: no verdict "
                "brought it there."
            )
        elif expected:
            ours = f"the revision that waits, or {short(expected)} again"
            ways += f"2. Let Proctor move it ({ours}): `{release} --restore`."
        else:
            ways += f"2. Remove the tag on the Hub, then `{release} --accept`."
    return Notice(
        key=f"stage.held:{hold.id}",
        kind="stage.held",
        severity=Severity.WARNING,
        title=f"{repo_name}: {stage} is on hold",
        text=f"{hold.reason}\n{ways}",
        facts=facts,
        link=link,
    )


def step_gave_up(step: Step, about: str, link: str) -> Notice:
    """A step was given up, with the reason. `about` says in words what it was for."""
    return _of_step(
        step,
        "step.gave_up",
        Severity.FAILURE,
        f"Gave up: {step.kind.value} of {about}",
        "Nothing more happens here until someone mends the cause and asks again.",
        link,
    )


def echo_missing(repo_name: str, promotion: Promotion, link: str) -> Notice:
    """The webhook of our own tag move never came: perhaps none comes any more."""
    return Notice(
        key=f"echo.missing:{promotion.id}",
        kind="echo.missing",
        severity=Severity.WARNING,
        title=f"{repo_name}: no webhook came for our move of {promotion.stage}",
        text=(
            "The Hub's webhook for our tag move did not come back; is the webhook suspended, or "
            "does it not watch this repo? Pushes are found by the sweep meanwhile, but later. "
            "`proctor doctor` looks at the webhook; enable it again in the Hub's settings."
        ),
        facts=_moved(repo_name, promotion),
        link=link,
    )


def step_paused(step: Step, about: str, link: str) -> Notice:
    """The Hub refused our token. `about` says in words what the step was for."""
    return _of_step(
        step,
        "step.paused",
        Severity.WARNING,
        f"Paused: {step.kind.value} of {about}",
        "Nothing is lost. It is tried again every few minutes for a day, and goes on by "
        "itself once the token may do this. To see what it may do: `proctor doctor`; a new "
        "HF_TOKEN counts after a restart.",
        link,
    )


def half_moved(step: Step, about: str, link: str) -> Notice:
    """A move of tags that stopped half-way and goes on until it is done."""
    return _of_step(
        step,
        "promotion.half_moved",
        Severity.FAILURE,
        f"Half moved: {about}",
        "Its tag was touched, or may have been, so the move is not given up: it is tried again "
        "until it is done, less and less often, and once an hour at the last. To see what the "
        "token may do: `proctor doctor`; a new HF_TOKEN counts after a restart.",
        link,
    )


def _of_step(step: Step, kind: str, severity: Severity, title: str, then: str, link: str) -> Notice:
    """What became of a step, its error, and what happens `then`."""
    return Notice(
        key=_key(kind, step),
        kind=kind,
        severity=severity,
        title=title,
        text=f"{step.error or 'No reason was recorded.'}\n{then}",
        facts=(("step", step.kind.value), ("subject", step.subject)),
        link=link,
    )


def token_refused(day: str) -> Notice:
    """The Hub does not know our token. One for each day, whatever waits for the token."""
    return Notice(
        key=f"token.refused:{day}",
        kind="token.refused",
        severity=Severity.WARNING,
        title="The Hub refuses our token",
        text=(
            "It was revoked, has run out, or is mistyped (401). All that needs it waits: each step "
            "is tried every few minutes for a day, and lost pushes are looked for as before. Set a "
            "new HF_TOKEN and restart. `proctor doctor` tells whose a token is, `proctor "
            "status` what waits."
        ),
    )


def _key(kind: str, step: Step) -> str:
    """One for each time that a step gets into this kind of trouble."""
    return f"{kind}:{step.id}.{step.fence}:{step.subject}"


def _of(run: Run) -> Facts:
    return (
        ("repo", run.repo_name),
        ("revision", run.revision),
        ("ref", run.ref),
        ("pipeline", run.pipeline),
    )


def _moved(repo_name: str, promotion: Promotion) -> Facts:
    release = (("release tag", promotion.release),) if promotion.release else ()
    return (
        ("repo", repo_name),
        ("stage", promotion.stage),
        ("revision", promotion.revision),
        ("before", promotion.expected or "none"),
        *release,
    )


def _why(promotion: Promotion) -> str:
    if promotion.cause == "verdict":
        return "It passed the gate."
    asked = {"promote": "Promoted", "restore": "Restored"}.get(promotion.cause, "Moved")
    return f"{asked} by {promotion.by}."
