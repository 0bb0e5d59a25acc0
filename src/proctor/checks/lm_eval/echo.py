"""Does a completions server echo the prompt with its log-probabilities?

Multiple choice needs that. A server that ignores `echo` still answers 200 with log-probabilities
of the token that it made up; the harness then scores chance, and exits 0.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from proctor.core.errors import CheckFailed, TransientError

PROMPT: Final = "12+34=46"
"""Any text of several tokens will do."""


def probe(url: str, model: str, headers: Mapping[str, str], timeout: float = 30) -> None:
    """Ask the server at `url` (…/v1/completions) as the harness would, and look at the answer.

    `headers` may hold a credential: they are sent, never shown. `timeout` in seconds. Raises
    CheckFailed when the server cannot serve multiple choice, TransientError when it did not answer.
    """
    if urlsplit(url).scheme not in ("http", "https"):
        raise CheckFailed("the address of a completions server starts with http:// or https://")
    asked = {
        "model": model,
        "prompt": PROMPT,
        "max_tokens": 1,
        "temperature": 0,
        "logprobs": 1,
        "echo": True,
    }
    request = urllib.request.Request(  # noqa: S310 - the scheme was just checked
        url,
        data=json.dumps(asked).encode(),
        headers={**headers, "Content-Type": "application/json"},
        method="POST",
    )
    try:
        with urllib.request.urlopen(request, timeout=timeout) as response:  # noqa: S310 - see above
            answer = json.loads(response.read(2**20))
    except urllib.error.HTTPError as e:
        code = e.code
        e.close()
        if code == 429 or code >= 500:
            raise TransientError(f"the completions server answered {code}") from None
        raise CheckFailed(f"the completions server answered {code} to a request for echo") from None
    except ValueError:
        raise CheckFailed("the completions server did not answer with JSON") from None
    except OSError as e:
        raise TransientError(f"the completions server did not answer: {type(e).__name__}") from None
    if problem := problem_of(answer):
        raise CheckFailed(f"this server cannot serve multiple choice: {problem}")


def problem_of(answer: Any, prompt: str = PROMPT) -> str | None:
    """What is wrong with an answer to a request with `echo` and `logprobs`; None if nothing is.

    https://github.com/openai/openai-openapi describes both fields (POST /completions).
    """
    try:
        choice = answer["choices"][0]
        told = choice["logprobs"]
        tokens, logprobs = list(told["tokens"]), list(told["token_logprobs"])
        text = str(choice["text"])
    except (KeyError, IndexError, TypeError):
        return "its answer has no log-probabilities in the form of the completions API"
    if not text.startswith(prompt) or len(tokens) < 3 or len(tokens) != len(logprobs):
        return "it ignores `echo`: the prompt is not in its answer"
    if not all(isinstance(p, int | float) and p <= 0 for p in logprobs[1:]):
        return "it echoes the prompt without the log-probabilities of its tokens"
    return None
