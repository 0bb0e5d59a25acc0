"""What the demo leaves to try works when it is pasted."""

from __future__ import annotations

import subprocess
from pathlib import Path

from huggingface_hub import HfApi

from proctor.cli.demo import REPO, hints
from proctor.localhub import LocalHub


def test_the_upload_works_when_pasted_anywhere(tmp_path: Path) -> None:
    folder = tmp_path / "a model"
    folder.mkdir()
    (folder / "model.txt").write_text("weights")
    with LocalHub(tmp_path / "hub") as hub:
        token = hub.create_user("demo", orgs=["acme"])
        api = HfApi(endpoint=hub.url, token=token)
        api.create_repo(REPO)
        variables = {"HF_ENDPOINT": hub.url, "HF_TOKEN": token, "PROCTOR_HOME": f"{tmp_path}/a b"}
        export, *lines = hints(variables, [], folder)
        (upload,) = [line for line in lines if " upload " in line]
        done = subprocess.run(
            ["bash", "-ec", f'{export}\n{upload}\necho "home $PROCTOR_HOME"'],
            env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
            cwd="/",
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert f"home {tmp_path}/a b" in done.stdout
        assert "model.txt" in api.list_repo_files(REPO)


def test_after_the_end_nothing_asks_for_the_hub(tmp_path: Path) -> None:
    lines = hints({"HF_ENDPOINT": "http://127.0.0.1:1"}, ["a" * 40], None)
    assert not [line for line in lines if "upload" in line or "doctor" in line]
    assert any(line.endswith(f"why {REPO}@aaaaaaaa") for line in lines)
