"""The environment of the eval process: what is named here, and nothing else of ours."""

from __future__ import annotations

import re
import site
from collections.abc import Mapping
from pathlib import Path
from typing import Final

ALLOWED: Final = (
    # the system
    "PATH LANG LANGUAGE LC_ALL LC_CTYPE TZ SYSTEMROOT",
    # the interpreter and its libraries
    "PYTHONPATH PYTHONHOME VIRTUAL_ENV LD_LIBRARY_PATH DYLD_LIBRARY_PATH",
    # how many threads
    "OMP_NUM_THREADS MKL_NUM_THREADS OPENBLAS_NUM_THREADS NUMEXPR_NUM_THREADS "
    "VECLIB_MAXIMUM_THREADS KMP_AFFINITY GOMP_CPU_AFFINITY",
    # which accelerators
    "CUDA_VISIBLE_DEVICES CUDA_DEVICE_ORDER CUDA_HOME CUDA_PATH NVIDIA_VISIBLE_DEVICES "
    "NVIDIA_DRIVER_CAPABILITIES HIP_VISIBLE_DEVICES ROCR_VISIBLE_DEVICES ZE_AFFINITY_MASK "
    "PYTORCH_CUDA_ALLOC_CONF PYTORCH_ALLOC_CONF PYTORCH_ENABLE_MPS_FALLBACK",
)
"""Names that pass from the worker's environment, by what they are for."""

_SECRET = re.compile(r"^PROCTOR_|(TOKEN|SECRET|KEY|PASSWORD|_URL)$")


def of_the_eval(ours: Mapping[str, str], home: Path) -> dict[str, str]:
    """The environment for an eval whose private folder is `home`.

    The harness, transformers and datasets are offline, with caches of their own below `home`, so
    that no result of another revision or of older data can be met again.
    """
    names = [name for group in ALLOWED for name in group.split()]
    passed = {name: ours[name] for name in names if name in ours}
    environment = passed | {
        "HOME": str(home),
        "TMPDIR": str(home / "tmp"),
        "XDG_CACHE_HOME": str(home / "cache"),
        "HF_HOME": str(home / "hf"),
        "HF_DATASETS_CACHE": str(home / "hf" / "datasets"),
        "HF_MODULES_CACHE": str(home / "hf" / "modules"),
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "LM_HARNESS_CACHE_PATH": str(home / "cache" / "requests"),
        "DISABLE_MULTIPROC": "1",  # a daemonic process may not have children
        "TOKENIZERS_PARALLELISM": "false",
        "PYTHONDONTWRITEBYTECODE": "1",  # leaves no trace in the folders of the tasks
        "PYTHONUNBUFFERED": "1",
    }
    if site.ENABLE_USER_SITE and site.USER_BASE:
        environment["PYTHONUSERBASE"] = site.USER_BASE  # HOME is not the user's any more
    assert not [name for name in passed if _SECRET.search(name)]
    return environment


def prepare(home: Path) -> None:
    """Make the folders that the environment names."""
    for name in ("tmp", "cache", "hf"):
        (home / name).mkdir(parents=True, exist_ok=True)
