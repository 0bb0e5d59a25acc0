"""localhub: a small Hub on your own machine."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Annotated

import typer

from proctor.core.errors import Refused


def localhub(
    folder: Annotated[Path, typer.Option(metavar="FOLDER", help="Where its repos live.")] = Path(
        ".localhub"
    ),
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Address to listen on.")
    ] = "127.0.0.1",
    port: Annotated[
        int,
        typer.Option(metavar="PORT", min=0, max=65_535, help="Port; 0 takes a free one."),
    ] = 8900,
) -> None:
    """Run a small Hub on this machine: try a pipeline without touching the real one.

    The unmodified huggingface_hub and transformers work on it: set HF_ENDPOINT to its address and
    HF_TOKEN to a token that it prints. It delivers webhooks, with secret and retries.
    """
    from proctor.localhub import FolderInUse
    from proctor.localhub.command import serve

    try:
        serve(folder, host, port)
    except FolderInUse as error:
        raise Refused(str(error)) from error
    except OSError as error:
        said = error.strerror or error
        if error.filename is not None:
            raise Refused(
                f"{folder} cannot be used ({said}); choose another with --folder"
            ) from error
        other = "--port" if error.errno in (errno.EADDRINUSE, errno.EACCES) else "--host"
        raise Refused(f"cannot serve on {host}:{port}: {said}; choose another {other}") from error
