"""All routes of the Local Hub: the table of contents."""

from proctor.localhub.routes import (
    account,
    conversations,
    files,
    pages,
    repositories,
    revisions,
    subscriptions,
    switches,
    uploads,
)

# The first match answers, so the pages, whose paths take nearly anything, come last.
ROUTES = [
    *account.ROUTES,
    *repositories.ROUTES,
    *revisions.ROUTES,
    *uploads.ROUTES,
    *files.ROUTES,
    *conversations.ROUTES,
    *subscriptions.ROUTES,
    *switches.ROUTES,
    *switches.PAGES,
    *repositories.NAMELESS,
    *pages.PAGES,
]
