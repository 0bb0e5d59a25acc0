"""Who am I, who are they, is this card valid."""

from typing import Any

from starlette.responses import JSONResponse, Response

from proctor.localhub import cards, people
from proctor.localhub.access import require_caller
from proctor.localhub.call import Call, get, post
from proctor.localhub.refusal import Refusal, bad_request


def whoami(call: Call) -> Response:
    who = require_caller(call.who)
    with call.reading() as db:
        return JSONResponse(people.whoami(db, who))


def user_overview(call: Call) -> Response:
    with call.reading() as db:
        found = people.owner(db, call["name"])
        if found is None or found.kind != "user":
            raise Refusal(404, "User not found")
        orgs = [
            {"name": org.name, "fullname": org.name, "avatarUrl": ""}
            for name in sorted(people.memberships(db, found.name))
            if (org := people.owner(db, name))
        ]
    name = found.name
    return JSONResponse(
        {"_id": found.id, "user": name, "fullname": name, "avatarUrl": "", "orgs": orgs}
    )


def org_overview(call: Call) -> Response:
    with call.reading() as db:
        found = people.owner(db, call["name"])
    if found is None or found.kind != "org":
        raise Refusal(404, "Organization not found")
    return JSONResponse(
        {"_id": found.id, "name": found.name, "fullname": found.name, "avatarUrl": ""}
    )


def validate_yaml(call: Call) -> Response:
    """The client asks before it commits a README."""
    content = call.json().get("content")
    if not isinstance(content, str):
        raise bad_request("content must be a text")
    answer: dict[str, Any] = {"errors": [], "warnings": []}
    try:
        card = cards.front_matter(content)
    except cards.InvalidCard as error:
        answer["errors"].append({"message": str(error)})
        return JSONResponse(answer, 400)
    if not card:
        answer["warnings"].append({"message": "empty or missing yaml metadata in repo card"})
    return JSONResponse(answer)


ROUTES = [
    get("/api/whoami-v2", whoami),
    get("/api/users/{name}/overview", user_overview),
    get("/api/organizations/{name}/overview", org_overview),
    post("/api/validate-yaml", validate_yaml),
]
