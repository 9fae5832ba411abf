"""HEAD and POST /api/blobs/:digest (Ollama v0.33.0-rc2, server/routes.go)."""

import asyncio
import hashlib
from pathlib import Path

from tests.ollama_double.answers import Call, Failure
from tests.ollama_double.server import Server
from tests.ollama_double.store import InvalidDigest


async def head(server: Server, call: Call, digest: str) -> None:
    """Say whether a blob is there (HeadBlobHandler)."""
    if not _path(server, digest).exists():
        raise Failure(404, f'blob "{digest}" not found')
    await call.reply(200)


async def upload(server: Server, call: Call, digest: str) -> None:
    """Keep a blob under the digest it really has (CreateBlobHandler).

    A blob that is there is neither read nor verified. The digests are compared as texts, so one
    written with `sha256-` or in upper case never matches.
    """
    if _path(server, digest).exists():
        await call.reply(200)
        return
    draft, sha256, size = server.store.draft(), hashlib.sha256(), 0
    cut, full = server.faults.strikes("cut-upload"), server.faults.strikes("disk-full")
    try:
        with draft.open("wb") as file:
            async for chunk in call.request.stream():
                await asyncio.to_thread(file.write, chunk)
                sha256.update(chunk)
                size += len(chunk)
                if cut:
                    call.reset()
                    return
                if full:
                    raise Failure(500, f"write {draft}: no space left on device")
        true = f"sha256:{sha256.hexdigest()}"
        server.store.add(draft, "", true)
    finally:
        draft.unlink(missing_ok=True)
    if true != digest:
        raise Failure(400, f'digest mismatch, expected "{digest}", got "{true}"')
    await call.reply(201)


def _path(server: Server, digest: str) -> Path:
    try:
        return server.store.path(digest)
    except InvalidDigest as error:
        raise Failure(400, str(error)) from error
