"""Models whose answer depends on every weight, for servers with a card: random, and reproducible.

``random_twin`` makes one of a tiny model; ``write_deep`` and ``write_head32`` write models of
which a part can be offloaded: eight blocks, or heads of a size that no kernel of CUDA has.
"""

import shutil
from pathlib import Path

import gguf
import numpy as np
import numpy.typing as npt

from harness.gguf_models import writer as tiny

PRINTABLE = slice(len(tiny.SPECIAL) + 32, len(tiny.SPECIAL) + 127)
"""The tokens that a random model may answer with: bytes that are characters by themselves."""


def random_twin(model: Path, path: Path, seed: int) -> None:
    """Write a tiny model anew with random weights, norms about one."""
    shutil.copyfile(model, path)
    source = np.random.default_rng(seed)
    for tensor in gguf.GGUFReader(path, "r+").tensors:
        noise = source.standard_normal(tensor.data.shape).astype(np.float32)
        if tensor.name == "output.weight":
            tensor.data[:] = _printable(noise)
        elif "norm" in tensor.name:
            tensor.data[:] = 1 + 0.3 * noise
        else:
            tensor.data[:] = 0.3 * noise


def write_deep(path: Path, seed: int = 7) -> None:
    """Eight blocks of 256 values in four heads, matrices of q8_0: what offloading divides."""
    _write(path, name="deep", blocks=8, heads=4, seed=seed)


def write_head32(path: Path, seed: int = 11) -> None:
    """Two blocks with heads of 32 values."""
    _write(path, name="head32", blocks=2, heads=8, seed=seed)


def _write(path: Path, *, name: str, blocks: int, heads: int, seed: int) -> None:
    width, inner, keys = 256, 512, 2
    source = np.random.default_rng(seed)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name(name)
    tokens = tiny._add_vocabulary(writer)
    writer.add_context_length(8192)
    writer.add_embedding_length(width)
    writer.add_feed_forward_length(inner)
    writer.add_head_count(heads)
    writer.add_head_count_kv(keys)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_block_count(blocks)
    writer.add_rope_dimension_count(width // heads)

    def matrix(rows: int, columns: int) -> npt.NDArray[np.float32]:
        return (source.standard_normal((rows, columns)) * 0.08).astype(np.float32)

    def add(tensor: str, data: npt.NDArray[np.float32]) -> None:
        kind = gguf.GGMLQuantizationType.Q8_0
        writer.add_tensor(tensor, gguf.quants.quantize(data, kind), raw_dtype=kind)

    ones = np.ones(width, np.float32)
    add("token_embd.weight", matrix(len(tokens), width) * 10)
    writer.add_tensor("output_norm.weight", ones)
    add("output.weight", _printable(matrix(len(tokens), width)))
    for block in range(blocks):
        writer.add_tensor(f"blk.{block}.attn_norm.weight", ones)
        writer.add_tensor(f"blk.{block}.ffn_norm.weight", ones)
        key = keys * width // heads
        for part, rows, columns in (
            *(("attn_q", width, width), ("attn_k", key, width), ("attn_v", key, width)),
            *(("attn_output", width, width), ("ffn_gate", inner, width)),
            *(("ffn_up", inner, width), ("ffn_down", width, inner)),
        ):
            add(f"blk.{block}.{part}.weight", matrix(rows, columns))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _printable(data: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    kept = np.zeros_like(data)
    kept[PRINTABLE] = data[PRINTABLE]
    return kept
