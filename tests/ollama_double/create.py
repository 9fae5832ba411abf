"""POST /api/create (Ollama v0.33.0-rc2, server/create.go)."""

import json
import os
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

from tests.ollama_double import gguf_header, names
from tests.ollama_double.answers import Call, Failure, Line
from tests.ollama_double.faults import Cut
from tests.ollama_double.gguf_header import BadGguf, Header, NotGguf
from tests.ollama_double.go_lexer import TemplateError
from tests.ollama_double.names import Name
from tests.ollama_double.rewrite import QuantizeFailed
from tests.ollama_double.server import Server
from tests.ollama_double.store import InvalidDigest, Layer
from tests.ollama_double.templates import ZEPHYR, GoTemplate, detect
from tests.ollama_double.versions import CREATE_FILES, LLAMA_SERVER

_FIELDS = {
    **dict.fromkeys(("model", "name", "from", "template", "system", "renderer"), "string"),
    **dict.fromkeys(("parser", "requires", "quantize", "quantization"), "string"),
    **dict.fromkeys(("files", "adapters", "parameters", "info"), "object"),
    **{"messages": "array", "stream": "bool", "license": "any"},
}
_TYPES = ("F32", "F16", "Q4_K_S", "Q4_K_M", "Q8_0")
"""What quantize accepts, as the error lists it; BF16 and Q4_K are accepted silently."""
_UNQUANTISED = ("F16", "BF16", "F32")
_VALIDATION = "failed to validate GGUF with llama-quantize without compatibility patches"
_NO_DIGEST = "0" * 19


@dataclass(slots=True)
class _Part:
    """A layer on its way into a manifest, with its header where it is a GGUF."""

    layer: Layer
    header: Header | None = None
    uploaded: bool = False
    """Whether it comes from `files`, so that it is rewritten."""


async def create(server: Server, call: Call) -> None:
    """Answer a create with its status lines, or with the last of them."""
    request = await call.bind("CreateRequest", _FIELDS)
    name = _checked(server, request)
    lines = _lines(server, name, request)
    if request.get("stream", True) is not False:
        await call.stream(_with_faults(server, lines))
    else:
        last: Line = {}
        async for line in _with_faults(server, lines):
            last = line
        await call.json(last)
    if server.faults.strikes("down-after-create"):
        os._exit(1)


def _checked(server: Server, request: Mapping[str, Any]) -> Name:
    """Return the name to create, once what is checked before the first line is right."""
    files = request.get("files")
    if files is not None and not server.version.since(CREATE_FILES):
        raise Failure(400, "path or Modelfile are required")
    for path, digest in (files or {}).items():
        if not _inside(path):
            raise Failure(400, "file path must be relative")
        if not digest:
            raise Failure(400, "invalid digest format")
    if "" in (request.get("adapters") or {}).values():
        raise Failure(400, "invalid digest format")
    name = names.parse(request.get("model") or request.get("name") or "")
    if not name.valid:
        raise Failure(400, "invalid model name")
    return names.existing(name, server.store.names())


def _inside(path: str) -> bool:
    """Return whether a path stays where it is: Go's fs.ValidPath."""
    return path == "." or all(part not in ("", ".", "..") for part in path.split("/"))


async def _with_faults(server: Server, lines: AsyncIterator[Line]) -> AsyncIterator[Line]:
    async for line in lines:
        yield line
        if line["status"] != "parsing GGUF":
            continue
        if server.faults.strikes("cut-create"):
            raise Cut
        if server.faults.strikes("error-line"):
            raise Failure(500, "unexpected EOF")
        if server.faults.strikes("down-during-create"):
            os._exit(1)
        if server.faults.strikes("no-success"):
            return


