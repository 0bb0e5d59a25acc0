"""What may be a repository id, a ref name or a path in a repository.

Repository names: ``huggingface_hub.utils.validate_repo_id``. Ref names: ``git check-ref-format``,
narrowed to what appears in practice. The Hub's own limits are not published; ours are stricter
than git's, so that nothing here can name a file outside the state folder.
"""

import re
from typing import Literal, get_args

from proctor.localhub.refusal import bad_request, revision_not_found

RepoType = Literal["model", "dataset", "space"]
REPO_TYPES: tuple[RepoType, ...] = get_args(RepoType)

_NAME = re.compile(r"[A-Za-z0-9](?:[\w.-]{0,94}[\w])?", re.ASCII)
_REF = re.compile(r"[\w][\w./+-]{0,199}", re.ASCII)
_SHA = re.compile(r"[0-9a-f]{40}")
_MAX_PATH = 1_000


def is_sha(text: str) -> bool:
    """Whether ``text`` is a full commit id: 40 lower-case hex digits."""
    return _SHA.fullmatch(text) is not None


def owner_name(text: str) -> str:
    """A user's or organization's name, or 400."""
    if not _NAME.fullmatch(text) or "--" in text or ".." in text:
        raise bad_request(f"Invalid name: {text[:100]!r}")
    return text


def repo_id(text: str) -> str:
    """``namespace/name``, or 400."""
    namespace, slash, name = text.partition("/")
    if not slash or name.endswith((".git", ".ipynb")):
        raise bad_request(f"Invalid repository id: {text[:200]!r}")
    return f"{owner_name(namespace)}/{owner_name(name)}"


def ref_name(text: str) -> str:
    """A short branch or tag name, or 400."""
    parts = text.split("/")
    wrong = (
        not _REF.fullmatch(text)
        or is_sha(text)
        or parts[0] == "refs"
        or ".." in text
        or any(not part or part.startswith(".") or part.endswith((".", ".lock")) for part in parts)
    )
    if wrong:
        raise bad_request(f"Invalid ref name: {text[:200]!r}")
    return text


def revision(text: str) -> str:
    """Anything that may be looked up as a revision; what cannot name one is RevisionNotFound."""
    if not _REF.fullmatch(text):
        raise revision_not_found(text.encode("ascii", "replace").decode()[:200])
    return text


def file_path(text: str) -> str:
    """A clean relative path with forward slashes, or 400."""
    parts = text.split("/")
    wrong = (
        not text
        or len(text) > _MAX_PATH
        or "\\" in text
        or any(ord(char) < 32 or ord(char) == 127 for char in text)
        or any(part in ("", ".", "..") or part.lower() == ".git" for part in parts)
    )
    try:
        text.encode()
    except UnicodeEncodeError:
        wrong = True
    if wrong:
        raise bad_request(f"Invalid path in repository: {text.encode('ascii', 'replace')[:200]!r}")
    return text
