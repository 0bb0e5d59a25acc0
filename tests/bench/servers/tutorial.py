"""What tutorials build: `python tutorial.py PORT DATABASE BROKER_URL`.

FastAPI, a row by SQLAlchemy's ORM, and `delay()` in the handler. SQLite is made as durable as
ours (WAL, synchronous=FULL), for there is nothing to compare otherwise.
"""

import hmac
import sys
from importlib import import_module
from typing import Any

import uvicorn
from celery import Celery  # type: ignore[import-untyped] # Celery ships no types
from sqlalchemy import JSON, create_engine, event
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

SECRET = "bench-secret-1234"
port, database, broker = sys.argv[1:]
fastapi: Any = import_module("fastapi")  # only the group "bench" has it, not the type checker's

celery = Celery("tutorial", broker=broker)
app = fastapi.FastAPI()
engine = create_engine(f"sqlite:///{database}", connect_args={"timeout": 30})


@event.listens_for(engine, "connect")
def set_up(connection: Any, _record: object) -> None:
    """Durable, as ours is."""
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")


class Base(DeclarativeBase):
    """The tables."""


class WebhookEvent(Base):
    """A delivery."""

    __tablename__ = "webhook_events"
    id: Mapped[int] = mapped_column(primary_key=True)
    webhook_id: Mapped[str | None] = mapped_column(unique=True)
    payload: Mapped[dict[str, Any]] = mapped_column(JSON)


Base.metadata.create_all(engine)


@celery.task  # type: ignore[untyped-decorator] # Celery ships no types
def work(id: int) -> None:
    """What a worker would do."""


def receive(
    payload: dict[str, Any],
    x_webhook_secret: str = fastapi.Header(""),
    webhook_id: str | None = fastapi.Header(None),
) -> dict[str, int]:
    """Check, store, enqueue."""
    if not hmac.compare_digest(x_webhook_secret.encode(), SECRET.encode()):
        raise fastapi.HTTPException(401)
    with Session(engine) as session:
        row = WebhookEvent(webhook_id=webhook_id, payload=payload)
        session.add(row)
        session.commit()
        work.delay(row.id)
        return {"id": row.id}


app.post("/webhooks/hub", status_code=202)(receive)

if __name__ == "__main__":
    uvicorn.run(app, port=int(port), http="httptools", access_log=False, log_level="warning")
