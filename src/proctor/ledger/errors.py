"""What drivers raise, in the words of the port."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import URL
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from proctor.core.errors import LedgerUnavailable
from proctor.ledger.refusals import reason_of, refusal


@contextmanager
def told(url: URL) -> Iterator[None]:
    """Turn what the driver raises into LedgerUnavailable, or ValueError for refused values.

    Messages never hold the password of `url`. A bug of ours passes as it is.
    """
    try:
        yield
    except PoolTimeout as error:
        raise LedgerUnavailable(
            f"the database at {place(url)} is too busy: no connection became free"
        ) from error
    except IntegrityError as error:
        raise ValueError(f"the ledger refuses this: {_reason(error, url)}") from error
    except DBAPIError as error:
        refused = refusal(error.orig or error, place(url), url.password)
        if refused is None:
            raise
        raise refused from error


def _reason(error: SQLAlchemyError, url: URL) -> str:
    return reason_of(getattr(error, "orig", None) or error, url.password)


def place(url: URL) -> str:
    """The database for people, without credentials."""
    return url.set(username=None, password=None, query={}).render_as_string()
