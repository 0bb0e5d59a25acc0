"""What makes two deliveries the same event."""

from __future__ import annotations

from typing import Final

from proctor.core.event import Payload
from proctor.core.evidence import digest, digest_of_texts

BUCKET: Final = 600
"""Seconds within which equal payloads without a Webhook-Id count as one event. A repetition that
falls into the next bucket makes a second event, which then finds nothing new to do; the same
payload told twice in one bucket on purpose (A to B, back to A, again to B) counts as a duplicate,
which still has its repo looked at. So either mistake is harmless."""


def identify(webhook_id: str | None, payload: Payload, *, received_at: float, unique: str) -> str:
    """The identity of the event that a delivery tells; equal for repetitions, 64 hex digits.

    `webhook_id` is the header Webhook-Id, `received_at` is in seconds since the epoch, and
    `unique` (the delivery's own id) stands in where nothing tells the event apart.
    """
    if webhook_id:
        # "Stable across retries of a delivery", and "replays reuse the original delivery's id"
        # (https://huggingface.co/docs/hub/webhooks#delivery-and-retries). The page does not say
        # that two webhooks never share one, hence the subscription.
        return digest_of_texts("webhook-id", payload.subscription, webhook_id)
    if payload.fingerprint is None:
        return digest_of_texts("unique", payload.subscription, unique)
    return digest(["fields", payload.fingerprint, int(received_at // BUCKET)])
