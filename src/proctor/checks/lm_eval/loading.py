"""Loading a revision for the harness, and refusing what would load but not be the revision.

Runs in the eval process.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Final

from proctor.checks.lm_eval.parameters import Parameters
from proctor.checks.lm_eval.soundness import loading_problems, unused_weights
from proctor.core.errors import CheckFailed

_VOCABULARIES: Final = (
    "tokenizer.json",
    "tekken.json",
    "vocab.*",
    "*.model",
    "*.tiktoken",
    "*.spm",
    "*.vocab",
)
"""Files of which a tokenizer needs one; without any, transformers may make up an empty one."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model that is ready for the harness, as it turned out.

    `adds_bos` is None when the tokenizer has no BOS token. `notes` are for people.
    """

    lm: Any
    dtype: str
    device: str
    adds_bos: bool | None
    notes: tuple[str, ...]


Wrap = Callable[[type[Any]], type[Any]]


def load(folder: Path, wanted: Parameters, wrap: Wrap) -> Loaded:
    """Load the revision in `folder`; `wrap` may derive from the harness's model class.

    Raises CheckFailed when the revision is incomplete or cannot be loaded.
    """
    complete(folder, wanted.allow_pickle)
    try:
        return _load(folder, wanted, wrap)
    except CheckFailed:
        raise
    except Exception as e:  # transformers raises nearly anything for what it cannot load
        told = " ".join(str(e).split())[:600]
        raise CheckFailed(f"the revision cannot be loaded: {type(e).__name__}: {told}") from e


def complete(folder: Path, allow_pickle: bool) -> None:
    """Raises CheckFailed unless the folder has a configuration, a tokenizer and weights that may
    be loaded. Costs nothing, so the worker asks before it starts a process."""
    names = [p.name for p in folder.iterdir() if p.is_file()]
    if "config.json" not in names:
        kind = "an adapter without its base model" if "adapter_config.json" in names else "no model"
        raise CheckFailed(f"the revision has no config.json: it is {kind}, and cannot be loaded")
    if not any(fnmatch(name, pattern) for name in names for pattern in _VOCABULARIES):
        raise CheckFailed(
            "the revision has no tokenizer files: a tokenizer from elsewhere would measure "
            "something else; push the tokenizer with the weights"
        )
    if not allow_pickle and not any(name.endswith(".safetensors") for name in names):
        raise CheckFailed(
            "the revision has no safetensors weights; others can run code when they are loaded, "
            "unless they are PyTorch files of bare tensors: allow_pickle loads those"
        )


def _load(folder: Path, wanted: Parameters, wrap: Wrap) -> Loaded:
    import torch
    import transformers
    from lm_eval.models.huggingface import HFLM  # type: ignore[import-untyped] # it has no types

    # Only this folder, whatever the configuration in it says.
    local: dict[str, Any] = {
        "trust_remote_code": wanted.trust_remote_code,
        "local_files_only": True,
    }
    config = transformers.AutoConfig.from_pretrained(folder, **local)
    bos = {} if wanted.add_bos_token is None else {"add_bos_token": wanted.add_bos_token}
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **local, **bos)
    kind: Any = (
        transformers.AutoModelForSeq2SeqLM
        if getattr(config, "is_encoder_decoder", False)
        else transformers.AutoModelForCausalLM
    )
    model, report = kind.from_pretrained(
        folder,
        **local,
        dtype=wanted.dtype,
        use_safetensors=None if wanted.allow_pickle else True,
        output_loading_info=True,
    )
    problems = loading_problems(report, (name for name, _ in model.named_parameters()))
    problems += _not_finite(model)
    if problems:
        raise CheckFailed("; ".join(problems))
    device = wanted.device or ("cuda" if torch.cuda.is_available() else "cpu")
    model.to(device)
    model.register_forward_hook(_refuse_nan)
    lm = wrap(HFLM)(
        pretrained=model,
        tokenizer=tokenizer,
        batch_size=wanted.batch_size,
        add_bos_token=wanted.add_bos_token,
    )
    adds_bos = _adds_bos(lm)
    return Loaded(
        lm=lm,
        dtype=str(model.dtype).removeprefix("torch."),
        device=device,
        adds_bos=adds_bos,
        notes=tuple(_notes(report, adds_bos)),
    )


def _not_finite(model: Any) -> list[str]:
    import torch

    for name, weights in model.named_parameters():
        if weights.is_floating_point() and not bool(torch.isfinite(weights).all()):
            return [f"weights that are not finite numbers: {name}"]
    return []


def _refuse_nan(_model: Any, _inputs: Any, output: Any) -> None:
    # The last position only: all of them would cost as much memory as the logits themselves.
    logits = getattr(output, "logits", None)
    if logits is not None and bool(logits[:, -1].isnan().any()):
        raise CheckFailed("the model's output is not a number (NaN)")


def _adds_bos(lm: Any) -> bool | None:
    bos = lm.tokenizer.bos_token_id
    return None if bos is None else bool(lm.tok_encode("a")[:1] == [bos])


def _notes(report: Any, adds_bos: bool | None) -> list[str]:
    notes = []
    if adds_bos is False:
        notes.append("the tokenizer has a BOS token but puts none in front of a prompt")
    if unused := unused_weights(report):
        notes.append(f"{len(unused)} weights of the revision were not used, such as {unused[0]}")
    return notes
