"""Talking to one engagement's vLLM server: where it listens, its key, and its JSON.

Sources: vLLM's `vllm serve` documentation; vllm/entrypoints/openai/models/serving.py (a card's
`root` is the model's path) and the requests /tokenize and /detokenize, as of October 2026.
"""

import json
import re
import secrets
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any

from fathom_tui.datasets.cases import write_private
from fathom_tui.errors import CouldNotCheck, EnvironmentProblem
from fathom_tui.store.private import make_directory
from fathom_tui.unit_file import environment_file

HOST = "127.0.0.1"
_PATIENCE_S = 120.0

# Straight to 127.0.0.1, whatever proxy the environment names.
_open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a server runs."""

    scope: str
    """`user` or `system`."""
    unit: str
    """The service's name."""
    port: int


class VllmApi:
    """The server of one serving folder."""

    def __init__(self, root: Path, alias: str) -> None:
        """Use a serving folder; it need not exist."""
        self._root = root
        self._alias = alias

    def prepare(self, place: Place) -> None:
        """Keep what the unit and its clients have to agree on; a key that is there stays."""
        make_directory(self._root)
        data = {"scope": place.scope, "unit": place.unit, "port": place.port}
        write_private(self._root / "vllm.json", json.dumps(data).encode())
        key = self._root / "vllm.key"
        if not key.exists():
            text = environment_file([("VLLM_API_KEY", secrets.token_urlsafe(32))])
            write_private(key, text.encode())

    @property
    def place(self) -> Place:
        """Where the server runs.

        Raises:
            EnvironmentProblem: No unit was installed for it.
        """
        try:
            data = json.loads((self._root / "vllm.json").read_text("utf-8"))
            return Place(scope=str(data["scope"]), unit=str(data["unit"]), port=int(data["port"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise EnvironmentProblem(
                f"No unit runs vLLM for {self._alias}, and Fathom starts it in no other way.",
                fix=f"fathom runner install --target vllm --engagement {self._alias}",
            ) from error

    @property
    def base(self) -> str:
        """The server's address, without a path."""
        return f"http://{HOST}:{self.place.port}"

    def card(self) -> dict[str, Any]:
        """Return what the server says of the model: `id`, `root`, `max_model_len`.

        Raises:
            CouldNotCheck: It does not answer, or has no model of that name.
        """
        models = self.call("/v1/models", None).get("data")
        for card in models if isinstance(models, list) else []:
            if isinstance(card, dict) and card.get("id") == self._alias:
                return card
        raise self.silent("it has no model of that name")

    def call(self, path: str, body: Mapping[str, Any] | None) -> dict[str, Any]:
        """Send a request, POST where there is a body, and return the answer.

        Raises:
            CouldNotCheck: No answer, an error, or something that is no JSON object.
        """
        try:
            request = urllib.request.Request(
                self.base + path,
                data=None if body is None else json.dumps(body).encode(),
                headers={"Content-Type": "application/json", **self._authorised()},
            )
            with _open(request, timeout=_PATIENCE_S) as reply:
                data = json.load(reply)
        except urllib.error.HTTPError as error:
            said = error.read(500).decode("utf-8", errors="replace")
            error.close()
            raise self.silent(f"{error.code} {said}") from error
        except (OSError, HTTPException, ValueError) as error:
            raise self.silent(str(error)) from error
        except EnvironmentProblem as error:
            raise CouldNotCheck(error.message, fix=error.fix) from error
        if not isinstance(data, dict):
            raise self.silent("no JSON object")
        return data

    def silent(self, why: str) -> CouldNotCheck:
        """Return the error that says why nothing is known."""
        return CouldNotCheck(
            f"vLLM did not answer for {self._alias}: {why}.", fix="fathom runner logs"
        )

    def _authorised(self) -> dict[str, str]:
        try:
            line = (self._root / "vllm.key").read_text("utf-8")
        except OSError:
            return {}  # the server says what it thinks of that
        found = re.search(r'VLLM_API_KEY="([^"]*)"', line)
        return {"Authorization": f"Bearer {found[1]}"} if found else {}
