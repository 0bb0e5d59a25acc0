"""Webhooks and their deliveries.

The log of deliveries and the replay exist in the Hub's settings page; that they have these routes
is our choice, as the live ones are not documented.
"""

from starlette.responses import JSONResponse, Response

from proctor.localhub import deliveries, webhooks
from proctor.localhub.access import require_caller
from proctor.localhub.call import Call, delete, get, post
from proctor.localhub.refusal import forbidden


def listed(call: Call) -> Response:
    who = require_caller(call.who)
    with call.reading() as db:
        return JSONResponse([hook.as_json() for hook in webhooks.of_user(db, who.name)])


def one(call: Call) -> Response:
    who = require_caller(call.who)
    with call.reading() as db:
        return _answer(webhooks.get(db, who.name, call["hook"]))


def create(call: Call) -> Response:
    user = _writer(call)
    with call.writing() as (db, _):
        return _answer(webhooks.create(db, user, call.json()))


def update(call: Call) -> Response:
    user = _writer(call)
    with call.writing() as (db, _):
        return _answer(webhooks.update(db, user, call["hook"], call.json()))


def enable(call: Call) -> Response:
    user = _writer(call)
    with call.writing() as (db, _):
        return _answer(webhooks.switch(db, user, call["hook"], disabled=False))


def disable(call: Call) -> Response:
    user = _writer(call)
    with call.writing() as (db, _):
        return _answer(webhooks.switch(db, user, call["hook"], disabled=True))


def remove(call: Call) -> Response:
    user = _writer(call)
    with call.writing() as (db, _):
        webhooks.delete(db, user, call["hook"])
    return JSONResponse({})


def log(call: Call) -> Response:
    who = require_caller(call.who)
    limit = call.number("limit", 100, 1_000)
    with call.reading() as db:
        hook = webhooks.get(db, who.name, call["hook"])
        return JSONResponse({"deliveries": deliveries.log(db, hook.id, limit)})


def replay(call: Call) -> Response:
    user = _writer(call)
    with call.writing() as (db, _):
        hook = webhooks.get(db, user, call["hook"])
        deliveries.replay(db, hook.id, call["delivery"])
    return JSONResponse({}, 202)


def _writer(call: Call) -> str:
    who = require_caller(call.who)
    if who.role == "read":
        raise forbidden("A read token may not change webhooks")
    return who.name


def _answer(hook: webhooks.Webhook) -> Response:
    return JSONResponse({"webhook": hook.as_json()})


_ALL = "/api/settings/webhooks"
_ONE = f"{_ALL}/{{hook}}"
ROUTES = [
    get(_ALL, listed),
    post(_ALL, create),
    get(_ONE, one),
    post(_ONE, update),
    delete(_ONE, remove),
    post(f"{_ONE}/enable", enable),
    post(f"{_ONE}/disable", disable),
    get(f"{_ONE}/deliveries", log),
    post(f"{_ONE}/deliveries/{{delivery}}/replay", replay),
]