async def _lines(server: Server, name: Name, request: dict[str, Any]) -> AsyncIterator[Line]:
    """Create a model, one status line after the other; in the end it is there, or a Failure."""
    before = server.store.read(name)
    parts: list[_Part] = []
    try:
        async for line in _base(server, request, parts):
            yield line
        async for line in _adapters(server, request, parts):
            yield line
        config: dict[str, Any] = {"os": "linux", "architecture": "amd64", **_roles(request)}
        for place, part in enumerate(parts):
            async for line in _converted(server, request, parts, place):
                yield line
            if parts[place].header and part.layer.kind == "model":
                _describe(config, parts[place].header)
        layers = _dressed(server, request, [part.layer for part in parts])
    except (InvalidDigest, BadGguf) as error:
        raise Failure(500, str(error)) from error
    except NotGguf as error:
        raise Failure(400, str(error)) from error
    except FileNotFoundError as error:
        missing = f"open {error.filename}: no such file or directory"
        raise Failure(500, missing) from error
    config["rootfs"] = {"type": "layers", "diff_ids": [layer.digest for layer in layers]}
    config_layer = server.store.add_text(json.dumps(config) + "\n", "config")
    for layer in layers:
        if layer.status:
            yield {"status": layer.status}
    yield {"status": "writing manifest"}
    server.store.write(name, config_layer, layers)
    if before:
        server.store.drop([*before.layers, before.config])
    yield {"status": "success"}


async def _base(
    server: Server, request: Mapping[str, Any], parts: list[_Part]
) -> AsyncIterator[Line]:
    if request.get("from"):
        async for line in _from_model(server, str(request["from"]), parts):
            yield line
    elif request.get("files") is not None:
        async for line in _from_files(server, request["files"], parts):
            yield line
        _add_template(server, parts)
    else:
        raise Failure(400, "neither 'from' or 'files' was specified")


async def _from_model(server: Server, raw: str, parts: list[_Part]) -> AsyncIterator[Line]:
    try:
        name = names.existing(names.reference(raw), server.store.names())
    except ValueError as error:
        raise Failure(400, "invalid model name") from error
    manifest = server.store.read(name)
    if manifest is None:
        yield {"status": "pulling manifest"}
        raise Failure(500, "pull model manifest: file does not exist")
    for layer in manifest.layers:
        path = server.store.path(layer.digest)
        header = gguf_header.read(path) if layer.kind in ("model", "adapter") else None
        status = f"using existing layer {layer.digest}"
        parts.append(_Part(_with_status(layer, status), header))


def _with_status(layer: Layer, status: str) -> Layer:
    return Layer(kind=layer.kind, digest=layer.digest, size=layer.size, status=status)


async def _from_files(
    server: Server, files: Mapping[str, str], parts: list[_Part]
) -> AsyncIterator[Line]:
    kind = _kind(server, files)
    if kind == "safetensors":
        yield {"status": "converting model"}
        raise Failure(500, "unsupported architecture: this double converts no safetensors")
    if kind != "gguf":
        raise Failure(400, "unknown type")
    for key in sorted(files):
        yield {"status": "parsing GGUF"}
        path = server.store.path(files[key])
        header = gguf_header.read(path)
        adapter = header.values.get("general.type") == "adapter"
        if header.values.get("split.count", 1) > 1:
            raise Failure(500, f'split GGUF "{key}" must use llama.cpp split filename pattern')
        digest, size = files[key].replace("-", ":"), path.stat().st_size
        layer = Layer(kind="adapter" if adapter else "model", digest=digest, size=size)
        status = f"using existing layer {digest}"
        parts.append(_Part(_with_status(layer, status), header, uploaded=True))


def _kind(server: Server, files: Mapping[str, str]) -> str:
    """Return the type of the files (detectModelTypeFromFiles): by name, else by content."""
    for key, digest in files.items():
        for kind in ("safetensors", "gguf"):
            if key.endswith(f".{kind}"):
                return kind
        try:
            with server.store.path(digest).open("rb") as file:
                if file.read(4) == b"GGUF":
                    return "gguf"
        except (InvalidDigest, FileNotFoundError):
            return ""
    return ""


def _add_template(server: Server, parts: list[_Part]) -> None:
    """Store the Go template that stands for a known chat template (detectChatTemplate)."""
    chat = next((p.header.chat_template for p in parts if p.header and p.layer.kind == "model"), "")
    known = detect(chat) if chat else None
    if known and server.faults.strikes("wrong-template"):
        known = ZEPHYR
    if known:
        status = f"using autodetected template {known.name}"
        parts.append(_Part(server.store.add_text(known.go, "template", status)))
        parts.append(_Part(server.store.add_text(_json({"stop": list(known.stop)}), "params")))


async def _adapters(
    server: Server, request: Mapping[str, Any], parts: list[_Part]
) -> AsyncIterator[Line]:
    adapters = request.get("adapters")
    if adapters is None:
        return
    if _kind(server, adapters) == "gguf" and len(adapters) > 1:
        raise Failure(400, "only one adapter is currently supported")
    async for line in _from_files(server, adapters, parts):
        yield line


