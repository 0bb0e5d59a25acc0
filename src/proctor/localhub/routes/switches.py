"""What a real Hub does not have: faults on demand, and refs pushed the way git pushes them.

For the admin's token, or for anyone on this machine.
"""

import hmac
import ipaddress

from starlette.responses import JSONResponse, PlainTextResponse, Response

from proctor.localhub import names, refs
from proctor.localhub.call import Call, delete, get, post
from proctor.localhub.refusal import bad_request, forbidden


def front(call: Call) -> Response:
    return PlainTextResponse("This is a Local Hub: point HF_ENDPOINT at it.\n")


def faults(call: Call) -> Response:
    _guard(call)
    return JSONResponse({"rules": [rule.as_json() for rule in call.parts.faults.rules()]})


def add_fault(call: Call) -> Response:
    _guard(call)
    wish = call.json()
    times, wait, hang = wish.get("times", 1), wish.get("retry_after_s"), wish.get("hang_s", 30.0)
    if not isinstance(times, int) or not isinstance(hang, int | float):
        raise bad_request("times and hang_s must be numbers")
    if wait is not None and not isinstance(wait, int):
        raise bad_request("retry_after_s must be a whole number of seconds")
    texts = {name: wish.get(name) for name in ("error_code", "location")}
    if not all(text is None or isinstance(text, str) for text in texts.values()):
        raise bad_request("error_code and location must be strings")
    rule = call.parts.faults.add(
        str(wish.get("path", "")),
        str(wish.get("fault")),
        method=str(wish["method"]) if wish.get("method") else None,
        times=times,
        retry_after_s=wait,
        hang_s=float(hang),
        **texts,
    )
    return JSONResponse(rule.as_json(), 201)


def clear_faults(call: Call) -> Response:
    _guard(call)
    call.parts.faults.clear(call["rule"] or None)
    return JSONResponse({})


def push(call: Call) -> Response:
    """Move several refs to commits that exist, or remove them (null), as one ``git push --force``
    would: one event."""
    _guard(call)
    moves = call.json().get("refs")
    if not isinstance(moves, dict) or not moves:
        raise bad_request("refs must be an object of full ref names and commits")
    with call.writing() as (db, emit):
        repo = call.repo(db)
        changes = []
        for ref, rev in moves.items():
            prefix, _, short = str(ref).partition("/")
            kind, _, name = short.partition("/")
            if prefix != "refs" or kind not in ("heads", "tags"):
                raise bad_request("Only refs/heads/... and refs/tags/... can be pushed")
            names.ref_name(name)
            if rev is None:
                changes.append(refs.delete(db, repo, kind, name))
            else:
                changes.append(refs.point(db, repo, str(ref), refs.resolve(db, repo, str(rev))))
        emit.content(repo, changes)
    return JSONResponse({"updatedRefs": refs.as_json(changes)})


def _guard(call: Call) -> None:
    sent = call.request.headers.get("authorization", "").encode("utf-8", "replace")
    if hmac.compare_digest(sent, f"Bearer {call.parts.admin_token}".encode()):
        return
    host = call.request.client.host if call.request.client else ""
    try:
        local = ipaddress.ip_address(host).is_loopback
    except ValueError:
        local = False
    if not local:
        raise forbidden("This needs the admin's token")
    # A web page in this machine's browser is local too. It can send simple requests anywhere,
    # but not JSON, nor DELETE, without asking first, and we never say yes.
    json_body = call.request.headers.get("content-type", "").startswith("application/json")
    if call.request.method == "POST" and not json_body:
        raise bad_request("Send this as application/json")


ROUTES = [
    get("/_faults", faults),
    post("/_faults", add_fault),
    delete("/_faults", clear_faults),
    delete("/_faults/{rule}", clear_faults),
    post("/_push/{types}/{id}", push),
]
PAGES = [get("/", front)]
