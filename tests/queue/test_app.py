"""The Celery app: what it is built from and what it leaves out."""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from proctor.core.run import Step, StepKind
from proctor.queue.app import make_app
from proctor.queue.jobs import JOBS
from proctor.queue.waker import CeleryQueue


@pytest.mark.parametrize(
    "url",
    [
        "",
        "memory://",
        "sqla+sqlite:///x",
        "amqp://localhost",
        "redis://",
        "redis:///0",
        "filesystem://",
        "filesystem:///",
        "filesystem://relative/path",
        "/var/lib/proctor",
    ],
)
def test_a_broker_that_we_cannot_use_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="broker"):
        make_app(url)


def test_a_refusal_keeps_the_password_to_itself() -> None:
    with pytest.raises(ValueError) as refusal:
        make_app("amqp://user:hush-hush@host")
    assert "hush-hush" not in str(refusal.value)


@pytest.mark.parametrize("name", ["", "IO", "a b", "../io", "io.msg", "-io", "x" * 41])
def test_a_queue_needs_a_plain_name(name: str) -> None:
    with pytest.raises(ValueError, match="queue"):
        make_app("redis://localhost", queues=[name])


def test_only_ids_in_json_and_no_results() -> None:
    conf = make_app("redis://localhost").conf
    assert conf.accept_content == ["json"]
    assert conf.task_serializer == "json"
    assert conf.result_backend is None
    assert conf.task_ignore_result
    assert conf.broker_connection_max_retries is None
    assert conf.broker_transport_options["socket_timeout"] == 2.0


def test_every_kind_of_step_has_its_job_and_apps_share_none() -> None:
    assert set(JOBS) == set(StepKind)
    looked: list[tuple[str, str]] = []
    for name in ("one", "two"):
        app = make_app("redis://localhost")
        app.perform = lambda step_id, name=name: looked.append((name, step_id))
        for job in JOBS.values():
            app.tasks[job]("step-1")
    assert looked == [("one", "step-1")] * len(StepKind) + [("two", "step-1")] * len(StepKind)


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        ((), {}),
        ((1,), {}),
        (("",), {}),
        (("a b",), {}),
        (("x" * 65,), {}),
        (("a", "b"), {}),
        (({"id": "a"},), {}),
        (("a",), {"more": 1}),
        ((), {"step_id": "a"}),
    ],
)
def test_a_message_without_a_step_id_is_dropped_and_logged(
    args: tuple[object, ...], kwargs: dict[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    looked: list[str] = []
    app = make_app("redis://localhost")
    app.perform = looked.append
    app.tasks["proctor.check"](*args, **kwargs)
    assert looked == []
    assert "proctor.check" in caplog.text


def test_an_error_is_logged_and_ends_there(caplog: pytest.LogCaptureFixture) -> None:
    app = make_app("redis://localhost")  # nothing performs here
    app.tasks["proctor.check"]("step-1")
    assert "not a worker" in caplog.text


def test_the_environment_does_not_choose_the_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CELERY_BROKER_URL", "redis://elsewhere:1/0")
    app = make_app("redis://localhost:6399/2")
    for connection in (app.connection_for_read(), app.connection_for_write()):
        assert connection.hostname == "localhost"
        assert connection.port == 6399
        connection.release()


@pytest.mark.parametrize(
    ("query", "asked"),
    [
        ("", ssl.CERT_REQUIRED),
        ("?ssl_cert_reqs=none", ssl.CERT_NONE),
        ("?ssl_ca_certs=/ca.pem", None),  # redis-py's own default: required
    ],
)
def test_rediss_checks_certificates(query: str, asked: ssl.VerifyMode | None) -> None:
    connection = make_app(f"rediss://:hush@localhost:6399/2{query}").connection_for_write()
    assert connection.ssl.get("ssl_cert_reqs") == asked
    assert "hush" not in connection.as_uri()
    connection.release()


def test_rediss_begins_with_a_tls_greeting() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(60)
        url = f"rediss://127.0.0.1:{server.getsockname()[1]}/0"
        queue = CeleryQueue(make_app(url), patience=60)
        step = Step(id="a", kind=StepKind.PLAN, subject="x", queue="io", due_at=0)
        with ThreadPoolExecutor(1) as caller:
            taken = caller.submit(queue.wake, step)
            with server.accept()[0] as client:
                assert client.recv(1) == b"\x16"  # a handshake record
            assert not taken.result()
        queue.close()


def test_the_receiver_loads_no_worker() -> None:
    script = (
        "import sys, proctor.queue.waker; from proctor.queue.app import make_app;"
        "make_app('redis://localhost');"
        "sys.exit(any(name.startswith(('celery.worker', 'celery.apps', 'celery.concurrency'))"
        " for name in sys.modules))"
    )
    subprocess.run([sys.executable, "-c", script], check=True, env=dict(os.environ))
