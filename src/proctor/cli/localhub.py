"""localhub: a small Hub on your own machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def localhub(
    folder: Annotated[Path, typer.Option(help="Where its repos live.")] = Path(".localhub"),
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0 takes a free one.")] = 7777,
) -> None:
    """Run a small Hub on this machine: try a pipeline without touching the real one.

    The unmodified huggingface_hub and transformers work on it: set HF_ENDPOINT to its address and
    HF_TOKEN to a token that it prints. It delivers webhooks, with secret and retries.
    """
    from proctor.localhub.command import serve

    serve(folder, host, port)
