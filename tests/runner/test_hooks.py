"""Hooks: real programs and a real listener, and every way in which they fail."""

import json
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from fathom_tui.alerts import Alert
from fathom_tui.errors import UsageError
from fathom_tui.health import HealthState
from fathom_tui.runner.hooks import Hooks, command_name, post, run_command, webhook_name

ALERT = Alert(
    engagement="acme",
    deployment="acme:v1",
    state=HealthState.CRITICAL,
    before=HealthState.OK,
    reasons=('Ünïcode "quotes" $HOME `id`; rm -rf /', "and\0 a NUL"),
    passed=17,
    total=20,
    checked_at="2026-11-22T08:00:00.000Z",
)


def script(folder: Path, code: str) -> str:
    """Return a command line that runs some Python."""
    path = folder / "my hook.py"
    path.write_text(code, "utf-8")
    return f"'{sys.executable}' '{path}'"


class TestCommand:
    def test_finds_the_alert_on_stdin_and_in_its_environment(self, tmp_path: Path) -> None:
        out = tmp_path / "out.json"
        code = (
            "import json, os, sys\n"
            "said = {k: v for k, v in os.environ.items() if k.startswith('FATHOM_')}\n"
            f"json.dump([json.load(sys.stdin), said, sys.argv[1:]], open({str(out)!r}, 'w'))\n"
            "print('told them')\n"
        )

        found = run_command(script(tmp_path, code) + " '$HOME' ';' '*'", ALERT)

        payload, variables, arguments = json.loads(out.read_text())
        assert (found.ok, found.detail) == (True, "told them")
        assert payload == ALERT.payload()
        assert variables["FATHOM_STATE"] == "critical"
        assert variables["FATHOM_REASONS"].startswith('Ünïcode "quotes" $HOME')
        assert arguments == ["$HOME", ";", "*"]  # no shell has touched them

    def test_that_fails_is_told_with_its_code_and_words(self, tmp_path: Path) -> None:
        code = "import sys; print('no mail server', file=sys.stderr); sys.exit(7)"

        found = run_command(script(tmp_path, code), ALERT)

        assert (found.ok, found.detail) == (False, "it ended with code 7: no mail server")

    def test_that_does_not_read_is_no_failure(self, tmp_path: Path) -> None:
        assert run_command(script(tmp_path, "import os; os.close(0)"), ALERT).ok

    def test_that_hangs_is_ended_with_what_it_started(self, tmp_path: Path) -> None:
        code = "import subprocess; subprocess.run(['sleep', '600'])"

        found = run_command(script(tmp_path, code), ALERT, patience_s=1.0)

        assert (found.ok, found.detail) == (False, "it did not end within 1 s")

    def test_that_is_not_there_is_told(self) -> None:
        found = run_command("/no/such/program --secret token", ALERT)

        assert not found.ok
        assert "cannot be started" in found.detail
        assert re.fullmatch("command program #[0-9a-f]{6}", found.hook)

    @pytest.mark.parametrize("line", ["", "   ", "'open"])
    def test_that_is_no_command_line_is_refused(self, line: str) -> None:
        with pytest.raises(UsageError):
            command_name(line)


@contextmanager
def listener(status: int, **headers: str) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Serve one address that answers every POST with a status; yield it and what arrived."""
    arrived: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            arrived.append({"type": self.headers["Content-Type"], "body": json.loads(body)})
            self.send_response(status)
            for name, value in {"Content-Length": "0", **headers}.items():
                self.send_header(name, value)
            self.end_headers()

        def do_GET(self) -> None:
            arrived.append({"method": "GET"})
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/T0/secret?token=1", arrived
        finally:
            server.shutdown()
            thread.join()


class TestWebhook:
    def test_gets_the_alert_as_json(self) -> None:
        with listener(204) as (url, arrived):
            found = post(url, ALERT)

        assert (found.ok, found.detail) == (True, "HTTP 204")
        assert re.fullmatch("webhook 127.0.0.1 #[0-9a-f]{6}", found.hook)
        assert arrived == [{"type": "application/json", "body": ALERT.payload()}]

    def test_that_refuses_is_told(self) -> None:
        with listener(500) as (url, _):
            found = post(url, ALERT)

        assert (found.ok, found.detail) == (False, "HTTP 500 Internal Server Error")

    def test_that_redirects_is_a_failure_and_not_a_silent_get(self) -> None:
        with listener(302, Location="/elsewhere") as (url, arrived):
            found = post(url, ALERT)

        assert (found.ok, found.detail) == (False, "HTTP 302 Found")
        assert len(arrived) == 1

    def test_that_nobody_answers_is_told_without_its_secrets(self) -> None:
        found = post("http://127.0.0.1:9/T0/secret", ALERT)

        assert not found.ok
        assert "did not answer" in found.detail
        assert "secret" not in found.hook + found.detail

    @pytest.mark.parametrize(
        "url",
        [
            "", "example.org", "ftp://example.org/x", "file:///etc/passwd", "http://", "http://[",
            "http://h:99999/", "http://h:abc/", "http://a b/", "http://h/\tx",
        ],
    )  # fmt: skip
    def test_that_is_no_address_is_refused(self, url: str) -> None:
        with pytest.raises(UsageError, match="no address"):
            webhook_name(url)

    def test_with_a_password_before_its_host_is_refused_without_showing_it(self) -> None:
        with pytest.raises(UsageError, match="a name or a password") as error:
            webhook_name("http://ann:secret@example.org/x")

        assert "secret@" not in error.value.message + error.value.fix


class TestHooks:
    def test_only_those_named_are_called(self, tmp_path: Path) -> None:
        out = tmp_path / "out"
        command = script(tmp_path, f"open({str(out)!r}, 'w')")
        with listener(200) as (url, arrived):
            hooks = Hooks(command=command, webhook=url)
            found = hooks.tell(ALERT, [webhook_name(url)])

        assert [delivery.hook for delivery in found] == [webhook_name(url)]
        assert len(arrived) == 1
        assert not out.exists()

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            (Hooks(command="notify --to ann"), Hooks(command="notify --to ben")),
            (Hooks(webhook="https://h.example.org/T0"), Hooks(webhook="https://h.example.org/T1")),
        ],
    )
    def test_of_one_program_or_host_are_told_apart(self, one: Hooks, other: Hooks) -> None:
        assert one.names != other.names
        assert not {"ann", "ben", "T0", "T1"} & set(" ".join(one.names + other.names).split())

    @pytest.mark.parametrize("program", ["/no/such/program", "no-such-program-anywhere", "/etc"])
    def test_of_a_program_that_cannot_be_run_are_refused_at_once(self, program: str) -> None:
        with pytest.raises(UsageError, match="not there, or cannot be run") as error:
            Hooks(command=f"{program} --to ann").require_program()

        assert "whole path" in error.value.fix

    def test_none_are_set_up_by_default(self) -> None:
        assert Hooks().names == []
        assert Hooks().tell(ALERT, ["anything"]) == []


def test_a_hook_that_never_stops_talking_is_ended_and_little_of_it_is_kept(tmp_path: Path) -> None:
    found = run_command("cat /dev/zero", ALERT, patience_s=0.5)

    assert (found.ok, found.detail) == (False, "it did not end within 0.5 s")


def test_of_a_hook_that_says_much_the_beginning_is_kept(tmp_path: Path) -> None:
    code = "import sys; print('begun'); sys.stdout.write('x' * 3_000_000)"

    found = run_command(script(tmp_path, code), ALERT)

    assert found.ok
    assert found.detail.startswith("begun")
    assert len(found.detail) == 200
