"""Looking at a record, and asking for things, without a Hub at hand."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Cli, Record

REPO = "acme/bot"


def test_status(cli: Cli, past: Record) -> None:
    done = cli("status")
    assert done.status == 0
    assert past.pushes["now"][:8] in done.out and REPO in done.out
    assert "0 runs open" in done.out
    facts = cli("status", "--json").facts
    (repo,) = facts["repos"]
    assert repo["stages"] == {"staging": past.pushes["now"], "prod": past.pushes["now"]}
    assert facts["open_runs"] == [] and facts["holds"] == []


def test_status_of_nothing_tells_how_to_begin(cli: Cli) -> None:
    cli.configured()
    done = cli("status")
    assert done.status == 0
    assert "No repo is on record yet" in done.out and "proctor demo" in done.out
    assert cli("status", "--json").facts["repos"] == []
    assert cli("runs").out == "No run is on record yet.\n"
    assert cli("runs", "--json").facts == []


def test_runs(cli: Cli, past: Record) -> None:
    facts = cli("runs", REPO, "--json").facts
    by_sha = {run["revision"]: run["status"] for run in facts}
    assert by_sha[past.pushes["held"]] == "held"
    assert by_sha[past.pushes["now"]] == "promoted"
    assert cli("runs", "--limit", "1", "--json").facts == facts[:1]
    drawn = " ".join(cli("runs").out.split())
    for sha in past.pushes.values():
        assert sha[:8] in drawn
    assert "fail: card/license_allowed is 0; the gate" in drawn


@pytest.mark.parametrize("digits", [40, 10, 7])
def test_why_takes_a_short_sha(cli: Cli, past: Record, digits: int) -> None:
    sha = past.pushes["held"]
    facts = cli("why", f"{REPO}@{sha[:digits]}", "--json").facts
    assert facts["revision"] == sha
    assert facts["runs"][0]["verdict"]["result"] == "fail"
    assert cli("why", f"{REPO}@{sha[:digits].upper()}", "--json").facts == facts


def test_why_draws_the_whole_story(cli: Cli, past: Record) -> None:
    held = " ".join(cli("why", f"{REPO}@{past.pushes['held']}").out.split())
    assert f"{REPO}@{past.pushes['held']} is in no stage" in held
    assert "✗ card/license_allowed is 0; the gate asks for" in held
    assert "licence proprietary is not among mit" in held
    now = cli("why", f"{REPO}@{past.pushes['now']}").out
    assert "in staging, prod" in " ".join(now.split())
    for step in ("promotion to prod: done", "create tag prod-2", "delete tag prod at"):
        assert step in now


@pytest.mark.parametrize(
    "arguments",
    [("status",), ("runs",), ("why", REPO), ("checks", "show")],
    ids=" ".join,
)
def test_nothing_is_cut_off_or_too_wide(cli: Cli, past: Record, arguments: tuple[str, ...]) -> None:
    out = cli(*arguments).out
    assert out and "…" not in out
    assert [line for line in out.splitlines() if len(line.rstrip()) > 80] == []


def test_json_is_ascii_and_nothing_else(cli: Cli, past: Record) -> None:
    for arguments in (("status",), ("runs",), ("why", REPO), ("lint",), ("sweep", "--once")):
        done = cli(*arguments, "--json", HF_ENDPOINT="http://127.0.0.1:1")  # nobody there
        assert done.status == (arguments[0] == "sweep") and done.out.isascii(), arguments
        json.loads(done.out)


# --- asking


def test_a_rerun_is_a_new_run(cli: Cli, past: Record) -> None:
    newest = cli("runs", "--json").facts[0]
    done = cli("rerun", REPO, "--by", "ana", "--json")
    assert done.status == 0
    run = cli("why", REPO, "--json").facts["runs"][0]
    assert run["id"] == done.facts["run"] != newest["id"]
    assert run["again_of"] == newest["id"] and run["reason"] == "asked for by ana"
    assert f"run {run['id']} of" in cli("rerun", REPO).line
    drawn = " ".join(cli("why", REPO).out.split())
    assert "sync waits for a worker since" in drawn
    assert "1 run open, 0 steps running, 1 waiting" in cli("status").out


def test_a_rollback_goes_to_the_one_before(cli: Cli, past: Record) -> None:
    done = cli("rollback", REPO, "prod", "--by", "ana")
    assert done.status == 0 and "Rollback" in done.out and "proctor status" in done.out
    facts = cli("why", f"{REPO}@{past.pushes['before']}", "--json").facts
    promotion = facts["runs"][0]["promotions"][-1]
    assert (promotion["cause"], promotion["by"], promotion["status"]) == (
        "rollback",
        "ana",
        "planned",
    )
    drawn = cli("why", f"{REPO}@{past.pushes['before']}").out
    assert "rollback of prod by ana: planned" in drawn
    assert "a promotion to prod is under way" in cli("rollback", REPO, "prod").line


def test_promote_again_what_passed(cli: Cli, past: Record) -> None:
    done = cli("promote", f"{REPO}@{past.pushes['before'][:8]}", "staging")
    assert done.status == 0 and "is on its way" in done.out


# --- refusals: exit 1, one line that says what to do


REFUSED = {
    "why acme/nothing": "repo acme/nothing is not on record (known: acme/bot)",
    "runs acme/nothing": "repo acme/nothing is not on record (known: acme/bot)",
    "why acme/bot@ffffffffff": "nothing is on record about acme/bot@ffffffffff",
    "why acme/bot@TWINS": "TWINS is ambiguous: ",
    "rerun acme/bot@ffffffffff": "no run of acme/bot@ffffffffff is on record",
    "rerun acme/bot@HELD": "is no longer the head of refs/heads/main",
    "promote acme/bot prod": "which revision?",
    "promote acme/bot@NOW nowhere": "there is no stage 'nowhere'; the stages are staging, prod",
    "promote acme/bot@NOW prod": "prod of acme/bot is already at ",
    "rollback acme/bot prod --to NOW": "prod of acme/bot is already at ",
    "promote acme/bot@HELD staging": "is not proven: ",
    "promote acme/bot@ffffffffff staging": "no run of acme/bot@ffffffffff is on record",
    "rollback acme/bot prod --to HELD": "a rollback returns only to what was proven",
    "rollback acme/bot nowhere": "there is no stage 'nowhere'",
    "release acme/bot prod --accept": "nothing holds prod of acme/bot",
    "checks show lm-evl": "did you mean 'lm-eval'?",
}


@pytest.mark.parametrize("asked", REFUSED)
def test_a_refusal_says_why(cli: Cli, past: Record, asked: str) -> None:
    def told(text: str) -> str:
        text = text.replace("HELD", past.pushes["held"][:10])
        return text.replace("NOW", past.pushes["now"][:10]).replace("TWINS", past.twins)

    done = cli(*told(asked).split())
    assert done.status == 1
    assert told(REFUSED[asked]) in done.line
