"""Downloading exactly one revision.

Files are fetched one by one into a staging folder, each held against the listed hash, and the
folder takes its place when it is whole. So a crash leaves nothing half done behind: what was
staged and is intact is used by the next try. huggingface_hub's own cache is not consulted.
"""

from __future__ import annotations

import re
import shutil
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import Timeout
from huggingface_hub import hf_hub_download
from huggingface_hub.utils import WeakFileLock, tqdm  # type: ignore[attr-defined]  # exported at run time only

# What huggingface_hub itself calls to stop a download that Xet's own client does: that one knows
# nothing of our HTTP client and its bounds.
from huggingface_hub.utils._xet import abort_xet_session

from proctor.core.errors import PermanentError, TransientError
from proctor.core.names import Repo, Revision
from proctor.core.registry import File
from proctor.hub.fingerprint import holds_exactly, matches, refuse_strays
from proctor.hub.reads import describe
from proctor.hub.translate import translate
from proctor.hub.wire import Wire

_AT_ONCE = 4
_SAFE_ID = re.compile(r"[A-Za-z0-9_-]{1,96}")


def snapshot(wire: Wire, repo: Repo, revision: Revision, into: Path) -> Path:
    """The folder `into/<hub_id>/<revision>` with the revision's files and nothing else.

    A folder that is there already is verified, and mended where it differs. Several threads and
    processes may ask for the same one: the first downloads, the others wait.
    """
    found, described = describe(wire, repo, revision)
    refuse_strays(described.files)
    if not _SAFE_ID.fullmatch(repo.hub_id):
        raise PermanentError(f"the repo's id is not safe as a folder's name: {repo.hub_id!r}")
    folder = into / repo.hub_id / revision
    staging = into / ".partial" / f"{repo.hub_id}-{revision}"
    patience = wire.patience
    budget = sum(patience.download(file.size) for file in described.files) * patience.attempts
    try:
        with _alone(staging, patience.answer + budget):
            if not (folder.is_dir() and holds_exactly(folder, described.files)):
                _fetch_all(wire, found, revision, described.files, _stage(folder, staging), budget)
                _put_in_place(staging, folder, described.files)
    except OSError as error:
        raise translate(error, wire.redact, anonymous=False) from None
    return folder


def _put_in_place(staging: Path, folder: Path, files: Sequence[File]) -> None:
    if not holds_exactly(staging, files):
        raise TransientError("the downloaded files changed on disk before they were all there")
    folder.parent.mkdir(parents=True, exist_ok=True)
    staging.rename(folder)


@contextmanager
def _alone(staging: Path, longest: float) -> Iterator[None]:
    """Only one at a time, over processes; the lock of a process that dies is free."""
    staging.parent.mkdir(parents=True, exist_ok=True)
    try:
        with WeakFileLock(staging.with_name(f"{staging.name}.lock"), timeout=longest):
            yield
    except Timeout:
        raise TransientError("another download of this revision does not end") from None


def _stage(folder: Path, staging: Path) -> Path:
    """The staging folder, with what is left of a damaged folder in it."""
    if folder.exists():
        shutil.rmtree(staging, ignore_errors=True)
        folder.rename(staging)
    staging.mkdir(exist_ok=True)
    return staging


def _fetch_all(
    wire: Wire,
    repo: Repo,
    revision: Revision,
    files: Sequence[File],
    staging: Path,
    budget: float,
) -> None:
    _drop_unlisted(staging, files)
    missing = [file for file in files if not matches(staging / file.path, file)]
    stop = threading.Event()
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="snapshot") as pool:
        fetches = [
            pool.submit(_fetch, wire, repo, revision, file, staging, stop) for file in missing
        ]
        done, open_ones = wait(fetches, timeout=budget or None, return_when=FIRST_EXCEPTION)
        if open_ones:
            stop.set()
            for fetch in open_ones:
                fetch.cancel()
            abort_xet_session()  # type: ignore[no-untyped-call]  # it has no annotations
    for fetch in done:
        fetch.result()
    if open_ones:
        raise TransientError("the download took too long")
    shutil.rmtree(staging / ".cache" / "huggingface", ignore_errors=True)
    _drop_unlisted(staging, files)


def _fetch(
    wire: Wire, repo: Repo, revision: Revision, file: File, staging: Path, stop: threading.Event
) -> None:
    target = staging / file.path

    def download() -> None:
        # What is there does not match. huggingface_hub would keep it, going by its own notes.
        target.unlink(missing_ok=True)
        hf_hub_download(
            repo.name,
            file.path,
            repo_type=repo.type.value,
            revision=revision,
            local_dir=staging,
            cache_dir=staging / ".cache" / "huggingface" / "no-cache",
            endpoint=wire.endpoint,
            token=wire.token,
            etag_timeout=wire.patience.read,
            library_name="proctor",
            tqdm_class=_Silent,
        )
        if not matches(target, file):
            target.unlink(missing_ok=True)
            raise TransientError(f"{file.path} came damaged: it is not the file that is listed")

    wire.read(download, seconds=wire.patience.download(file.size), stop=stop)


def _drop_unlisted(staging: Path, files: Sequence[File]) -> None:
    """Remove what the revision does not hold, and folders left empty."""
    listed = {staging / file.path for file in files}
    for path in sorted(staging.rglob("*"), reverse=True):
        if path.is_dir() and not path.is_symlink():
            if not any(path.iterdir()):
                path.rmdir()
        elif path not in listed:
            path.unlink()


class _Silent(tqdm):
    """A progress bar that nobody sees."""

    def __init__(self, *args: Any, **options: Any) -> None:
        options["disable"] = True
        super().__init__(*args, **options)  # type: ignore[no-untyped-call]  # it has no annotations
