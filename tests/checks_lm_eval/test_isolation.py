"""Code that runs in the eval process finds no secret and cannot stay behind."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from proctor.checks.lm_eval import environment

if TYPE_CHECKING:
    from tests.checks_lm_eval.conftest import Place

SECRETS = {
    "HF_TOKEN": "hf_veryverysecret",
    "HUGGING_FACE_HUB_TOKEN": "hf_veryverysecret",
    "PROCTOR_WEBHOOK_SECRETS": "veryverysecret",
    "PROCTOR_DATABASE_URL": "postgresql+psycopg://proctor:veryverysecret@db/proctor",
    "DATABASE_URL": "postgresql://u:veryverysecret@db/x",
    "AWS_SECRET_ACCESS_KEY": "veryverysecret",
    "OPENAI_API_KEY": "veryverysecret",
    "SMTP_PASSWORD": "veryverysecret",
    "SLACK_WEBHOOK_URL": "https://hooks.slack.test/veryverysecret",
}

SPY = """
import json, os, subprocess, sys
from pathlib import Path

def look(doc):
    seen = Path(__file__).with_name('seen.json')
    if not seen.exists():
        away = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(300)'],
                                start_new_session=True)
        parent = Path(f'/proc/{os.getppid()}')
        seen.write_text(json.dumps({
            'environment': dict(os.environ),
            'parent': [(parent / n).read_text() for n in ('environ', 'cmdline')],
            'cwd': os.getcwd(),
            'away': away.pid,
        }))
        print('the token is hf_abcdefghijklmnop')
    return doc['question']
"""


@pytest.mark.slow
def test_a_spying_task_finds_nothing(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    tasks = Path(shutil.copytree(place.base / "tasks" / "arith", tmp_path / "tasks"))
    (tasks / "spy.py").write_text(SPY, encoding="utf-8")
    task = (tasks / "arith.yaml").read_text(encoding="utf-8")
    changed = task.replace('doc_to_text: "{{question}}"', "doc_to_text: !function spy.look")
    assert changed != task
    (tasks / "arith.yaml").write_text(changed, encoding="utf-8")

    place.base = tmp_path
    findings = place.measure(limit=5)

    seen = json.loads((tasks / "seen.json").read_text(encoding="utf-8"))
    assert "veryverysecret" not in json.dumps(seen)
    assert SECRETS.keys().isdisjoint(seen["environment"])
    assert seen["environment"]["HF_HUB_OFFLINE"] == "1"
    assert seen["environment"]["HOME"].startswith(str(place.folder))
    assert seen["cwd"].startswith(str(place.folder))
    assert not psutil.pid_exists(seen["away"])
    assert findings.metrics[0].n == 5
    log = (place.artifacts / "output.log").read_text(encoding="utf-8")
    assert "the token is ***" in log


def test_only_what_is_allowed_passes(tmp_path: Path) -> None:
    given = {**SECRETS, "PATH": "/bin", "OMP_NUM_THREADS": "2", "LM_HARNESS_CACHE_PATH": "/shared"}
    told = environment.of_the_eval(given, tmp_path)
    assert SECRETS.keys().isdisjoint(told)
    assert (told["PATH"], told["OMP_NUM_THREADS"]) == ("/bin", "2")
    for name in ("HOME", "HF_HOME", "HF_DATASETS_CACHE", "LM_HARNESS_CACHE_PATH", "TMPDIR"):
        assert told[name].startswith(str(tmp_path))
    environment.prepare(tmp_path)
    assert Path(told["TMPDIR"]).is_dir()


def test_no_allowed_name_can_hold_a_secret() -> None:
    names = [name for group in environment.ALLOWED for name in group.split()]
    assert len(names) == len(set(names))
    endings = ("TOKEN", "SECRET", "KEY", "PASSWORD", "_URL")
    assert [n for n in names if n.endswith(endings) or n.startswith("PROCTOR_")] == []


def test_importing_the_check_brings_no_model_library() -> None:
    code = (
        "import sys; import proctor.checks.lm_eval.check; "
        "print([m for m in ('torch', 'lm_eval', 'transformers', 'datasets') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
