"""A program that takes vLLM's command line and answers as its server does, without a model.

Started as `scripted_vllm.py serve MODEL ...`. It follows vLLM in what Fathom relies on:
- the model's card carries the served name as `id` and the path it was started with as `root`
  (vllm/entrypoints/openai/models/serving.py, show_available_models);
- VLLM_API_KEY closes everything below /v1 and nothing else (vllm/entrypoints/openai/api_server.py,
  AuthenticationMiddleware);
- /tokenize takes chat messages, /detokenize gives the prompt back
  (vllm/entrypoints/openai/protocol.py, TokenizeChatRequest, DetokenizeResponse);
- a directory without a model ends it with an error before it listens.
Its answer is what it was asked, as JSON, so that a test sees the request.
"""

import argparse
import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


def main() -> None:
    options = parse(sys.argv[1:])
    if not Path(options.model, "config.json").is_file():
        sys.exit(f"{options.model} has no config.json")
    time.sleep(float(os.environ.get("SCRIPTED_LOADING_S", "0")))
    server = ThreadingHTTPServer((options.host, options.port), Handler)
    server.options = options  # type: ignore[attr-defined]
    print(f"serving {options.model} {options.lora_modules}", flush=True)
    server.serve_forever()


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("verb", choices=["serve"])
    parser.add_argument("model")
    parser.add_argument("--served-model-name", required=True)
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--max-model-len", type=int, required=True)
    parser.add_argument("--gpu-memory-utilization", type=float, required=True)
    parser.add_argument("--enable-lora", action="store_true")
    parser.add_argument("--lora-modules", nargs="*", default=[])
    return parser.parse_args(arguments)


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/health":
            self.reply(200, {})
        elif self.path == "/v1/models" and self.may():
            self.reply(200, {"object": "list", "data": self.cards()})

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        body = json.loads(self.rfile.read(length))
        if self.path.startswith("/v1") and not self.may():
            return
        if body.get("model") != self.options.served_model_name:
            self.reply(
                404, {"error": {"message": f"The model `{body.get('model')}` does not exist."}}
            )
        elif self.path == "/v1/chat/completions":
            self.reply(200, completion(body))
        elif self.path == "/tokenize":
            text = "".join(f"<{m['role']}>{m['content']}" for m in body["messages"])
            self.reply(200, {"tokens": list(f"{text}<assistant>".encode())})
        elif self.path == "/detokenize":
            self.reply(200, {"prompt": bytes(body["tokens"]).decode()})

    @property
    def options(self) -> argparse.Namespace:
        found: argparse.Namespace = self.server.options  # type: ignore[attr-defined]
        return found

    def cards(self) -> list[dict[str, Any]]:
        named = self.options.served_model_name
        cards = [
            {"id": named, "root": self.options.model, "max_model_len": self.options.max_model_len}
        ]
        for module in self.options.lora_modules:
            name, _, path = module.partition("=")
            cards.append({"id": name, "root": path, "parent": named})
        return cards

    def may(self) -> bool:
        key = os.environ.get("VLLM_API_KEY")
        if not key or self.headers.get("Authorization") == f"Bearer {key}":
            return True
        self.reply(401, {"error": "Unauthorized"})
        return False

    def reply(self, code: int, data: Any) -> None:
        body = json.dumps(data).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Say nothing."""


def completion(body: dict[str, Any]) -> dict[str, Any]:
    message = {"role": "assistant", "content": json.dumps(body)}
    usage = {"prompt_tokens": 7, "completion_tokens": 3}
    return {"choices": [{"message": message, "finish_reason": "stop"}], "usage": usage}


if __name__ == "__main__":
    main()
