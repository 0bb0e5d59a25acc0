"""The ceiling: `python bare.py PORT`. uvicorn and Starlette; the secret is checked, that is all.

The fastest that uvicorn is without other software: its C parser, no access log.
"""

import hmac
import sys

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

SECRET = "bench-secret-1234"


async def receive(request: Request) -> Response:
    """Who is it?"""
    presented = request.headers.get("x-webhook-secret", "")
    if not hmac.compare_digest(presented.encode(), SECRET.encode()):
        return JSONResponse({"error": "wrong secret"}, 401)
    return JSONResponse({"status": "ok"}, 202)


app = Starlette(routes=[Route("/webhooks/hub", receive, methods=["POST"])])

if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]), http="httptools", access_log=False, log_level="warning")
