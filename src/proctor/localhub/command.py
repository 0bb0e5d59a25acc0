"""The Local Hub as a command: serve in the foreground, say how to use it."""

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from proctor.localhub import people
from proctor.localhub.app import INLINE_LIMIT, App, create_app
from proctor.localhub.limits import Limits
from proctor.localhub.server import address, listen, uvicorn_server

USER = "local"
ORG = "acme"
DEFAULT_PORT = 8900


def serve(
    root: Path,
    host: str = "127.0.0.1",
    port: int = DEFAULT_PORT,
    *,
    cdn_port: int | None = None,
    public_url: str | None = None,
    limits: Limits | None = None,
    quiet: bool = False,
) -> None:
    """Serve the state folder ``root`` until interrupted, and print how to use it.

    ``cdn_port``: also serve large files from this port (0: a free one); without it they come from
    the main one. ``public_url``: the address that links start with, when it is not the one that
    clients use. Raises ``OSError`` for a port in use and ``store.FolderInUse``.
    """
    sockets = [listen(host, port)]
    cdn_url = None
    try:
        if cdn_port is not None:
            sockets.append(listen(host, cdn_port))
            cdn_url = address(sockets[1])
        app = create_app(root, limits=limits, public_url=public_url, cdn_url=cdn_url)
        tokens = default_tokens(app, root)
        for bound in sockets:
            bound.listen()  # who reads the welcome may connect at once
    except BaseException:
        for bound in sockets:
            bound.close()
        raise
    if not quiet:
        sys.stdout.write(welcome(public_url or address(sockets[0]), tokens, app))
        sys.stdout.flush()
    asyncio.run(uvicorn_server(app).serve(sockets=sockets))


def default_tokens(app: App, root: Path) -> Mapping[str, str]:
    """The write and the read token of the user ``local``, member of the organization ``acme``.

    Made once and kept in ``tokens.json`` of the state folder, readable by its owner only.
    """
    path = root / "tokens.json"
    if path.exists():
        kept = json.loads(path.read_text())
        return {"write": str(kept["write"]), "read": str(kept["read"])}
    with app.parts.store.transaction() as db:
        people.add_user(db, USER)
        people.add_org(db, ORG)
        people.join(db, USER, ORG, "admin")
        tokens = {
            "write": people.add_token(db, USER, "write", "local write"),
            "read": people.add_token(db, USER, "read", "local read"),
        }
        # Written inside the transaction: no token is valid that the file does not hold.
        aside = path.with_suffix(".new")
        aside.unlink(missing_ok=True)
        with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump(tokens, file)
            file.flush()
            os.fsync(file.fileno())
    aside.replace(path)
    return tokens


def welcome(url: str, tokens: Mapping[str, str], app: App) -> str:
    """What is printed at the start."""
    return f"""\
Local Hub at {url}
  write token of {USER} (member of {ORG}): {tokens["write"]}
  read token:                       {tokens["read"]}
  admin token (faults):             {app.parts.admin_token}

Try it:
  export HF_ENDPOINT={url} HF_TOKEN={tokens["write"]}
  hf auth whoami
  hf repos create {ORG}/demo
  echo hello > hello.txt
  hf upload {ORG}/demo hello.txt
  curl -s {url}/api/models/{ORG}/demo/refs

To see how a client bears trouble, let the next two calls about tags fail:
  # curl -s {url}/_faults --json '{{"path": "/tag/", "fault": "503", "times": 2}}'

To upload files over {INLINE_LIMIT // 2**20} MiB, set HF_HUB_DISABLE_XET=1: they go by LFS.
Stop it with Ctrl-C; the state folder keeps everything.
"""
