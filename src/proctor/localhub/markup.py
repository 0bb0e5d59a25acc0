"""Pages for people: a little HTML, from text that may be anybody's.

The type keeps the two apart: what is ``Html`` has been escaped or was written here. There are no
scripts, and the policy sent along lets none run: a repository must not act in the origin of the
API.
"""

from collections.abc import Iterable, Sequence
from html import escape
from typing import NewType
from urllib.parse import quote

from starlette.responses import Response

Html = NewType("Html", str)

_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'"
)
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem;
  color: #1b1f24; background: #fff; }
h1 { font-size: 1.4rem; overflow-wrap: anywhere; } h2 { font-size: 1.05rem; margin-top: 2rem; }
a { color: #0b5cad; } code, pre, .id { font-family: ui-monospace, monospace; font-size: .9em; }
table { border-collapse: collapse; width: 100%; }
td { border-top: 1px solid #d8dde3; padding: .3rem .8rem .3rem 0; vertical-align: top;
  overflow-wrap: anywhere; }
pre { background: #f5f6f8; padding: 1rem; overflow-x: auto; white-space: pre-wrap; }
footer { margin-top: 3rem; color: #59636e; font-size: .85rem; }
@media (prefers-color-scheme: dark) { body { color: #e4e7eb; background: #15181c; }
  a { color: #7ab8f5; } td { border-color: #333a42; } pre { background: #1f242a; }
  footer { color: #98a2ad; } }
"""


def text(value: object) -> Html:
    """Text as it is to be read."""
    return Html(escape(str(value)))


def code(value: object) -> Html:
    """A sha, a path or the like."""
    return Html(f"<code>{text(value)}</code>")


def link(path: str, label: Html) -> Html:
    """A link to a path of this server, which is quoted already."""
    return Html(f'<a href="{escape(path)}">{label}</a>')


def block(value: str) -> Html:
    """Text with its line breaks."""
    return Html(f"<pre>{text(value)}</pre>")


def heading(value: str) -> Html:
    """The heading of a part."""
    return Html(f"<h2>{text(value)}</h2>")


def paragraph(*parts: Html) -> Html:
    """Parts in one line."""
    return Html(f"<p>{' '.join(parts)}</p>")


def table(rows: Iterable[Sequence[Html]]) -> Html:
    """Rows of cells; a line that says so where there are none."""
    lines = ["<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows]
    return Html(f"<table>{''.join(lines)}</table>" if lines else "<p>Nothing here.</p>")


def quoted(*parts: str) -> str:
    """Parts of a path, each with its slashes quoted."""
    return "/".join(quote(part, safe="") for part in parts)


def page(title: str, parts: Iterable[Html], *, private: bool) -> Response:
    """A whole page under its title."""
    body = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{text(title)}</title><style>{_STYLE}</style></head>"
        f"<body><h1>{text(title)}</h1>{''.join(parts)}"
        "<footer>Local Hub: a small Hub for trying out.</footer></body></html>"
    )
    headers = {
        "Content-Security-Policy": _POLICY,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-store" if private else "no-cache",
        "Vary": "Authorization",
    }
    # A title may hold half of a surrogate pair, which no encoding can carry.
    return Response(body.encode("utf-8", "replace"), headers=headers, media_type="text/html")
