"""The serving target `vllm`: directories of 16-bit weights behind vLLM's OpenAI-compatible server.

What vLLM cannot do, and what follows from it:

- It loads weights at start: one version answers at a time, and activation is a restart. Fathom's
  unit does that; without the unit nothing can be activated.
- It serves Hugging Face directories: a version is the merged model of the run that made the GGUF.
- It takes neither a system text nor stop texts at start: clients send the system text, as they do
  for llama-cpp; `ask` adds the stop texts.
- It embeds with embedding models only, so `embed` knows nothing of a chat model.
"""

import json
import os
import re
import shutil
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fathom_tui.datasets.cases import write_private
from fathom_tui.errors import CouldNotCheck, EnvironmentProblem, NotFound, UsageError
from fathom_tui.runner.numbers import beside, next_version, number, retire
from fathom_tui.runner.systemd import Systemd
from fathom_tui.runner.vllm_api import Place, VllmApi
from fathom_tui.runner.weights import keep, merged_from
from fathom_tui.serving import Answer, ServingSpec
from fathom_tui.store.artifacts import content
from fathom_tui.store.private import make_directory
from fathom_tui.unit_file import environment_file
from fathom_tui.units import ServerUnit, server_name

FIRST_PORT = 8000
"""vLLM's own default; each further engagement on a machine takes the next one that is free."""
_READY_S = 900.0
"""Longest start: 140 GB of weights from a slow disk (200 MB/s) take 700 s."""


