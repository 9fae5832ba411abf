"""One loaded model in a process of its own: JSON lines in, JSON lines out.

Ollama v0.33.0-rc2, llm/llama_server.go: a llama-server for each model, asked to complete a prompt
with the prompt cache on. Here llama.cpp is called directly.
"""

import argparse
import codecs
import ctypes
import json
import os
import random
import select
import time
from collections.abc import Iterator, Sequence
from typing import IO, Any

import llama_cpp
from llama_cpp.llama_grammar import JSON_GBNF, json_schema_to_gbnf

_PIECE = 512
"""Bytes that a token's text may have; longer ones are special tokens, which are not shown."""
_REPEATS = 30
"""Equal pieces in a row after which Completion gives up (llama_server.go tokenRepeat)."""


class _Unbuffered:
    """Lines of a file descriptor, read byte by byte so that nothing waits where `select` is blind.

    Requests are a few kilobytes and a token takes milliseconds: the cost does not show.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def fileno(self) -> int:
        return self._descriptor

    def readline(self) -> str:
        """Return a line, empty at the end."""
        line = bytearray()
        while not line.endswith(b"\n"):
            byte = os.read(self._descriptor, 1)
            if not byte:
                break
            line += byte
        return line.decode()


class Engine:
    """A model and the operations on it."""

    def __init__(self, options: argparse.Namespace, requests: _Unbuffered) -> None:
        self._requests = requests
        self._room: int = options.n_ctx
        # Half the cores: threads that wait for one another are slow beside other work.
        threads = options.threads or max((os.cpu_count() or 1) // 2, 1)
        self._llama: Any = llama_cpp.Llama(
            options.model,
            n_ctx=options.n_ctx,
            n_batch=options.n_batch,
            n_ubatch=options.n_batch,
            n_threads=threads,
            n_threads_batch=threads,
            lora_path=options.lora or None,
            embedding=options.embedding,
            verbose=False,
        )
        self._vocab = llama_cpp.llama_model_get_vocab(self._llama.model)

    def tokenize(self, request: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Give the token ids of a text, without a beginning-of-sequence token."""
        yield {"done": True, "tokens": self._tokens(request["text"], special=False)}

    def detokenize(self, request: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Give the text of tokens."""
        text = self._llama.detokenize(request["tokens"], special=True)
        yield {"done": True, "text": text.decode("utf-8", "replace")}

    def embed(self, request: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Give the vector of as much of a text as one batch takes.

        It is the last token's where the model pools nothing.
        """
        vector = self._llama.embed(request["text"], normalize=False, truncate=True)
        if isinstance(vector[0], list):
            vector = vector[-1]
        count = min(len(self._tokens(request["text"])), self._llama.n_batch)
        yield {"done": True, "vector": vector, "tokens": count}

    def complete(self, request: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Give the pieces of an answer, then why and after how many tokens it ended."""
        options = request["options"]
        tokens = self._fitted(self._tokens(request["prompt"]), int(options["num_keep"]))
        begun = time.monotonic_ns()
        answer = _Answer(options["stop"], guarded=bool(request["guarded"]))
        reason, count, first = "stop", 0, 0
        limit = options["num_predict"]
        limit = min(limit if limit > 0 else 10 * self._room, self._room - len(tokens))
        for token in self._generate(tokens, options, request["grammar"]):
            first = first or time.monotonic_ns()
            if llama_cpp.llama_vocab_is_eog(self._vocab, token):
                break
            count += 1
            text = answer.add(self._piece(token))
            if text:
                yield {"text": text}
            if answer.stopped or answer.repeating or self._told_to_stop():
                break
            if count >= limit:
                reason = "length"
                break
        if answer.repeating:
            yield {"done": True, "repeating": True}
            return
        ended = time.monotonic_ns()
        yield {
            "done": True,
            "text": answer.rest(),
            "reason": reason,
            "prompt_eval_count": len(tokens),
            "prompt_eval_duration": (first or ended) - begun,
            "eval_count": count,
            "eval_duration": ended - (first or ended),
        }

    def _tokens(self, text: str, *, special: bool = True) -> list[int]:
        bos = special and llama_cpp.llama_vocab_get_add_bos(self._vocab)
        return list(self._llama.tokenize(text.encode(), add_bos=bos, special=True))

    def _piece(self, token: int) -> bytes:
        buffer = ctypes.create_string_buffer(_PIECE)
        size = llama_cpp.llama_token_to_piece(self._vocab, token, buffer, _PIECE, 0, False)
        return buffer.raw[: max(size, 0)]

    def _fitted(self, tokens: list[int], keep: int) -> list[int]:
        """Cut a prompt that leaves no room: its beginning and its end stay."""
        if len(tokens) < self._room:
            return tokens
        keep = max(0, min(keep, self._room - 1))
        left = self._room - max((self._room - keep) // 2, 1)
        return tokens[:keep] + tokens[len(tokens) - (left - keep) :]

    def _generate(self, tokens: list[int], options: dict[str, Any], grammar: Any) -> Iterator[int]:
        seed = options["seed"]
        self._llama.set_seed(seed if seed >= 0 else random.getrandbits(32))
        yield from self._llama.generate(
            tokens,
            temp=options["temperature"],
            top_k=options["top_k"],
            top_p=options["top_p"],
            min_p=options["min_p"],
            typical_p=options["typical_p"],
            repeat_penalty=options["repeat_penalty"],
            presence_penalty=options["presence_penalty"],
            frequency_penalty=options["frequency_penalty"],
            grammar=_grammar(grammar),
        )

    def _told_to_stop(self) -> bool:
        ready, _, _ = select.select([self._requests], [], [], 0)
        return bool(ready) and self._requests.readline().strip() in ("", "stop")


class _Answer:
    """Text as it grows: whole characters, and nothing that may become a stop text."""

    def __init__(self, stops: Sequence[str], *, guarded: bool) -> None:
        self._stops = [stop for stop in stops if stop]
        self._guarded = guarded
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""
        self._last, self._times = "", 0
        self.stopped = False

    @property
    def repeating(self) -> bool:
        return self._guarded and self._times > _REPEATS

    def add(self, piece: bytes) -> str:
        """Take a token's bytes and return the text that is certain now."""
        text = self._decoder.decode(piece)
        same = text.strip() == self._last
        self._last, self._times = text.strip(), self._times + 1 if same else 0
        self._held += text
        found = [self._held.find(stop) for stop in self._stops if stop in self._held]
        if found:
            self.stopped = True
            self._held, told = "", self._held[: min(found)]
            return told
        keep = max((_overlap(self._held, stop) for stop in self._stops), default=0)
        told, self._held = (
            self._held[: len(self._held) - keep],
            self._held[len(self._held) - keep :],
        )
        return told

    def rest(self) -> str:
        return "" if self.stopped else self._held


def _overlap(text: str, stop: str) -> int:
    """Return how many characters at the end of a text begin a stop text."""
    sizes = range(min(len(text), len(stop) - 1), 0, -1)
    return next((size for size in sizes if text.endswith(stop[:size])), 0)


def _grammar(wanted: Any) -> Any:
    if wanted is None:
        return None
    source = JSON_GBNF if wanted == "json" else json_schema_to_gbnf(json.dumps(wanted))
    return llama_cpp.LlamaGrammar.from_string(source, verbose=False)


def main() -> None:
    """Load a model, say so, and answer requests until stdin closes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("--n-ctx", type=int, required=True)
    parser.add_argument("--n-batch", type=int, required=True)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--lora", default="")
    parser.add_argument("--embedding", action="store_true")
    # Whatever llama.cpp prints goes to stderr: stdout is for answers.
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    # Unbuffered, because `select` sees only what Python has not read yet.
    lines = _Unbuffered(0)
    engine = Engine(parser.parse_args(), lines)
    _tell(out, {"done": True})
    while line := lines.readline():
        if line.strip() in ("", "stop"):
            continue  # came after the answer had ended
        request = json.loads(line)
        try:
            for answer in getattr(engine, request["op"])(request):
                _tell(out, answer)
        except (ValueError, RuntimeError, KeyError) as error:
            _tell(out, {"done": True, "error": str(error)})


def _tell(out: IO[str], answer: dict[str, Any]) -> None:
    out.write(json.dumps(answer) + "\n")
    out.flush()


if __name__ == "__main__":
    main()
