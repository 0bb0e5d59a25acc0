"""Downloading exactly one revision.

Files are fetched one by one into a staging folder, each held against the listed hash, and the
folder takes its place when it is whole. So a crash leaves nothing half done behind: what was
staged and is intact is used by the next try. huggingface_hub's own cache is not consulted.

All of it is done in threads that are left behind when the download is no longer wanted: what they
still bring is not put in place.
"""

from __future__ import annotations

import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from filelock import Timeout
from huggingface_hub import hf_hub_download
from huggingface_hub.utils import WeakFileLock, tqdm  # type: ignore[attr-defined]  # exported at run time only

# What huggingface_hub itself calls to stop a download that Xet's own client does: that one knows
# nothing of our HTTP client and its bounds.
from huggingface_hub.utils._xet import abort_xet_session

from proctor.core.errors import Cancelled, PermanentError, TransientError
from proctor.core.names import Repo, Revision
from proctor.core.registry import File
from proctor.hub.abandonable import together
from proctor.hub.fingerprint import holds_exactly, matches, refuse_strays
from proctor.hub.reads import describe
from proctor.hub.translate import translate
from proctor.hub.wire import Wire

_AT_ONCE = 4
_SAFE_ID = re.compile(r"[A-Za-z0-9_-]{1,96}")


def snapshot(
    wire: Wire, repo: Repo, revision: Revision, into: Path, stopped: Callable[[], bool]
) -> Path:
    """The folder `into/<hub_id>/<revision>` with the revision's files and nothing else.

    A folder that is there already is verified, and mended where it differs. Several threads and
    processes may ask for the same one: the first downloads, the others wait. Raises Cancelled
    within seconds after `stopped` turned true; whole files stay for the next try.
    """
    stop, found = threading.Event(), list[Path]()

    def fetch() -> None:
        found.append(_fetched(wire, repo, revision, into, stop))

    def unwanted() -> Cancelled | None:
        return Cancelled("the download is no longer wanted") if stopped() else None

    together([fetch], 1, unwanted, stop)
    return found[0]


def _fetched(wire: Wire, repo: Repo, revision: Revision, into: Path, stop: threading.Event) -> Path:
    found, described = describe(wire, repo, revision)
    refuse_strays(described.files)
    if not _SAFE_ID.fullmatch(repo.hub_id):
        raise PermanentError(f"the repo's id is not safe as a folder's name: {repo.hub_id!r}")
    folder = into / repo.hub_id / revision
    staging = into / ".partial" / f"{repo.hub_id}-{revision}"
    patience = wire.patience
    budget = sum(patience.download(file.size) for file in described.files) * patience.attempts
    _go_on(stop)
    try:
        with _alone(staging, patience.answer + budget):
            _go_on(stop)
            if not (folder.is_dir() and holds_exactly(folder, described.files, stop)):
                _stage(folder, staging)
                _fetch_all(wire, found, revision, described.files, staging, budget, stop)
                _put_in_place(staging, folder, described.files, stop)
    except OSError as error:
        raise translate(error, wire.redact, anonymous=False) from None
    return folder


def _go_on(stop: threading.Event) -> None:
    if stop.is_set():
        raise Cancelled("the download was given up")


def _put_in_place(
    staging: Path, folder: Path, files: Sequence[File], stop: threading.Event
) -> None:
    if not holds_exactly(staging, files, stop):
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


def _stage(folder: Path, staging: Path) -> None:
    """Make the staging folder, with what is left of a damaged folder in it."""
    if folder.exists():
        shutil.rmtree(staging, ignore_errors=True)
        folder.rename(staging)
    staging.mkdir(exist_ok=True)


def _fetch_all(
    wire: Wire,
    repo: Repo,
    revision: Revision,
    files: Sequence[File],
    staging: Path,
    budget: float,
    stop: threading.Event,
) -> None:
    _drop_unlisted(staging, files)
    missing = [file for file in files if not matches(staging / file.path, file, stop)]
    until = time.monotonic() + budget

    def unwanted() -> Exception | None:
        if stop.is_set():
            return Cancelled("the download was given up")
        late = time.monotonic() >= until
        return TransientError("the download took too long") if late else None

    fetches = [partial(_fetch, wire, repo, revision, file, staging, stop) for file in missing]
    try:
        together(fetches, _AT_ONCE, unwanted, stop)
    except Exception:
        abort_xet_session()  # type: ignore[no-untyped-call]  # it has no annotations
        raise
    shutil.rmtree(staging / ".cache" / "huggingface", ignore_errors=True)
    _drop_unlisted(staging, files)


def _fetch(
    wire: Wire, repo: Repo, revision: Revision, file: File, staging: Path, stop: threading.Event
) -> None:
    target = staging / file.path

    def download() -> None:
        # What is there does not match. huggingface_hub would keep it, going by its own notes.
        target.unlink(missing_ok=True)
        try:
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
        except (RuntimeError, KeyboardInterrupt) as error:
            # Xet's client, about a lost connection, or a download that is aborted: with its
            # session, which all downloads of this process share.
            raise TransientError(f"the download of {file.path} ended: {error}") from None
        if not matches(target, file, stop):
            target.unlink(missing_ok=True)
            raise TransientError(f"{file.path} came damaged: it is not the file that is listed")

    _go_on(stop)
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
