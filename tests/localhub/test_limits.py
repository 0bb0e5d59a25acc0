from pathlib import Path

import httpx2
import pytest
from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils._http import parse_ratelimit_headers

from proctor.localhub import Limits, LocalHub
from proctor.localhub.limits import Meter


def test_every_answer_tells_what_is_left(http: httpx2.Client, repo: str) -> None:
    for path, bucket, limit in [
        (f"/api/models/{repo}", "api", 20_000),
        ("/api/nothing", "api", 20_000),
        (f"/{repo}/resolve/main/.gitattributes", "resolvers", 100_000),
        ("/", "pages", 20_000),
    ]:
        told = parse_ratelimit_headers(http.get(path).headers)
        assert told is not None
        assert (told.resource_type, told.limit, told.window_seconds) == (bucket, limit, 300)
        assert 0 <= told.remaining < limit and 0 < told.reset_in_seconds <= 300


def test_a_spent_bucket_refuses_until_the_window_ends(tmp_path: Path) -> None:
    with LocalHub(tmp_path, limits=Limits(api=3, window_s=300)) as hub:
        hub.create_user("ana")
        hub.create_user("bob")
        ana = HfApi(endpoint=hub.url, token=hub.create_token("ana"))
        bob = HfApi(endpoint=hub.url, token=hub.create_token("bob"))
        for _ in range(3):
            ana.whoami()
        with pytest.raises(HfHubHTTPError) as error:
            list(ana.list_repo_refs("ana/x").tags)
        answer = error.value.response
        assert answer.status_code == 429
        told = parse_ratelimit_headers(answer.headers)
        assert told is not None and told.remaining == 0
        assert int(answer.headers["retry-after"]) == told.reset_in_seconds
        bob.whoami()  # each caller has buckets of their own
        assert httpx2.get(hub.url).status_code == 200  # and pages are another one


def test_windows_begin_anew() -> None:
    meter = Meter(Limits(api=1, window_s=0.0))
    assert [meter.spend("x", "api")[0] for _ in range(3)] == [True, True, True]
