"""Greedy answers from a GGUF through llama.cpp, constrained to a contract and free, in one pass.

Greedy decoding under a grammar takes the best token the grammar allows. As long as that is also
the best token of all, the constrained and the free answer are one; where they part, the free
branch goes on alone from there. Text that the contract forces is proposed ahead and checked in
one batch, token by token against the same rule, so the answer is that of decoding one token at a
time; only the time differs (12 ms a token alone, under 4 ms in a batch of eight, on two cores).

Equal up to rounding: llama.cpp adds up a batch in another order than a single token. Measured on
SmolLM2-135M, the lead of the best token over the next moves by at most 0.02 in f16 and 0.6 in
Q4_K_M (whose activations are rounded to 8 bit), so only a near tie can fall the other way. The
same holds between this engine and a server; `Answer.margin` says how near the nearest tie was.

Several prompts are answered side by side, each in a sequence of its own over a shared prefix: a
decode is bound by reading the weights, so a batch of eight single tokens costs as much as two.

Only ever used in a child process: llama.cpp ends the process on some broken files.
"""

import codecs
import ctypes
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from fathom_tui.contract import Contract
from fathom_tui.errors import EnvironmentProblem, UsageError

_BATCH = 512
_SIDE_BY_SIDE = 8
"""Prompts answered at once; more gain little where two cores decode."""
_TOP = 1024
_TOKEN_DATA = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the model said to one prompt."""

    constrained: str
    """The greedy answer among those the contract allows."""
    free: str
    """The greedy answer without constraint, cut where it could no longer be valid."""
    free_stopped: bool
    """Whether the free answer ended by itself, with the model's stop token."""
    tokens: int
    """Tokens of the constrained answer."""
    margin: float
    """Smallest lead in the constrained answer, its end included: the logit of the token taken
    minus that of the best other one; negative where the contract overruled the model."""


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What an answer under way needs next: logits after the last tokens of a sequence."""

    tokens: list[int]
    """The whole sequence, from the prompt's first token on."""
    last: int = 1
    """How many of its last tokens logits are wanted after."""


_Rows = NDArray[np.float32]
_Steps = Generator[_Wanted, _Rows, Answer]