class VllmTarget:
    """One engagement's merged models, and the vLLM server that its unit runs."""

    name = "vllm"
    asks_any_version = False
    """One server, one model: another version answers only once it is live."""

    def __init__(
        self,
        root: Path,
        alias: str,
        *,
        environment: Mapping[str, str] = os.environ,
        ready_s: float = _READY_S,
    ) -> None:
        """Use a serving folder; it need not exist.

        Args:
            root: The engagement's serving folder.
            alias: What clients call the model.
            environment: Where systemd's user directories are looked up.
            ready_s: Longest time to wait for a version to be loaded.
        """
        self.alias = alias
        self._root = root
        self._api = VllmApi(root, alias)
        self._environment = environment
        self._ready_s = ready_s

    def prepare(self, *, scope: str, port: int) -> None:
        """Keep what the unit and the clients have to agree on: port, key and where the unit is.

        A key that is there stays: clients know it.
        """
        unit = server_name(ServerUnit(slug=self.alias, target="vllm", root=str(self._root)))
        self._api.prepare(Place(scope=scope, unit=unit, port=port))

    @property
    def url(self) -> str | None:
        """Base address of the OpenAI-compatible API; None while it does not answer."""
        try:
            self._api.card()
        except CouldNotCheck:
            return None
        return f"{self._api.base}/v1"

    @property
    def versions(self) -> list[str]:
        """Versions kept, oldest first: the directories, for vLLM keeps no list."""
        found = [p.name for p in self._root.glob("v*") if p.is_dir() and number(p.name)]
        return sorted(found, key=lambda version: number(version) or 0)

    @property
    def live(self) -> str | None:
        """The version whose directory the server says it has loaded; None without a first one.

        Raises:
            CouldNotCheck: A version is to be served, and the server does not answer.
        """
        if not self._model_path.is_file():
            return None
        return Path(str(self._api.card().get("root", ""))).name or None

    def create(self, gguf: Path, spec: ServingSpec) -> str:
        """Keep the merged model that a GGUF was made from as the next version.

        Args:
            gguf: A run's quantised file, beside which the run keeps `merge/model`; or a directory
                of 16-bit weights itself.
            spec: How to serve it; `sha256` stays that of the GGUF.

        Raises:
            EnvironmentProblem: The weights are gone, or the disk has no room for them.
        """
        weights = merged_from(gguf)
        about = {"weights_sha256": content(weights).sha256}
        for version in self.versions:
            if self._kept(version, "json") == about and self._spec(version) == spec:
                return version
        make_directory(self._root)
        target = self._root / next_version(self._root)
        draft = target.with_name(f".{target.name}.part")
        keep(weights, draft)
        for suffix, data in (("json", about), ("spec.json", spec.to_json())):
            write_private(self._root / f"{target.name}.{suffix}", json.dumps(data).encode())
        draft.rename(target)
        return target.name

    def activate(self, version: str) -> None:
        """Have the unit start with this version and wait until the server says it has loaded it.

        Raises:
            NotFound: There is no such version.
            EnvironmentProblem: No unit runs vLLM, or the version does not come up.
        """
        self._known(version)
        before = self._model_path.read_text("utf-8") if self._model_path.is_file() else None
        place = self._api.place
        spec = self._spec(version)
        if spec is None:
            raise EnvironmentProblem(
                f"Nothing says with how much context {self.alias} {version} is served.",
                fix="Run the engagement again; the version it makes carries its settings.",
            )
        model = environment_file(
            [
                ("FATHOM_VLLM_MODEL", str(self._root / version)),
                ("FATHOM_VLLM_PORT", str(place.port)),
                ("FATHOM_VLLM_CONTEXT", str(spec.n_ctx)),
            ]
        )
        # The unit's path watches this file: the first version starts the service.
        write_private(self._model_path, model.encode())
        try:
            self._restart(place)
            self._wait_for(version, place)
        except EnvironmentProblem as error:
            if before is None:
                self._model_path.unlink(missing_ok=True)
                raise
            write_private(self._model_path, before.encode())
            self._restart(place)
            raise EnvironmentProblem(
                f"{error.message} The version before is being loaded again.", fix=error.fix
            ) from error

    def _restart(self, place: Place) -> None:
        """End the server; its unit starts it again with what the file says now."""
        systemd = Systemd(place.scope, environment=self._environment)
        (state,) = systemd.states([place.unit])
        if state.pid is None:
            if place.scope == "user":
                systemd.call("reset-failed", state.name)
                systemd.call("start", "--no-block", state.name)
            return
        try:
            # Not `systemctl restart`: this process may have no right to it, but the same account.
            os.kill(state.pid, signal.SIGTERM)
        except ProcessLookupError:
            return
        except PermissionError as error:
            raise EnvironmentProblem(
                f"{state.name} runs as another account and cannot be restarted from here.",
                fix=systemd.how("restart", state.name),
            ) from error

    def _wait_for(self, version: str, place: Place) -> None:
        systemd = Systemd(place.scope, environment=self._environment)
        deadline = time.monotonic() + self._ready_s
        while time.monotonic() < deadline:
            try:
                if self.live == version:
                    return
            except CouldNotCheck:
                (state,) = systemd.states([place.unit])
                if state.active == "failed":
                    break
            time.sleep(0.2)
        raise EnvironmentProblem(
            f"vLLM did not come up with {self.alias} {version}.",
            fix="fathom runner logs" + (" --system" if place.scope == "system" else ""),
        )

    def ask(
        self, messages: Sequence[Mapping[str, str]], *, max_tokens: int, version: str | None = None
    ) -> Answer:
        """Answer greedily.

        Raises:
            CouldNotCheck: The server does not answer, answers with an error, or serves another
                version than the one named.
        """
        live = self.live
        if live is None or version not in (None, live):
            raise CouldNotCheck(
                f"vLLM serves {live or 'no version'} of {self.alias}, not {version or 'any'}.",
                fix="Make it live first: vLLM loads one version at a time.",
            )
        body: dict[str, Any] = {
            "model": self.alias,
            "messages": [dict(message) for message in messages],
            "temperature": 0.0,
            "max_tokens": max_tokens,
            "seed": 0,
        }
        spec = self._spec(live)
        if spec is not None and spec.stop:
            body["stop"] = list(spec.stop)
        begun = time.perf_counter()
        data = self._api.call("/v1/chat/completions", body)
        try:
            choice, usage = data["choices"][0], data.get("usage") or {}
            return Answer(
                text=str(choice["message"]["content"] or ""),
                finish_reason=str(choice["finish_reason"]),
                prompt_tokens=usage.get("prompt_tokens"),
                output_tokens=usage.get("completion_tokens"),
                seconds=time.perf_counter() - begun,
            )
        except (KeyError, IndexError, TypeError) as error:
            raise self._api.silent(f"an answer without {error}") from error

    def render(self, messages: Sequence[Mapping[str, str]], *, version: str) -> str | None:
        """Return the prompt as vLLM renders it, through its tokens and back; of the live version.

        Raises:
            CouldNotCheck: The server does not answer.
        """
        if self.live != version:
            return None
        asked = {"model": self.alias, "messages": [dict(message) for message in messages]}
        tokens = self._api.call("/tokenize", {**asked, "add_generation_prompt": True})["tokens"]
        return str(self._api.call("/detokenize", {"model": self.alias, "tokens": tokens})["prompt"])

    def embed(self, texts: Sequence[str]) -> list[list[float]] | None:
        """Return None: vLLM embeds with embedding models only."""
        return None

    def remove(self, version: str) -> None:
        """Delete a version; its number is not given again.

        Raises:
            UsageError: It is live.
            NotFound: There is no such version.
        """
        self._known(version)
        if version in (self._to_serve(), self._loaded()):
            raise UsageError(
                f"{self.alias} {version} is live and cannot be removed.",
                fix="Make another version live first.",
            )
        retire(self._root, version)
        shutil.rmtree(self._root / version)
        for path in beside(self._root, version):
            path.unlink()

    def stop(self) -> bool:
        """Stop the unit; return whether the server answered before.

        Raises:
            EnvironmentProblem: The unit cannot be stopped from here.
        """
        place = self._api.place
        answered = self.url is not None
        Systemd(place.scope, environment=self._environment).call("stop", place.unit)
        return answered

    @property
    def _model_path(self) -> Path:
        return self._root / "vllm.env"

    def _to_serve(self) -> str | None:
        """Return the version that the unit's file names."""
        if not self._model_path.is_file():
            return None
        found = re.search(r'FATHOM_VLLM_MODEL="(.*)"', self._model_path.read_text("utf-8"))
        return Path(found[1]).name if found else None

    def _loaded(self) -> str | None:
        try:
            return self.live
        except CouldNotCheck:
            return None

    def _spec(self, version: str) -> ServingSpec | None:
        """Return how a version is to be served; None where nothing readable was kept."""
        try:
            return ServingSpec.from_json(self._kept(version, "spec.json"))
        except (KeyError, TypeError, ValueError):
            return None

    def _kept(self, version: str, suffix: str) -> dict[str, Any]:
        """Return what stands beside a version; empty when nothing readable does."""
        try:
            data = json.loads((self._root / f"{version}.{suffix}").read_text("utf-8"))
        except (OSError, ValueError):
            return {}  # never the same as a new one
        return data if isinstance(data, dict) else {}

    def _known(self, version: str) -> None:
        if version not in self.versions:
            raise NotFound(
                f"There is no version {version!r} of {self.alias}.",
                fix="Versions: " + (", ".join(self.versions) or "none"),
            )
