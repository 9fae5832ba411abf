"""The serving target `llama-cpp`: the versions of `LlamaServer` behind the one protocol."""

import json
import time
import urllib.request
from collections.abc import Mapping, Sequence
from http.client import HTTPException
from pathlib import Path
from typing import Any

from fathom_tui.datasets.cases import write_private
from fathom_tui.errors import CouldNotCheck, EnvironmentProblem, NotFound, UsageError
from fathom_tui.runner.numbers import beside, retire
from fathom_tui.runner.server import LlamaServer, Served
from fathom_tui.serving import Answer, ServingSpec

_PATIENCE_S = 120.0
"""Longest wait for one answer."""

# Straight to 127.0.0.1, whatever proxy the environment names. urllib and not httpx: loading it
# takes 0.04 s instead of 0.15 s, a third of what a health check may cost.
_open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open


class LlamaCppTarget:
    """One engagement's versions in a folder, and one local server for the live one."""

    name = "llama-cpp"
    asks_any_version = False
    """One server, one model: another version answers only once it is live."""

    def __init__(self, root: Path, alias: str) -> None:
        """Use a serving folder; it need not exist.

        Args:
            root: The engagement's serving folder.
            alias: What clients call the model.
        """
        self.alias = alias
        self._root = root
        self._server = LlamaServer(root, alias)

    @property
    def url(self) -> str | None:
        """Base address of the server under way; None while there is none."""
        served = self._server.running()
        return served.url if served else None

    @property
    def versions(self) -> list[str]:
        """Versions kept, oldest first."""
        return self._server.versions

    @property
    def live(self) -> str | None:
        """The version that is served, or would be when the server is started."""
        # What is loaded is known of a process alone: the link may have been moved by hand since.
        served = self._server.running()
        return served.version if served else self._server.live

    def create(self, gguf: Path, spec: ServingSpec) -> str:
        """Keep a file as the next version, unless the same file and spec is one already.

        Raises:
            EnvironmentProblem: The file is missing, or the disk has no room for it.
        """
        version = self._server.create(
            gguf, spec.sha256, spec.system, same=lambda kept: self._is(kept, spec)
        )
        content = json.dumps(spec.to_json(), ensure_ascii=False).encode()
        write_private(self._spec_path(version), content)
        return version

    def _is(self, version: str, spec: ServingSpec) -> bool:
        """Say whether a version of the same file is also served in the same way."""
        kept = self.spec(version)
        if kept is None:  # made before specs were kept, or cut short just before
            return self._server.about(version).get("system") == spec.system
        return kept == spec

    def spec(self, version: str) -> ServingSpec | None:
        """Return how a version is to be served; None where that is not kept.

        Raises:
            EnvironmentProblem: What was kept is damaged.
        """
        path = self._spec_path(version)
        try:
            return ServingSpec.from_json(json.loads(path.read_text("utf-8")))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise EnvironmentProblem(
                f"{path} does not say how {version} is served: {error!r}.",
                fix="Restore the file from the delivery package, or run the engagement again.",
            ) from error

    def activate(self, version: str) -> None:
        """Move the link, restart the server and wait until it answers; else all stays as it was.

        Raises:
            NotFound: There is no such version.
            EnvironmentProblem: It does not come up, or nothing says how to serve it.
        """
        self._known(version)
        spec = self.spec(version)
        known = self._server.settings() if spec is None else spec.to_json()
        if "n_ctx" not in known or "threads" not in known:
            raise EnvironmentProblem(
                f"Nothing says with how much context {self.alias} {version} is served.",
                fix="Run the engagement again; the version it makes carries its settings.",
            )
        self._server.activate(version, n_ctx=int(known["n_ctx"]), threads=int(known["threads"]))

    def ask(
        self, messages: Sequence[Mapping[str, str]], *, max_tokens: int, version: str | None = None
    ) -> Answer:
        """Answer greedily.

        Raises:
            CouldNotCheck: The server does not answer, answers with an error, or serves another
                version than the one named.
        """
        served = self._server.running()
        if served is None:
            raise CouldNotCheck(
                f"The server of {self.alias} is not running.", fix=f"fathom serve {self.alias}"
            )
        if version not in (None, served.version):
            raise CouldNotCheck(
                f"{self.alias} serves {served.version}, not {version}.",
                fix="Make it live first: there is one server for all versions.",
            )
        return self._answer(served, messages, max_tokens)

    def _answer(
        self, served: Served, messages: Sequence[Mapping[str, str]], max_tokens: int
    ) -> Answer:
        spec = self.spec(served.version)
        body: dict[str, Any] = {
            "model": self.alias,
            "messages": [dict(message) for message in messages],
            "temperature": 0.0,
            "max_tokens": max_tokens,
            "seed": 0,
        }
        if spec is not None and spec.stop:
            body["stop"] = list(spec.stop)
        begun = time.perf_counter()
        try:
            data = _post(f"{served.url}/chat/completions", body)
            choice, usage = data["choices"][0], data.get("usage") or {}
            return Answer(
                text=str(choice["message"]["content"] or ""),
                finish_reason=str(choice["finish_reason"]),
                prompt_tokens=usage.get("prompt_tokens"),
                output_tokens=usage.get("completion_tokens"),
                seconds=time.perf_counter() - begun,
            )
        except (OSError, HTTPException, ValueError, KeyError, IndexError, TypeError) as error:
            raise CouldNotCheck(
                f"{served.url} did not answer a chat request: {error}.",
                fix=f"Look at the server: fathom serve {self.alias} --status",
            ) from error

    def render(self, messages: Sequence[Mapping[str, str]], *, version: str) -> str | None:
        """Return None: this server counts the tokens of a prompt and does not show it."""
        return None

    def embed(self, texts: Sequence[str]) -> list[list[float]] | None:
        """Return one vector of length 1 for each text, from the live version's file.

        Raises:
            CouldNotCheck: No version is live, or its file cannot be loaded.
        """
        from fathom_tui.runner.embedding import embed

        version = self.live
        if version is None:
            raise CouldNotCheck(f"No version of {self.alias} is live.", fix="Finish a run first.")
        return embed(self._root / f"{version}.gguf", texts)

    def remove(self, version: str) -> None:
        """Delete a version and what is kept beside it; its number is not given again.

        Raises:
            UsageError: It is live.
            NotFound: There is no such version.
        """
        self._known(version)
        if version in (self.live, self._server.live):
            raise UsageError(
                f"{self.alias} {version} is live and cannot be removed.",
                fix="Make another version live first.",
            )
        retire(self._root, version)
        # The model last: without the rest it is still listed, and removing it can be tried again.
        for path in beside(self._root, version):
            path.unlink()
        (self._root / f"{version}.gguf").unlink()

    def stop(self) -> bool:
        """End the server; return whether there was one."""
        return self._server.stop()

    def _spec_path(self, version: str) -> Path:
        return self._root / f"{version}.spec.json"

    def _known(self, version: str) -> None:
        if version not in self.versions:
            raise NotFound(
                f"There is no version {version!r} of {self.alias}.",
                fix="Versions: " + (", ".join(self.versions) or "none"),
            )


def _post(url: str, body: Mapping[str, Any]) -> dict[str, Any]:
    request = urllib.request.Request(
        url, data=json.dumps(body).encode(), headers={"Content-Type": "application/json"}
    )
    with _open(request, timeout=_PATIENCE_S) as reply:
        data: dict[str, Any] = json.load(reply)
        return data
