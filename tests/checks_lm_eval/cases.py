"""Broken models, caches and servers, each scored by a naive runner and by our eval process.

    python cases.py FIXTURES FOLDER      writes FOLDER/told.json

The naive runner is `simple_evaluate` as people call it. Where it answers with a number, that is
the silent wrong score; ours has to answer with an error, or with the right number.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import torch
from lm_eval import simple_evaluate  # type: ignore[import-untyped] # it has no types
from lm_eval.tasks import TaskManager  # type: ignore[import-untyped] # it has no types
from safetensors.torch import load_file, save_file

from proctor.checks.lm_eval.harness import Request, answer
from proctor.checks.lm_eval.soundness import suspect_logprobs

LIMIT = 100
FIXTURES, FOLDER = Path(sys.argv[1]), Path(sys.argv[2])
CHECKPOINTS, TASKS = FIXTURES / "checkpoints", FIXTURES / "tasks"
Answer = dict[str, Any]


def naive(model: Path | str, tasks: Path = TASKS, kind: str = "hf", **settings: Any) -> Answer:
    """The score of a runner that trusts the harness, and what its samples look like to ours."""
    arguments = {"pretrained": str(model), "device": "cpu", **settings.pop("model_args", {})}
    results = simple_evaluate(
        model=kind,
        model_args=arguments if kind == "hf" else settings.pop("server"),
        tasks=["arith"],
        batch_size=settings.pop("batch_size", 64),
        limit=LIMIT,
        task_manager=TaskManager(include_path=str(tasks / "arith-here"), include_defaults=False),
        **settings,
    )
    return {
        "acc": float(results["results"]["arith"]["acc,none"]),
        "sha": results["config"].get("model_sha"),
        "suspect": suspect_logprobs("arith", results["samples"]["arith"]),
    }


def ours(model: Path, tasks: Path = TASKS, task: str = "arith", **parameters: Any) -> Answer:
    """What the eval process says of the same."""
    out = FOLDER / f"out-{len(list(FOLDER.glob('out-*')))}"
    out.mkdir()
    wanted = {"tasks": [task], "batch_size": 64, "limit": LIMIT} | parameters
    told = answer(Request(str(model), str(tasks), str(out), wanted))
    if "error" in told:
        return told
    result = next(iter(told["results"].values()))
    acc = next((v for k, v in result.items() if k.split(",")[0] in ("acc", "exact_match")), None)
    return {"acc": acc, "notes": list(told["notes"]), "conditions": told["conditions"]}


def copied(name: str, change: Callable[[dict[str, torch.Tensor]], None], **config: Any) -> Path:
    """The good checkpoint under another name, with changed weights or configuration."""
    folder = FOLDER / name
    shutil.copytree(CHECKPOINTS / "good", folder)
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    written = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps(written | config), encoding="utf-8")
    return folder


def tasks_here(name: str, order: int = 1) -> Path:
    """The task folder with absolute paths, as a naive runner needs it; documents every `order`."""
    folder = FOLDER / name
    shutil.copytree(TASKS / "arith", folder / "arith")
    documents = (folder / "arith" / "arith.jsonl").read_text(encoding="utf-8").splitlines()
    (folder / "arith" / "arith.jsonl").write_text(
        "\n".join(documents[::order]) + "\n", encoding="utf-8"
    )
    written = (folder / "arith" / "arith.yaml").read_text(encoding="utf-8")
    (folder / "arith-here").mkdir()
    (folder / "arith-here" / "arith.yaml").write_text(
        written.replace("arith.jsonl", str(folder / "arith" / "arith.jsonl")), encoding="utf-8"
    )
    return folder


class Legacy(BaseHTTPRequestHandler):
    """A completions server that ignores `echo` and tells the log-probability of its own token."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        told = {"tokens": ["4"], "token_logprobs": [-0.5], "top_logprobs": [{"4": -0.5}]}
        choices = [{"index": 0, "text": "4", "logprobs": {**told, "text_offset": [0]}}]
        body = json.dumps({"choices": choices}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def served(tasks: Path) -> Answer:
    """A naive run against the legacy server."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Legacy)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        arguments = {
            "base_url": f"http://127.0.0.1:{server.server_port}/v1/completions",
            "model": "sums",
            "tokenizer": str(CHECKPOINTS / "good"),
            "tokenizer_backend": "huggingface",
        }
        return naive("", tasks, kind="local-completions", server=arguments, batch_size=1)
    finally:
        server.shutdown()
        server.server_close()


def nothing(weights: dict[str, torch.Tensor]) -> None:
    """Leave the weights as they are."""


def nan(weights: dict[str, torch.Tensor]) -> None:
    """One weight is not a number."""
    weights["model.layers.0.mlp.down_proj.weight"][0, 0] = float("nan")


def headless(weights: dict[str, torch.Tensor]) -> None:
    """The output layer is missing."""
    del weights["lm_head.weight"]


def without_bos(name: str) -> Path:
    """The good checkpoint with a tokenizer that puts no BOS in front."""
    folder = copied(name, nothing)
    tokenizer = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    tokenizer["post_processor"] = None
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")
    return folder


def with_code(name: str) -> Path:
    """A revision that ships Python code which leaves a trace when it runs."""
    folder = copied(
        name,
        nothing,
        model_type="own",
        auto_map={"AutoConfig": "own.Config", "AutoModelForCausalLM": "own.Model"},
    )
    trace = folder.parent / "ran"
    (folder / "own.py").write_text(f"open({str(trace)!r}, 'w').close()\n", encoding="utf-8")
    return folder


def pickled(name: str) -> Path:
    """A revision whose weights are a pickle."""
    folder = copied(name, nothing)
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    return folder


def with_hostile_pickle(name: str, **how: bool) -> Path:
    """A revision whose pickle leaves a trace when what it asks for is done."""
    folder = pickled(name)
    weights = torch.load(folder / "pytorch_model.bin", weights_only=True)
    torch.save(weights | {"more": _Hostile()}, folder / "pytorch_model.bin", **how)
    return folder


class _Hostile:
    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch {FOLDER / 'pickle-ran'}",)


def main() -> None:
    """Run all cases."""
    good, weak = CHECKPOINTS / "good", CHECKPOINTS / "weak"
    here, changed = tasks_here("tasks"), tasks_here("changed-tasks", order=-1)
    told: dict[str, Answer] = {}

    cache = str(FOLDER / "answers")
    naive(good, here, use_cache=cache)
    told["naive: cache of answers"] = naive(weak, here, use_cache=cache)
    told["weak"] = ours(weak)
    told["weak again"] = ours(weak)

    naive(good, here, cache_requests=True)
    told["naive: cache of requests"] = naive(good, changed, cache_requests=True)
    told["changed documents"] = ours(good, changed / "arith")
    told["good"] = ours(good, here / "arith")

    told["naive: server without echo"] = served(here)

    broken = copied("nan", nan)
    told["naive: NaN"] = naive(broken, here)
    told["NaN"] = ours(broken)

    broken = copied("headless", headless)
    told["naive: no lm_head"] = naive(broken, here)
    told["no lm_head"] = ours(broken)
    # Sound: its output layer is its embedding, so it is rightly not in the file.
    told["tied"] = ours(copied("tied", headless, tie_word_embeddings=True))
    told["fewer layers"] = ours(copied("fewer", nothing, num_hidden_layers=1))

    told["naive: made-up revision"] = naive(good, here, model_args={"revision": "f" * 40})

    broken = without_bos("no-bos")
    told["naive: no BOS"] = naive(good, here, model_args={"tokenizer": str(broken)})
    told["no BOS"] = ours(broken)
    told["BOS asked for"] = ours(broken, add_bos_token=True)

    told["code"] = ours(with_code("code"))
    told["code ran"] = {"ran": (FOLDER / "ran").exists()}
    told["pickle"] = ours(pickled("pickle"))
    told["pickle allowed"] = ours(FOLDER / "pickle", allow_pickle=True)
    told["hostile pickle"] = ours(with_hostile_pickle("hostile"), allow_pickle=True)
    older = with_hostile_pickle("hostile-older", _use_new_zipfile_serialization=False)
    told["hostile pickle, older"] = ours(older, allow_pickle=True)
    told["pickle ran"] = {"ran": (FOLDER / "pickle-ran").exists()}
    told["chat without template"] = ours(good, apply_chat_template=True)
    told["generation"] = ours(good, task="arith_gen", limit=0.05)

    unreadable = tasks_here("unreadable")
    (unreadable / "arith" / "other.yaml").write_text("task: [other\n", encoding="utf-8")
    told["malformed file"] = ours(good, unreadable / "arith")
    no_file = tasks_here("no-file")
    (no_file / "arith" / "arith.jsonl").unlink()
    told["no documents' file"] = ours(good, no_file / "arith")
    told["doubled"] = ours(good, here)
    (FOLDER / "told.json").write_text(json.dumps(told), encoding="utf-8")


if __name__ == "__main__":
    main()
