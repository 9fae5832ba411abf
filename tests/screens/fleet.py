"""Engagements with deployments, checks and alerts as the ledger would have them."""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from fathom_tui.store.journal import Journal
from fathom_tui.store.paths import Home
from tests.screens import story
from tests.screens.looking import NOW

SHA256 = "9f2c" * 16
EXPECTED = {"category": "fraud", "urgency": "high", "amount_gbp": 120.0, "action": "block_card"}
WRONG = (
    {"category": "card", "urgency": "high", "amount_gbp": 120.0, "action": "block_card"},
    {"category": "fraud", "urgency": "low", "amount_gbp": None, "action": "answer"},
)


class Served:
    """The journal of an engagement that is served, with a clock of its own.

    Args:
        home: Whose.
        slug: Its short name.
        target: What serves it.
        version: The version that serves already; "" makes the engagement.
    """

    def __init__(self, home: Home, slug: str, *, target: str = "ollama", version: str = "") -> None:
        if not version:
            story.engagement(home, slug)
        self.slug, self.target, self.version = slug, target, version
        self.now = NOW
        self.journal = Journal(home.engagement_journal(slug), now=self._stamp)

    def add(self, kind: str, at: datetime, **data: Any) -> None:
        """Write one event."""
        self.now = at
        with self.journal as journal:
            journal.append(kind, data, durable=False)

    def deployed(self, version: str, at: datetime, state: str = "serving", **more: Any) -> "Served":
        """Write a deployment's event."""
        previous = self.version if self.version not in ("", version) else None
        self.version = version
        self.add(
            "deployment",
            at,
            id=f"{self.slug}:{version}",
            run=f"{self.slug}-1",
            target=self.target,
            version=version,
            previous=previous,
            alias=self.slug,
            url="http://127.0.0.1:11434",
            artifact="quantised",
            sha256=SHA256,
            state=state,
            **more,
        )
        return self

    def checked(self, at: datetime, passed: int, total: int = 20, **more: Any) -> "Served":
        """Write a check with its failing answers."""
        missing = total - passed
        share = passed / total if total else 0
        state = "ok" if passed == total else "warning" if share >= 0.9 else "critical"
        reasons = [] if state == "ok" else [f"{passed} of {total} anchors pass; 90 % must."]
        data = {
            "deployment": f"{self.slug}:{self.version}",
            "passed": passed,
            "total": total,
            "failures": [f"anchor-{n:02d}" for n in range(1, missing + 1)],
            "seconds": 8.4,
            "state": state,
            "reasons": reasons,
            "threshold": 0.9,
            "latency_s": 0.412,
            "lengths": [71] * total,
            "answers": [_miss(n) for n in range(1, missing + 1)],
            "drift": drift(0.41),
        }
        self.add("check", at, **{**data, **more})
        return self

    def daily(self, *passed: int, until: datetime, total: int = 20, **more: Any) -> "Served":
        """Write a check a day, the last one at `until`."""
        for back, count in zip(range(len(passed) - 1, -1, -1), passed, strict=True):
            last = more if back == 0 else {}
            self.checked(until - timedelta(days=back), count, total, **last)
        return self

    def alerted(self, at: datetime, state: str, before: str, *hooks: Mapping[str, Any]) -> "Served":
        """Write an alert."""
        self.add(
            "alert",
            at,
            deployment=f"{self.slug}:{self.version}",
            state=state,
            before=before,
            reasons=[],
            delivered=list(hooks),
        )
        return self

    def _stamp(self) -> str:
        return self.now.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def drift(p_value: float, kind: str = "lengths") -> dict[str, Any]:
    """Return a drift test as a check keeps it."""
    return {
        "kind": kind,
        "statistic": 4.5,
        "p_value": p_value,
        "n_reference": 20,
        "n_recent": 20,
    }


def ago(**span: float) -> datetime:
    """Return the time this long before the screens' clock."""
    return NOW - timedelta(**span)


def fleet(home: Home) -> None:
    """Write one engagement of each kind there is."""
    triage = Served(home, "acme-triage").deployed("v2", ago(days=40), "superseded")
    triage.daily(*[20] * 9, until=ago(days=19))
    triage.deployed("v3", ago(days=18))
    triage.daily(*[20, 20, 19, 20, 20, 20, 20, 20, 20, 20, 20, 20, 20], until=ago(days=5))
    triage.daily(20, 20, 19, 18, until=ago(days=1, hours=2))
    triage.alerted(
        ago(days=1, hours=2), "warning", "ok", {"hook": "command", "ok": True, "detail": ""}
    )
    six = [f"anchor-{n:02d}" for n in (2, 5, 9, 11, 14, 20)]
    answers = [{**_miss(n), "id": name} for n, name in enumerate(six)]
    answers[5] = {**answers[5], "actual": "fraud fraud fraud fraud", "finish_reason": "length"}
    triage.checked(
        ago(hours=2),
        14,
        failures=six,
        answers=answers,
        reasons=[
            "14 of 20 anchors pass (0.48 to 0.85); 90 % must.",
            "1 answer repeats itself until it is cut (anchor-20).",
            "The share fell by 20 points since the check before.",
        ],
        drift=drift(0.003),
        latency_s=0.871,
    )
    triage.alerted(
        ago(hours=2),
        "critical",
        "warning",
        {"hook": "command", "ok": True, "detail": ""},
        {"hook": "webhook", "ok": False, "detail": "HTTP 500"},
    )
    triage.add("fact", ago(days=30), key="alert_command", value="/usr/local/bin/page")
    triage.add(
        "fact", ago(days=30), key="alert_webhook", value="https://hooks.example.com/T0/secret"
    )
    triage.add("fact", ago(days=30), key="retention_until", value="2026-12-31")
    for verdict in ("good", "good", "bad"):
        triage.add(
            "feedback", ago(days=3), deployment="acme-triage:v3", verdict=verdict, by="ann", note=""
        )

    Served(home, "borealis-claims").deployed("v7", ago(days=60)).daily(
        *[20] * 17, 19, until=ago(hours=3), latency_s=1.93
    )
    Served(home, "banking-77", target="llama-cpp").deployed("v1", ago(days=16)).daily(
        *[20, 20, 20, 20, 19, 20, 20, 20], until=ago(days=3)
    )
    Served(home, "delta-forms", target="vllm").deployed("v12", ago(days=90)).daily(
        *[20] * 30, until=ago(minutes=40)
    )
    Served(home, "east-contracts", target="llama-cpp").deployed("v2", ago(days=9)).daily(
        *[20] * 9, until=ago(hours=4), latency_s=0.084
    )
    Served(home, "foxtrot-mail").deployed("v1", ago(minutes=12))
    Served(home, "gulf-invoices").deployed("v4", ago(days=9)).daily(
        20, 20, 20, 20, until=ago(hours=5)
    ).checked(
        ago(hours=1),
        0,
        state="unknown",
        answers=[],
        failures=[],
        latency_s=None,
        drift=None,
        reasons=["http://127.0.0.1:11434 did not answer within 10 s."],
    )
    Served(home, "harbour-old").deployed("v3", ago(days=200)).deployed(
        "v3", ago(days=20), "stopped", reason="contract ended"
    )
    story.engagement(home, "Iris draft")


def _miss(number: int) -> dict[str, Any]:
    return {
        "id": f"anchor-{number:02d}",
        "expected": json.dumps(EXPECTED),
        "actual": json.dumps(WRONG[number % 2]),
        "finish_reason": "stop",
    }