class Engine:
    """A GGUF held in memory for greedy decoding."""

    def __init__(self, path: Path, *, n_ctx: int, threads: int) -> None:
        """Load a model.

        Args:
            path: The GGUF.
            n_ctx: Tokens of context, prompt and answer together.
            threads: Threads for decoding.

        Raises:
            EnvironmentProblem: llama.cpp is not installed or refuses the file.
        """
        # For the weights and the vocabulary; its own context knows one sequence only.
        self._llama = open_model(path, n_ctx=_BATCH, n_batch=_BATCH, threads=threads)
        llama_cpp = self._api = installed()
        self._ctx = _context(self._llama, n_ctx)
        self._vocab = llama_cpp.llama_model_get_vocab(self._llama.model)
        self._n_vocab: int = llama_cpp.llama_vocab_n_tokens(self._vocab)
        self._n_ctx = n_ctx
        self._batch = llama_cpp.llama_batch_init(_BATCH, 0, 1)
        self._held: list[list[int]] = [[] for _ in range(_SIDE_BY_SIDE)]
        """Tokens that each sequence of the context holds."""
        self._candidates = np.zeros(self._n_vocab, dtype=_TOKEN_DATA)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the memory back; the engine cannot be used any more."""
        self._api.llama_batch_free(self._batch)
        self._api.llama_free(self._ctx)
        self._llama.close()

    def tokenize(self, text: str, *, special: bool = True) -> list[int]:
        """Return the token ids of a text.

        Args:
            text: A rendered prompt, or an answer.
            special: Whether text that spells a special token becomes that token.
        """
        return list(self._llama.tokenize(text.encode(), add_bos=False, special=special))

    def answer(
        self,
        prompt: Sequence[int],
        contract: Contract,
        *,
        max_tokens: int,
        free: bool = True,
        drafts: bool = True,
    ) -> Answer:
        """Answer one prompt greedily, constrained and free.

        Args:
            prompt: Token ids; the part shared with the previous prompt is not computed again.
            contract: What answers are allowed.
            max_tokens: Limit of each answer.
            free: Whether to follow the free branch where it leaves the constrained one.
            drafts: Whether forced text is proposed ahead; off, every token is decoded alone.

        Raises:
            UsageError: The prompt and the answer do not fit into the context.
            EnvironmentProblem: The model's output is not a number, or no token it has can go on.
        """
        ((_, answer),) = self.answers(
            [prompt], contract, max_tokens=max_tokens, free=free, drafts=drafts
        )
        return answer

    def answers(
        self,
        prompts: Sequence[Sequence[int]],
        contract: Contract,
        *,
        max_tokens: int,
        free: bool = True,
        drafts: bool = True,
    ) -> Iterator[tuple[int, Answer]]:
        """Answer prompts side by side; yield each one's place and answer as soon as it is there.

        Args:
            prompts: Token ids of each; what all begin with is computed once.
            contract: What answers are allowed.
            max_tokens: Limit of each answer.
            free: Whether to follow the free branch where it leaves the constrained one.
            drafts: Whether forced text is proposed ahead; off, every token is decoded alone.

        Raises:
            UsageError: A prompt and its answer do not fit into the context.
            EnvironmentProblem: The model's output is not a number, or no token it has can go on.
        """
        for prompt in prompts:
            self._require_room(len(prompt), max_tokens)
        slots = self._share(prompts, max_tokens)
        waiting = iter(enumerate(prompts))
        under_way: dict[int, tuple[int, _Steps, _Wanted]] = {}
        while True:
            for slot in range(slots):
                if slot not in under_way and (following := next(waiting, None)) is not None:
                    index, prompt = following
                    steps = self._steps(prompt, contract, max_tokens, free=free, drafts=drafts)
                    under_way[slot] = index, steps, next(steps)
            if not under_way:
                return
            asked = [(slot, wanted) for slot, (_, _, wanted) in under_way.items()]
            for (slot, _), rows in zip(asked, self._decode_all(asked), strict=True):
                index, steps, _ = under_way[slot]
                try:
                    under_way[slot] = index, steps, steps.send(rows)
                except StopIteration as ended:
                    del under_way[slot]
                    yield index, ended.value

    def _share(self, prompts: Sequence[Sequence[int]], max_tokens: int) -> int:
        """Put what all prompts begin with into as many sequences as have room; return how many."""
        self._empty(range(1, _SIDE_BY_SIDE))
        if len(prompts) < 2:
            return 1
        shared = min(_same(prompts[0], prompt) for prompt in prompts[1:])
        shared = min(shared, *(len(prompt) - 1 for prompt in prompts))
        rest = max(len(prompt) for prompt in prompts) - shared + max_tokens
        slots = max(1, min(_SIDE_BY_SIDE, len(prompts), (self._n_ctx - shared) // rest))
        if shared:
            prefix = list(prompts[0][:shared])
            self._decode_all([(0, _Wanted(prefix))])
            memory = self._api.llama_get_memory(self._ctx)
            for slot in range(1, slots):
                self._api.llama_memory_seq_cp(memory, 0, slot, 0, -1)
                self._held[slot] = list(prefix)
        return slots

    def _empty(self, slots: Iterable[int]) -> None:
        """Forget what sequences hold: it would take the room of others."""
        memory = self._api.llama_get_memory(self._ctx)
        for slot in slots:
            if self._held[slot]:
                self._api.llama_memory_seq_rm(memory, slot, 0, -1)
                self._held[slot] = []

    def _steps(
        self,
        prompt: Sequence[int],
        contract: Contract,
        max_tokens: int,
        *,
        free: bool,
        drafts: bool,
    ) -> _Steps:
        walk = _Walk(self, contract, list(prompt), max_tokens=max_tokens, drafts=drafts)
        try:
            split_at, first_free = yield from walk.run()
        finally:
            walk.close()
        constrained = self._text(walk.tokens)
        if split_at is None:
            free_text, stopped = constrained, walk.stopped
        elif free:
            kept = walk.tokens[:split_at]
            free_text, stopped = yield from self._run_free(
                prompt, kept, first_free, contract, max_tokens
            )
        else:
            free_text, stopped = "", False
        return Answer(
            constrained=constrained,
            free=free_text,
            free_stopped=stopped,
            tokens=len(walk.tokens),
            margin=walk.margin,
        )

    def lead(self, prompt: Sequence[int], answer: Sequence[int]) -> float:
        """Return the least lead, in logits, of an answer's tokens over every other token.

        Negative where another token is better: greedy decoding would leave the answer there.

        Args:
            prompt: Token ids.
            answer: Token ids after it, with the stop token.

        Raises:
            UsageError: Prompt and answer do not fit into the context.
            EnvironmentProblem: The model's output is not a number.
        """
        return float(self.leads(prompt, answer).min())

    def leads(self, prompt: Sequence[int], answer: Sequence[int]) -> NDArray[np.float64]:
        """Return the lead, in logits, of each of an answer's tokens over the best other one.

        Args:
            prompt: Token ids.
            answer: Token ids after it; what comes before each token is the answer's own.

        Raises:
            UsageError: Prompt and answer do not fit into the context.
            EnvironmentProblem: The model's output is not a number.
        """
        self._require_room(len(prompt), len(answer))
        rows = np.atleast_2d(self._feed([*prompt, *answer[:-1]], last=len(answer)))
        for row in rows:
            _best(row)  # says so where the output is not a number
        return np.array([_lead(row, token) for row, token in zip(rows, answer, strict=True)])

    def greedy(self, prompt: Sequence[int], *, max_tokens: int) -> list[int]:
        """Return the greedy answer without constraint; the end token is the last where it ended.

        Raises:
            UsageError: Prompt and answer do not fit into the context.
            EnvironmentProblem: The model's output is not a number.
        """
        self._require_room(len(prompt), max_tokens)
        tokens: list[int] = []
        while len(tokens) < max_tokens and not (tokens and self.is_end(tokens[-1])):
            tokens.append(_best(self._feed([*prompt, *tokens])))
        return tokens

    def text(self, tokens: Sequence[int]) -> str:
        """Return the text of an answer's tokens."""
        return self._text(tokens)

    def _require_room(self, prompt: int, answer: int) -> None:
        if prompt + answer > self._n_ctx:
            raise UsageError(
                f"A prompt of {prompt} tokens and an answer of {answer} do not fit into "
                f"{self._n_ctx} tokens of context.",
                fix="Shorten the instruction, use fewer shots or raise max_length.",
            )

    def is_end(self, token: int) -> bool:
        """Say whether a token ends generation."""
        return bool(self._api.llama_vocab_is_eog(self._vocab, token))

    def _run_free(
        self,
        prompt: Sequence[int],
        kept: list[int],
        token: int,
        contract: Contract,
        max_tokens: int,
    ) -> Generator[_Wanted, _Rows, tuple[str, bool]]:
        tokens = list(kept)
        while not self.is_end(token):
            tokens.append(token)
            begun = self._begun_text(tokens)
            if len(tokens) >= max_tokens or not contract.may_become_valid(begun):
                return self._text(tokens), False
            rows = yield _Wanted([*prompt, *tokens])
            token = _best(rows[0])
        return self._text(tokens), True

    def _bytes(self, tokens: Sequence[int]) -> bytes:
        return bytes(self._llama.detokenize(list(tokens)))

    def _text(self, tokens: Sequence[int]) -> str:
        return self._bytes(tokens).decode("utf-8", errors="replace")

    def _begun_text(self, tokens: Sequence[int]) -> str:
        # A letter such as é may be two tokens: half of it is not a wrong letter yet.
        return codecs.getincrementaldecoder("utf-8")("replace").decode(self._bytes(tokens))

    def _feed(self, tokens: Sequence[int], *, last: int = 1) -> _Rows:
        """Make the first sequence hold exactly `tokens`; return logits after the last ones.

        Returns:
            Shape (vocabulary,) for `last` = 1, else (last, vocabulary).
        """
        self._empty(range(1, _SIDE_BY_SIDE))
        (rows,) = self._decode_all([(0, _Wanted(list(tokens), last))])
        return rows[0] if last == 1 else rows

    def _decode_all(self, asked: Sequence[tuple[int, _Wanted]]) -> list[_Rows]:
        """Make each sequence named hold exactly the tokens wanted, all in as few batches as fit.

        Returns:
            For each its logits, shape (last, vocabulary).
        """
        entries = [
            (slot, place, wanted.tokens[place], len(wanted.tokens) - wanted.last <= place)
            for slot, wanted in asked
            for place in range(self._keep_same(slot, wanted), len(wanted.tokens))
        ]
        rows: dict[int, list[NDArray[np.float32]]] = {slot: [] for slot, _ in asked}
        for start in range(0, len(entries), _BATCH):
            self._decode(entries[start : start + _BATCH], rows)
        for slot, wanted in asked:
            self._held[slot] = list(wanted.tokens)
        return [np.stack(rows[slot]) for slot, _ in asked]

    def _keep_same(self, slot: int, wanted: _Wanted) -> int:
        """Forget what a sequence holds beyond its part of the tokens; return that part's length."""
        held = self._held[slot]
        same = min(_same(held, wanted.tokens), len(wanted.tokens) - wanted.last)
        memory = self._api.llama_get_memory(self._ctx)
        if not self._api.llama_memory_seq_rm(memory, slot, same, -1):
            # Recurrent models cannot forget a part.
            self._api.llama_memory_seq_rm(memory, slot, 0, -1)
            same = 0
        self._held[slot] = list(wanted.tokens[:same])
        return same

    def _decode(
        self,
        entries: Sequence[tuple[int, int, int, bool]],
        rows: dict[int, list[NDArray[np.float32]]],
    ) -> None:
        """Decode (sequence, position, token, whether logits are wanted) and add to the rows."""
        batch = self._batch
        batch.n_tokens = len(entries)
        for index, (slot, place, token, wants) in enumerate(entries):
            batch.token[index] = token
            batch.pos[index] = place
            batch.n_seq_id[index] = 1
            batch.seq_id[index][0] = slot
            batch.logits[index] = wants
        code = self._api.llama_decode(self._ctx, batch)
        if code != 0:
            raise EnvironmentProblem(
                f"llama.cpp could not decode {len(entries)} tokens (code {code}).",
                fix="Free some memory, or lower max_length.",
            )
        for index, (slot, _, _, wants) in enumerate(entries):
            if wants:
                rows[slot].append(self._logits(index))

    def _logits(self, index: int) -> NDArray[np.float32]:
        pointer = self._api.llama_get_logits_ith(self._ctx, index)
        view = np.ctypeslib.as_array(pointer, shape=(self._n_vocab,))
        return np.array(view, dtype=np.float32)


