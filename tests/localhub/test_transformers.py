"""The unmodified ``transformers`` loads a model from the Local Hub."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from huggingface_hub import HfApi

from proctor.localhub import LocalHub

RECIPE = """
import sys
from transformers import AutoModelForCausalLM, LlamaConfig
config = LlamaConfig(hidden_size=16, intermediate_size=16, num_hidden_layers=1,
                     num_attention_heads=2, num_key_value_heads=2, vocab_size=32)
made = AutoModelForCausalLM.from_config(config)
made.save_pretrained(sys.argv[1])
from huggingface_hub import HfApi
api = HfApi()
api.upload_folder(repo_id="acme/tiny", folder_path=sys.argv[1])
api.create_tag("acme/tiny", tag="prod")
loaded = AutoModelForCausalLM.from_pretrained("acme/tiny", revision="prod")
assert all((a == b).all() for a, b in zip(made.parameters(), loaded.parameters()))
print("same weights")
"""


@pytest.mark.slow
def test_from_pretrained(ana: HfApi, hub: LocalHub, tmp_path: Path) -> None:
    ana.create_repo("acme/tiny", private=True)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    done = subprocess.run(
        [sys.executable, "-c", RECIPE, str(tmp_path / "model")],
        env={
            **kept,
            "HF_ENDPOINT": hub.url,
            "HF_TOKEN": str(ana.token),
            "HF_HOME": str(tmp_path / "home"),
            "OMP_NUM_THREADS": "1",
        },
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "same weights" in done.stdout
    info = ana.model_info("acme/tiny")
    assert (info.library_name, info.pipeline_tag) == ("transformers", "text-generation")