async def _converted(
    server: Server, request: Mapping[str, Any], parts: list[_Part], place: int
) -> AsyncIterator[Line]:
    """Quantise a model's layer, or write it anew so that llama.cpp has seen all of it."""
    part = parts[place]
    if part.header is None or part.layer.kind != "model":
        return
    wanted = str(request.get("quantize") or request.get("quantization") or "").upper()
    kind = _quantisation(wanted, part.header.file_type) if wanted else ""
    status = f"quantizing {part.header.file_type} model to {wanted}"
    if not kind:
        if not part.uploaded or not server.version.since(LLAMA_SERVER):
            return
        kind, status = "COPY", "validating GGUF model"
    source = server.store.path(part.layer.digest)
    draft, total = server.store.draft(), part.layer.size
    try:
        if server.faults.strikes("disk-full-create"):
            raise QuantizeFailed(f"write {draft}: no space left on device")
        async for done in server.rewriter.rewrite(source, draft, kind):
            done = min(done, total)
            yield {"status": status, "digest": _NO_DIGEST, "total": total, "completed": done}
        yield {"status": "verifying conversion"}
        layer = server.store.add(draft, "model")
    except QuantizeFailed as error:
        prefix = f"{_VALIDATION}: " if kind == "COPY" else ""
        raise Failure(500, f"{prefix}{error}") from error
    finally:
        draft.unlink(missing_ok=True)
    parts[place] = _Part(layer, gguf_header.read(server.store.path(layer.digest)))


def _quantisation(wanted: str, present: str) -> str:
    """Return the type to quantise to, or nothing where the file has it already."""
    if wanted not in (*_TYPES, "BF16", "Q4_K"):
        listed = ", ".join(_TYPES)
        what = f"unsupported quantization type {wanted} - supported types are {listed}"
        raise Failure(500, what)
    if present not in _UNQUANTISED:
        raise Failure(500, "quantization is only supported for F16, BF16 and F32 models")
    kind = {"Q4_K": "Q4_K_M"}.get(wanted, wanted)
    return "" if kind == present else kind


def _roles(request: Mapping[str, Any]) -> dict[str, Any]:
    return {key: request[key] for key in ("renderer", "parser", "requires") if request.get(key)}


def _describe(config: dict[str, Any], header: Header | None) -> None:
    assert header is not None
    config.setdefault("model_format", "gguf")
    config.setdefault("model_family", header.architecture)
    config.setdefault("model_families", []).append(header.architecture)
    config.setdefault("model_type", gguf_header.human(header.parameters))
    config.setdefault("file_type", header.file_type)


def _dressed(server: Server, request: Mapping[str, Any], layers: list[Layer]) -> list[Layer]:
    """Return the layers with what the request says laid over them (createModel)."""
    template = request.get("template")
    if template:
        try:
            GoTemplate(template)
        except TemplateError as error:
            raise Failure(400, f"template error: {error}") from error
        layers = _replaced(server, layers, "template", template)
    if request.get("system"):
        layers = _replaced(server, layers, "system", request["system"])
    for text in _licenses(request.get("license")):
        layers.append(server.store.add_text(text, "license"))
    parameters = dict(request.get("parameters") or {})
    for layer in (layer for layer in layers if layer.kind == "params"):
        parameters = {**json.loads(server.store.text(layer)), **parameters}
    if parameters:
        layers = _replaced(server, layers, "params", _json(parameters))
    if request.get("messages"):
        layers = _replaced(server, layers, "messages", _json(request["messages"]))
    return layers


def _replaced(server: Server, layers: list[Layer], kind: str, text: str) -> list[Layer]:
    old = [layer for layer in layers if layer.kind == kind]
    server.store.drop(old)
    kept = [layer for layer in layers if layer.kind != kind]
    return [*kept, server.store.add_text(text, kind)]


def _licenses(given: Any) -> list[str]:
    if isinstance(given, str):
        return [given] if given else []
    if given is not None and not isinstance(given, list):
        raise Failure(500, "json: cannot unmarshal object into Go value of type []string")
    return [str(text) for text in given or ()]


def _json(data: Any) -> str:
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")) + "\n"
