"""Real evals in a deployment of separate processes, on PostgreSQL and Redis."""

from __future__ import annotations

import signal
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

if TYPE_CHECKING:
    from tests.e2e.conftest import Deployment

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("up")]


def test_a_good_push_reaches_prod(deployment: Deployment) -> None:
    sha = deployment.push_model("acme/sums")
    run = deployment.run_at("acme/sums", sha, "promoted")
    assert run["verdict"]["result"] == "pass"
    assert deployment.tags("acme/sums") == {"staging": sha, "prod": sha, "prod-1": sha}
    (repo,) = [r for r in deployment.facts("status")["repos"] if r["name"] == "acme/sums"]
    assert repo["stages"] == {"staging": sha, "prod": sha} and repo["head"] == sha


def test_an_eval_whose_worker_is_killed_is_done_by_another_and_counts_once(
    deployment: Deployment,
) -> None:
    sha = deployment.push_model("acme/sums-killed")
    attempt, harness = deployment.until(
        lambda: _under_way(deployment, "acme/sums-killed", sha), "an eval under way"
    )
    pid = int(attempt["worker"].rpartition("/")[2])
    (name,) = [n for n, part in deployment.parts.items() if part.pid == pid]
    assert deployment.end(name, signal.SIGKILL) == -signal.SIGKILL

    run = deployment.run_at("acme/sums-killed", sha, "promoted")
    exam = next(c for c in run["checks"] if c["name"] == "exam")
    *lost, done = [a["outcome"] for a in exam["attempts"]]
    assert done == "done" and set(lost) == {"lease expired"}  # twice, if the machine stood still
    assert len({a["worker"] for a in exam["attempts"]}) == 2
    assert deployment.count("SELECT count(*) FROM evidence WHERE revision = :sha", sha=sha) == 2
    deployment.until(lambda: not harness.is_running(), "the end of the orphaned eval")
    deployment.start(name)


def _under_way(
    deployment: Deployment, repo: str, sha: str
) -> tuple[dict[str, Any], psutil.Process] | None:
    """The attempt at the exam and the eval process itself, once there is one."""
    for run in deployment.why(repo, sha)["runs"]:
        for check in run["checks"]:
            if check["name"] == "exam" and check["attempts"]:
                attempt = check["attempts"][-1]
                worker = psutil.Process(int(attempt["worker"].rpartition("/")[2]))
                for child in worker.children(recursive=True):
                    with suppress(psutil.Error):
                        if "proctor.checks.lm_eval.harness" in " ".join(child.cmdline()):
                            return attempt, child
    return None


def test_a_broken_checkpoint_is_no_verdict_on_the_model(deployment: Deployment) -> None:
    whole = (Path(__file__).parents[2] / "fixtures/checkpoints/good/model.safetensors").read_bytes()
    sha = deployment.push_model("acme/sums-cut", model__safetensors=whole[: len(whole) // 2])
    run = deployment.run_at("acme/sums-cut", sha, "held")
    assert run["verdict"]["result"] == "inconclusive"
    assert "check exam could not measure" in run["reason"]
    assert "cannot be loaded" in run["reason"]
    assert deployment.tags("acme/sums-cut") == {}
    assert "could not measure" in " ".join(
        deployment.command("why", f"acme/sums-cut@{sha}").split()
    )


def test_a_broken_task_is_no_verdict_on_the_model(deployment: Deployment) -> None:
    sha = deployment.push_model("acme/broken-task")
    run = deployment.run_at("acme/broken-task", sha, "held")
    assert run["verdict"]["result"] == "inconclusive"
    assert "no-such-file.jsonl" in run["reason"]
    assert deployment.tags("acme/broken-task") == {}
