"""Who may see, change and discuss a repository.

The rules follow https://huggingface.co/docs/hub/security-tokens and
https://huggingface.co/docs/hub/organizations-security, reduced to what a test needs.
"""

from proctor.localhub.people import Caller
from proctor.localhub.refusal import Refusal, forbidden, login_required, repo_not_found
from proctor.localhub.repos import Repo

_WRITE_ROLES = ("admin", "write", "contributor")


def can_read(who: Caller | None, repo: Repo) -> bool:
    if not repo.private:
        return True
    if who is None or who.role_in(repo.namespace) is None:
        return False
    if who.role == "fineGrained":
        return who.permits(repo.name, "repo.content.read", "repo.write")
    return True


def can_write(who: Caller | None, repo: Repo) -> bool:
    return who is not None and can_write_in(who, repo.name)


def can_write_in(who: Caller, name: str) -> bool:
    """Whether the caller may change, or make, a repository of this name."""
    if who.role == "read" or who.role_in(name.split("/")[0]) not in _WRITE_ROLES:
        return False
    return who.role == "write" or who.permits(name, "repo.write")


def require_read(who: Caller | None, repo: Repo) -> None:
    """What may not be read does not exist, as far as the caller can tell."""
    if not can_read(who, repo):
        raise repo_not_found(anonymous=who is None)


def require_files(who: Caller | None, repo: Repo) -> None:
    """A gated repository shows itself to all, its files only to members.

    Asking for access is not offered here.
    """
    require_read(who, repo)
    if repo.gated and (who is None or who.role_in(repo.namespace) is None):
        raise Refusal(
            401 if who is None else 403,
            f"Access to {repo.type} {repo.name} is restricted.",
            "GatedRepo",
        )


def require_write(who: Caller | None, repo: Repo) -> Caller:
    require_read(who, repo)
    if who is None:
        # The Hub answers an anonymous write to a repository as if it were not there.
        raise repo_not_found(anonymous=True)
    if not can_write(who, repo):
        raise forbidden(f"You don't have the rights to write to {repo.type} {repo.name}")
    return who


def require_discuss(who: Caller | None, repo: Repo) -> Caller:
    """Anyone who can read may discuss and open pull requests, with a token that can write."""
    require_read(who, repo)
    if who is None:
        raise repo_not_found(anonymous=True)
    allowed = who.role == "write" or (
        who.role == "fineGrained" and who.permits(repo.name, "discussion.write", "repo.write")
    )
    if not allowed:
        raise forbidden("This token may not write to discussions")
    return who


def require_caller(who: Caller | None) -> Caller:
    if who is None:
        raise login_required()
    return who
