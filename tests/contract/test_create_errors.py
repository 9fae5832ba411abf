"""What create refuses, and how: as a status, or as a line after 200 (server/create.go)."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.contract.client import Api
from tests.contract.files import write_small

ABSENT = "sha256:" + "0" * 64
_Request = Callable[["Files"], dict[str, Any]]


class Files:
    """Blobs to create from, uploaded when asked for."""

    def __init__(self, api: Api, small: Path, smollm2: Path, folder: Path) -> None:
        self._api, self._small, self._smollm2, self._folder = api, small, smollm2, folder

    @property
    def good(self) -> str:
        return self._api.upload(self._small.read_bytes())

    @property
    def text(self) -> str:
        return self._api.upload(b"this is no GGUF at all. " * 64)

    def cut(self, share: float) -> str:
        content = self._small.read_bytes()
        return self._api.upload(content[: int(len(content) * share)])

    @property
    def foreign(self) -> str:
        path = write_small(self._folder / "foreign.gguf", architecture="fathom-contract")
        return self._api.upload(path.read_bytes())

    @property
    def quantised(self) -> str:
        return self._api.upload(self._smollm2.read_bytes())


@dataclass(frozen=True, slots=True)
class Case:
    """A request that is refused."""

    what: str
    request: _Request
    status: int
    """Before the first byte; with `stream: false` always."""
    pattern: str
    in_stream: bool = False
    """Whether a status line comes first, so that a stream answers 200."""
    since: tuple[int, int, int] = (0, 5, 7)


CASES = [
    Case(
        "no name",
        lambda f: {"model": "", "files": {"m.gguf": f.good}},
        400,
        "invalid model name",
    ),
    Case(
        "a bad name",
        lambda f: {"model": "fathom contract", "files": {"m.gguf": f.good}},
        400,
        "invalid model name",
    ),
    Case("nothing to create from", lambda f: {}, 400, "neither 'from' or 'files' was specified"),
    Case("no files", lambda f: {"files": {}}, 400, "unknown type"),
    Case("no known type", lambda f: {"files": {"notes.txt": f.text}}, 400, "unknown type"),
    Case("an absent blob of no type", lambda f: {"files": {"m": ABSENT}}, 400, "unknown type"),
    Case(
        "an absolute path",
        lambda f: {"files": {"/m.gguf": f.good}},
        400,
        "file path must be relative",
    ),
    Case(
        "a path that leads out",
        lambda f: {"files": {"../m.gguf": f.good}},
        400,
        "file path must be relative",
    ),
    Case("an empty digest", lambda f: {"files": {"m.gguf": ""}}, 400, "invalid digest format"),
    Case(
        "a malformed digest",
        lambda f: {"files": {"m.gguf": "sha256:12"}},
        500,
        "invalid digest format",
        in_stream=True,
    ),
    Case(
        "an absent blob",
        lambda f: {"files": {"m.gguf": ABSENT}},
        500,
        "open .*sha256-0{64}: no such file or directory",
        in_stream=True,
    ),
    Case(
        "not a GGUF",
        lambda f: {"files": {"m.gguf": f.text}},
        400,
        "supplied file was not in GGUF format",
        in_stream=True,
    ),
    Case(
        "a GGUF cut in its header",
        lambda f: {"files": {"m.gguf": f.cut(0.01)}},
        500,
        ".*EOF",
        in_stream=True,
    ),
    Case(
        "a GGUF cut in its weights",
        lambda f: {"files": {"m.gguf": f.cut(0.5)}},
        500,
        r'.*EOF|tensor ".*" offset\+size \(\d+\) exceeds file size \(\d+\)',
        in_stream=True,
    ),
    Case(
        "an architecture that llama.cpp does not know",
        lambda f: {"files": {"m.gguf": f.foreign}},
        500,
        "failed to validate GGUF with llama-quantize without compatibility patches: .+",
        in_stream=True,
        since=(0, 30, 0),
    ),
    Case(
        "a type that cannot be quantised to",
        lambda f: {"files": {"m.gguf": f.good}, "quantize": "Q3_K_M"},
        500,
        "unsupported quantization type Q3_K_M - supported types are F32, F16, Q4_K_S, Q4_K_M, Q8_0",
        in_stream=True,
    ),
    Case(
        "a quantised source to quantise",
        lambda f: {"files": {"m.gguf": f.quantised}, "quantize": "Q8_0"},
        500,
        "quantization is only supported for F16, BF16 and F32 models",
        in_stream=True,
        since=(0, 7, 0),
    ),
    Case(
        "a template that Go cannot parse",
        lambda f: {"files": {"m.gguf": f.good}, "template": "{{ if .Prompt }}"},
        400,
        "template error: .+",
        in_stream=True,
    ),
    Case(
        "a model to start from that is nowhere",
        lambda f: {"from": "localhost/fathom-contract/absent:v1"},
        500,
        "pull model manifest: .+",
        in_stream=True,
    ),
    Case(
        "two adapters",
        lambda f: {
            "files": {"m.gguf": f.good},
            "adapters": {"a.gguf": f.good, "b.gguf": f.good},
        },
        400,
        "only one adapter is currently supported",
        in_stream=True,
    ),
]


@pytest.fixture
def files(api: Api, small: Path, smollm2: Path, tmp_path: Path) -> Files:
    return Files(api, small, smollm2, tmp_path)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.what)
def test_create_refuses(api: Api, name: str, files: Files, case: Case, stream: bool) -> None:
    if not api.since(*case.since):
        pytest.skip(f"not before {case.since}")
    answer = api.post("/api/create", **{"model": name, "stream": stream, **case.request(files)})

    if stream and case.in_stream:
        api.failed_in_stream(answer, case.pattern)
    else:
        api.refused(answer, case.status, case.pattern)
    assert name not in api.listed()


def test_a_failed_create_leaves_the_old_model_as_it_was(api: Api, name: str, small: Path) -> None:
    api.create(name, small, system="Old.")
    before = api.digest(name)

    api.post("/api/create", model=name, files={"m.gguf": ABSENT})

    assert api.digest(name) == before
    assert api.show(name)["system"] == "Old."


@pytest.mark.parametrize(
    "template",
    [
        "{{ range .Messages }}{{ .Content }}",
        "{{ .Prompt }}{{ end }}",
        "{{ .Prompt",
        "{{ .Prompt ]}}",
        "{{ if }}x{{ end }}",
        "{{ shout .Prompt }}",
        "{{ /* no end }}",
    ],
)
def test_a_template_that_go_cannot_parse_is_400(
    api: Api, name: str, small: Path, template: str
) -> None:
    files = {"m.gguf": api.upload(small.read_bytes())}
    answer = api.post("/api/create", model=name, files=files, template=template, stream=False)

    api.refused(answer, 400, "template error: template: .+")
