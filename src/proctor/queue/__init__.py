"""Waking workers through Celery. Messages are hints; the ledger decides.

The receiver uses `app` and `waker`; only `worker` imports Celery's worker.
"""
