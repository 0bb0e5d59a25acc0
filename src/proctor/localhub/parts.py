"""The running hub's parts, put together in ``app`` and handed to every route."""

import hashlib
import hmac
from dataclasses import dataclass

from proctor.localhub.blobs import Blobs
from proctor.localhub.deliveries import Courier
from proctor.localhub.faults import Faults
from proctor.localhub.limits import Meter
from proctor.localhub.moment import now
from proctor.localhub.refusal import Refusal
from proctor.localhub.store import Store

LINK_LIFE_S = 3_600


@dataclass(frozen=True)
class Parts:
    """``cdn_url`` is the origin that serves large files, None to serve them from the main one.

    ``inline_limit`` is the size in bytes up to which large-file types are taken inside a commit.
    """

    store: Store
    blobs: Blobs
    meter: Meter
    faults: Faults
    courier: Courier
    public_url: str | None
    cdn_url: str | None
    inline_limit: int
    admin_token: str
    link_key: str

    def sign(self, *words: object) -> str:
        """Query parameters that make a link good for an hour without a token."""
        expires = int(now()) + LINK_LIFE_S
        return f"expires={expires}&signature={self._signature(*words, expires)}"

    def check(self, expires: str, signature: str, *words: object) -> None:
        """403 unless these parameters came from ``sign`` for the same words, not long ago."""
        good = hmac.compare_digest(
            self._signature(*words, expires).encode(), signature.encode("utf-8", "replace")
        )
        if not good or not expires.isdigit() or int(expires) < now():
            raise Refusal(403, "This link is not signed for this file, or has expired")

    def _signature(self, *words: object) -> str:
        text = "\n".join(str(word) for word in words)
        return hmac.new(self.link_key.encode(), text.encode(), hashlib.sha256).hexdigest()
