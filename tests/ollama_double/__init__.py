"""A small Ollama over llama.cpp and real GGUF files, for tests of what talks to one.

It implements the HTTP contract of Ollama v0.33.0-rc2, errors included; every behaviour names the
source file it follows. What it answers, a model said: prompts are rendered by the stored
template, decoded by llama.cpp in a process of its own for each loaded model, and a create
validates and quantises with llama.cpp's own routine.

    python -m tests.ollama_double --port 0 --models DIR [--version 0.33.0] [--fault NAME[=TIMES]]

prints `listening on http://127.0.0.1:PORT` when it answers. All state is in DIR, laid out as
Ollama does (`blobs/`, `manifests/`), so it outlives the process. `--version` below 0.30 leaves out
what came with the llama-server engine, below 0.5.5 create knows no files. Faults: `faults.py`;
tests start it with `started.py`.

Left out, because the contract has no use for them here: safetensors conversion, split GGUFs,
images, tools and thinking output, logprobs, the OpenAI routes, and a registry to pull from (an
unknown `from` fails as if the registry did not know the name).
"""