class _Walk:
    """One constrained answer under way: the grammar's state and the tokens so far."""

    def __init__(
        self,
        engine: Engine,
        contract: Contract,
        prompt: list[int],
        *,
        max_tokens: int,
        drafts: bool,
    ) -> None:
        self._engine = engine
        self._contract = contract
        self._prompt = prompt
        self._max_tokens = max_tokens
        self._drafts = drafts
        self._api = engine._api
        self._grammar = self._api.llama_sampler_init_grammar(
            engine._vocab, contract.grammar().encode(), b"root"
        )
        if not self._grammar:
            raise UsageError(
                "llama.cpp cannot read the grammar of this contract:\n" + contract.grammar(),
                fix="Use labels of printable characters.",
            )
        self.tokens: list[int] = []
        self.stopped = False
        self.margin = float("inf")

    def close(self) -> None:
        self._api.llama_sampler_free(self._grammar)

    def run(self) -> Generator[_Wanted, _Rows, tuple[int | None, int]]:
        """Decode to the end; return where the free answer parted (or None) and its token there."""
        parted: int | None = None
        first_free = -1
        logits = (yield _Wanted(self._prompt))[0]
        while True:
            best, token = self._choose(logits)
            self.margin = min(self.margin, _lead(logits, token))
            if token != best and parted is None:
                parted, first_free = len(self.tokens), best
            if self._engine.is_end(token):
                self.stopped = True
                return parted, first_free
            self._accept(token)
            if len(self.tokens) >= self._max_tokens:
                return parted, first_free
            draft = self._draft()
            rows = yield _Wanted([*self._prompt, *self.tokens, *draft], len(draft) + 1)
            logits, parted, first_free = self._check(draft, rows, parted, first_free)

    def _check(
        self, draft: list[int], rows: _Rows, parted: int | None, first_free: int
    ) -> tuple[NDArray[np.float32], int | None, int]:
        """Accept what was proposed as far as it holds; return the logits to go on from."""
        for row, proposed in zip(rows, draft, strict=False):
            best, token = self._choose(row)
            if token != proposed:
                return row, parted, first_free
            self.margin = min(self.margin, _lead(row, token))
            if token != best and parted is None:
                parted, first_free = len(self.tokens), best
            self._accept(token)
        return rows[-1], parted, first_free

    def _choose(self, logits: NDArray[np.float32]) -> tuple[int, int]:
        """Return the best token of all and the best that the contract allows."""
        best = _best(logits)
        return best, best if self._allows(best) else self._best_allowed(logits)

    def _draft(self) -> list[int]:
        # The last token allowed is left to `run`, which ends there.
        room = self._max_tokens - len(self.tokens) - 1
        if not self._drafts or room < 1:
            return []
        text = self._engine._begun_text(self.tokens)
        forced = self._contract.forced_after(text)
        if not forced:
            return []
        whole = self._engine.tokenize(text + forced, special=False)
        # A model may have spelt its answer with other tokens than the tokenizer would.
        if whole[: len(self.tokens)] == self.tokens:
            return whole[len(self.tokens) :][:room]
        return self._engine.tokenize(forced, special=False)[:room]

    def _accept(self, token: int) -> None:
        self._api.llama_sampler_accept(self._grammar, token)
        self.tokens.append(token)

    def _allows(self, token: int) -> bool:
        one = np.zeros(1, dtype=_TOKEN_DATA)
        one["id"] = token
        self._apply(one)
        return bool(np.isfinite(one["logit"][0]))

    def _best_allowed(self, logits: NDArray[np.float32]) -> int:
        # The best allowed token is usually near the top, and the grammar costs 4.5 ms for a
        # vocabulary of 49,000: ask it about the top first; if one is allowed there, it is the best.
        top = np.argpartition(logits, -_TOP)[-_TOP:] if len(logits) > _TOP else None
        if top is not None:
            few = np.zeros(_TOP, dtype=_TOKEN_DATA)
            few["id"], few["logit"] = top, logits[top]
            self._apply(few)
            if np.isfinite(few["logit"]).any():
                return int(few["id"][few["logit"].argmax()])
        candidates = self._engine._candidates
        candidates["id"] = np.arange(len(candidates))
        candidates["logit"] = logits
        self._apply(candidates)
        place = int(candidates["logit"].argmax())
        if not np.isfinite(candidates["logit"][place]):
            raise EnvironmentProblem(
                "No token of the model can go on after "
                f"{self._engine._text(self.tokens)!r} as the contract asks.",
                fix="Use labels that the model's vocabulary can spell.",
            )
        return int(candidates["id"][place])

    def _apply(self, candidates: NDArray[Any]) -> None:
        pointer = candidates.ctypes.data_as(ctypes.POINTER(self._api.llama_token_data))
        array = self._api.llama_token_data_array(
            data=pointer, size=len(candidates), selected=-1, sorted=False
        )
        self._api.llama_sampler_apply(self._grammar, ctypes.byref(array))


def _context(llama: Any, n_ctx: int) -> Any:
    """Return a context for several sequences over one cache, set like the model's own."""
    api = installed()
    settings = api.llama_context_params.from_buffer_copy(llama.context_params)
    settings.n_ctx = n_ctx
    settings.n_seq_max = _SIDE_BY_SIDE
    settings.kv_unified = True
    context = api.llama_init_from_model(llama.model, settings)
    if not context:
        raise EnvironmentProblem(
            f"llama.cpp has no room for {n_ctx} tokens of context.",
            fix="Free some memory, or lower max_length.",
        )
    return context


def open_model(path: Path, *, n_ctx: int, n_batch: int, threads: int, **settings: Any) -> Any:
    """Load a GGUF with llama-cpp-python, as every stage that scores does.

    Args:
        path: The GGUF.
        n_ctx: Tokens of context.
        n_batch: Most tokens decoded at once.
        threads: Threads for decoding.
        settings: Further settings of `llama_cpp.Llama`.

    Raises:
        EnvironmentProblem: llama.cpp is not installed or refuses the file.
    """
    try:
        return installed().Llama(
            str(path),
            n_ctx=n_ctx,
            n_batch=n_batch,
            n_threads=threads,
            n_threads_batch=threads,
            # Off, because with it the batch layout moves perplexity by 0.2 % (measured).
            flash_attn=False,
            verbose=False,
            **settings,
        )
    except (ValueError, RuntimeError) as error:
        raise EnvironmentProblem(
            f"llama.cpp cannot load {path}: {error}", fix="Export the model again."
        ) from error


def installed() -> Any:
    """Return the module `llama_cpp`.

    Raises:
        EnvironmentProblem: It is not installed.
    """
    try:
        import llama_cpp
    except ImportError as error:
        raise EnvironmentProblem(
            f"Scoring needs llama-cpp-python: {error}.",
            fix='Run: pip install "fathom-tui[serve]"',
        ) from error
    return llama_cpp


def _same(one: Sequence[int], other: Sequence[int]) -> int:
    """Return how many tokens two sequences begin with alike."""
    limit = min(len(one), len(other))
    return next((i for i in range(limit) if one[i] != other[i]), limit)


def _best(logits: NDArray[np.float32]) -> int:
    best = int(logits.argmax())
    if not np.isfinite(logits[best]):  # argmax finds a NaN wherever there is one
        raise EnvironmentProblem(
            f"The model's output is {logits[best]}, not a number: its weights are broken.",
            fix="Train again with a lower learning_rate, then export the model again.",
        )
    return best


def _lead(logits: NDArray[np.float32], token: int) -> float:
    """Return the logit of a token minus that of the best other one."""
    taken = float(logits[token])
    logits[token] = -np.inf
    best_other = float(logits.max())
    logits[token] = taken
    return taken - best_other
