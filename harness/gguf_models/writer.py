"""Writing a model file.

The network is the smallest one whose answer is fixed: embeddings are all equal, attention and
feed-forward weights are zero and norms are one, so the last hidden state is always the same vector
of ones; one row of the output matrix favours one token.

This module imports ``gguf`` and numpy; import it only in order to write.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import gguf
import numpy as np
import numpy.typing as npt

from harness.gguf_models.companions import COMPANION
from harness.gguf_models.models import TEMPLATE_VARIABLES, Architecture, ModelFile

Array = npt.NDArray[np.float32]
Tensor = tuple[str, Array]

CONTEXT: Final = 8192
EMBEDDING: Final = 64
HEADS: Final = 1
HEAD: Final = EMBEDDING // HEADS
"""64: a multiple of every quantized cache type's block, and a size GPU kernels have."""
FEED_FORWARD: Final = 32
NORM_EPSILON: Final = 1e-6

SPECIAL: Final = ("<unk>", "<s>", "</s>")
FAVOURITE: Final = "a"
"""The token every model answers with, again and again."""
FAVOURITE_LOGIT: Final = 1.0
"""Per embedding element; summed over them it leaves the other tokens no probability to speak of."""

SSM_KERNEL: Final = 4
SSM_STATE: Final = 32
SSM_GROUPS: Final = 4
SSM_RANK: Final = 4
SSM_INNER: Final = SSM_RANK * SSM_STATE
SSM_CHANNELS: Final = 2 * SSM_GROUPS * SSM_STATE + SSM_INNER

EXPERTS: Final = 2

PATCH: Final = 16
COLOURS: Final = 3

TEMPLATE: Final = (
    "{%- for message in messages %}"
    "{{- '<|im_start|>' + message.role + '\\n' }}"
    "{%- if message.role == 'assistant' and message.reasoning_content is defined"
    " and message.reasoning_content %}"
    "{{- '<think>\\n' + message.reasoning_content + '\\n</think>\\n\\n' }}"
    "{%- endif %}"
    "{{- message.content }}{{- '<|im_end|>\\n' }}"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}"
    "{{- '<|im_start|>assistant\\n' }}"
    + "".join(
        f"{{%- if {name} is defined %}}{{{{- '[{name} ' + {name}|tojson + ']' }}}}"
        f"{{%- else %}}{{{{- '[{name} null]' }}}}{{%- endif %}}"
        for name in TEMPLATE_VARIABLES
    )
    + "{%- if enable_thinking is defined and enable_thinking is false %}"
    "{{- '<think>\\n\\n</think>\\n\\n' }}"
    "{%- endif %}"
    "{%- endif %}"
)
"""Like that of Qwen 3."""


def write_model(file: ModelFile, path: Path) -> None:
    """Write the file, which must not exist."""
    writer = gguf.GGUFWriter(path, file.architecture.value)
    writer.add_name(file.name)
    writer.add_size_label(file.size_label)
    writer.add_uint64("general.parameter_count", file.parameters)
    tokens = _add_vocabulary(writer)
    _add_common_metadata(writer)
    match file.architecture:
        case Architecture.LLAMA:
            tensors = _llama(writer)
        case Architecture.QWEN35:
            tensors = _qwen35(writer)
        case Architecture.GLM4MOE:
            tensors = _glm4moe(writer, tokens)
        case Architecture.QWEN3MOE:
            tensors = _qwen3moe(writer)
    _finish(writer, (*_ends(tokens), *tensors))


def write_adapter(path: Path) -> None:
    """Write a LoRA adapter that fits ``tiny-llama`` and changes nothing."""
    writer = gguf.GGUFWriter(path, Architecture.LLAMA.value)
    writer.add_type("adapter")
    writer.add_name(COMPANION)
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", 1.0)
    query = (("a", _zeros(1, EMBEDDING)), ("b", _zeros(HEAD, 1)))
    _finish(writer, ((f"blk.0.attn_q.weight.lora_{part}", data) for part, data in query))


def write_projector(path: Path) -> None:
    """Write a multimodal projector that fits every model."""
    writer = gguf.GGUFWriter(path, "clip")
    writer.add_type("mmproj")
    writer.add_name(COMPANION)
    writer.add_bool("clip.has_vision_encoder", True)
    writer.add_string("clip.projector_type", "mlp")
    writer.add_bool("clip.use_gelu", True)
    for key, size in (
        *(("image_size", 2 * PATCH), ("patch_size", PATCH), ("block_count", 1)),
        *(("embedding_length", EMBEDDING), ("projection_dim", EMBEDDING)),
        *(("feed_forward_length", FEED_FORWARD), ("attention.head_count", HEADS)),
    ):
        writer.add_uint32(f"clip.vision.{key}", size)
    writer.add_float32("clip.vision.attention.layer_norm_epsilon", NORM_EPSILON)
    for key in ("image_mean", "image_std"):
        writer.add_array(f"clip.vision.{key}", [0.5] * COLOURS)
    _finish(writer, _vision())


def _vision() -> Iterator[Tensor]:
    yield "v.patch_embd.weight", _zeros(EMBEDDING, COLOURS, PATCH, PATCH)
    yield "v.position_embd.weight", _zeros(2 * 2 + 1, EMBEDDING)
    yield "v.class_embd", _zeros(EMBEDDING)
    for name, out, inner in (
        *((f"v.blk.0.attn_{part}", EMBEDDING, EMBEDDING) for part in ("q", "k", "v", "out")),
        *(
            ("v.blk.0.ffn_up", FEED_FORWARD, EMBEDDING),
            ("v.blk.0.ffn_down", EMBEDDING, FEED_FORWARD),
        ),
        *(("mm.0", EMBEDDING, EMBEDDING), ("mm.2", EMBEDDING, EMBEDDING)),
    ):
        yield f"{name}.weight", _zeros(out, inner)
        yield f"{name}.bias", _zeros(out)
    for name in ("v.pre_ln", "v.blk.0.ln1", "v.blk.0.ln2"):
        yield f"{name}.weight", _ones(EMBEDDING)
        yield f"{name}.bias", _zeros(EMBEDDING)


def _finish(writer: gguf.GGUFWriter, tensors: Iterable[Tensor]) -> None:
    for name, data in tensors:
        writer.add_tensor(name, data)
    try:
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
    finally:
        writer.close()


def _add_vocabulary(writer: gguf.GGUFWriter) -> list[str]:
    tokens = [*SPECIAL, *(f"<0x{byte:02X}>" for byte in range(256)), FAVOURITE]
    kinds = [gguf.TokenType.UNKNOWN, gguf.TokenType.CONTROL, gguf.TokenType.CONTROL]
    kinds += [gguf.TokenType.BYTE] * 256 + [gguf.TokenType.NORMAL]
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores([0.0] * len(tokens))
    writer.add_token_types(kinds)
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_add_bos_token(True)
    writer.add_add_space_prefix(False)
    return tokens


def _add_common_metadata(writer: gguf.GGUFWriter) -> None:
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(EMBEDDING)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(NORM_EPSILON)


def _llama(writer: gguf.GGUFWriter) -> Iterator[Tensor]:
    writer.add_block_count(1)
    writer.add_rope_dimension_count(HEAD)
    yield from _attention(0, query=HEAD)
    yield "blk.0.ffn_norm.weight", _ones(EMBEDDING)
    yield from _feed_forward(0)


def _qwen35(writer: gguf.GGUFWriter) -> Iterator[Tensor]:
    """Two trunk blocks, the first recurrent (with none the server aborts), and the MTP block."""
    writer.add_block_count(3)
    writer.add_uint32("qwen35.nextn_predict_layers", 1)
    writer.add_uint32("qwen35.full_attention_interval", 2)
    writer.add_key_length(HEAD)
    writer.add_value_length(HEAD)
    writer.add_rope_dimension_count(HEAD)
    writer.add_rope_dimension_sections([HEAD // 8, HEAD // 8, HEAD // 8, 0])
    writer.add_ssm_conv_kernel(SSM_KERNEL)
    writer.add_ssm_inner_size(SSM_INNER)
    writer.add_ssm_state_size(SSM_STATE)
    writer.add_ssm_time_step_rank(SSM_RANK)
    writer.add_uint32("qwen35.ssm.group_count", SSM_GROUPS)

    yield "blk.0.attn_norm.weight", _ones(EMBEDDING)
    yield "blk.0.attn_qkv.weight", _zeros(SSM_CHANNELS, EMBEDDING)
    yield "blk.0.attn_gate.weight", _zeros(SSM_INNER, EMBEDDING)
    yield "blk.0.ssm_conv1d.weight", _zeros(SSM_CHANNELS, SSM_KERNEL)
    yield "blk.0.ssm_dt.bias", _zeros(SSM_RANK)
    yield "blk.0.ssm_a", _zeros(SSM_RANK)
    yield "blk.0.ssm_beta.weight", _zeros(SSM_RANK, EMBEDDING)
    yield "blk.0.ssm_alpha.weight", _zeros(SSM_RANK, EMBEDDING)
    yield "blk.0.ssm_norm.weight", _ones(SSM_STATE)
    yield "blk.0.ssm_out.weight", _zeros(EMBEDDING, SSM_INNER)
    for block in (1, 2):
        # Twice as wide a query: the other half is the attention's gate.
        yield from _attention(block, query=2 * HEAD)
        yield f"blk.{block}.attn_q_norm.weight", _ones(HEAD)
        yield f"blk.{block}.attn_k_norm.weight", _ones(HEAD)
    for block in (0, 1, 2):
        yield f"blk.{block}.post_attention_norm.weight", _ones(EMBEDDING)
        yield from _feed_forward(block)
    yield from _nextn(2)


def _glm4moe(writer: gguf.GGUFWriter, tokens: list[str]) -> Iterator[Tensor]:
    """One dense trunk block and the MTP block, which is a mixture of experts.

    Builds of 2025 want the MTP block's own embeddings and output head, if only to skip them.
    """
    writer.add_block_count(2)
    writer.add_uint32("glm4moe.nextn_predict_layers", 1)
    writer.add_key_length(HEAD)
    writer.add_value_length(HEAD)
    writer.add_rope_dimension_count(HEAD // 2)
    writer.add_leading_dense_block_count(1)
    writer.add_expert_count(EXPERTS)
    writer.add_expert_used_count(1)
    writer.add_expert_shared_count(1)
    writer.add_expert_feed_forward_length(FEED_FORWARD)
    writer.add_expert_weights_scale(1.0)
    writer.add_expert_weights_norm(True)
    writer.add_expert_gating_func(gguf.ExpertGatingFuncType.SIGMOID)

    for block in (0, 1):
        yield from _attention(block, query=HEAD)
        yield f"blk.{block}.attn_q.bias", _zeros(HEAD)
        yield f"blk.{block}.attn_k.bias", _zeros(HEAD)
        yield f"blk.{block}.attn_v.bias", _zeros(HEAD)
        yield f"blk.{block}.post_attention_norm.weight", _ones(EMBEDDING)
    yield from _feed_forward(0)
    yield "blk.1.ffn_gate_inp.weight", _zeros(EXPERTS, EMBEDDING)
    yield "blk.1.exp_probs_b.bias", _zeros(EXPERTS)
    yield from _experts(1)
    yield "blk.1.ffn_gate_shexp.weight", _zeros(FEED_FORWARD, EMBEDDING)
    yield "blk.1.ffn_up_shexp.weight", _zeros(FEED_FORWARD, EMBEDDING)
    yield "blk.1.ffn_down_shexp.weight", _zeros(EMBEDDING, FEED_FORWARD)
    yield from _nextn(1)
    yield "blk.1.nextn.embed_tokens.weight", _ones(len(tokens), EMBEDDING)
    yield "blk.1.nextn.shared_head_head.weight", _output(tokens)


def _qwen3moe(writer: gguf.GGUFWriter) -> Iterator[Tensor]:
    """Two blocks, so that the experts of the first one can be kept apart from those of both."""
    writer.add_block_count(2)
    writer.add_key_length(HEAD)
    writer.add_value_length(HEAD)
    writer.add_rope_dimension_count(HEAD)
    writer.add_expert_count(EXPERTS)
    writer.add_expert_used_count(1)
    writer.add_expert_feed_forward_length(FEED_FORWARD)
    writer.add_chat_template(TEMPLATE)
    for block in (0, 1):
        yield from _attention(block, query=HEAD)
        yield f"blk.{block}.attn_q_norm.weight", _ones(HEAD)
        yield f"blk.{block}.attn_k_norm.weight", _ones(HEAD)
        yield f"blk.{block}.ffn_norm.weight", _ones(EMBEDDING)
        yield f"blk.{block}.ffn_gate_inp.weight", _zeros(EXPERTS, EMBEDDING)
        yield from _experts(block)


def _experts(block: int) -> Iterator[Tensor]:
    yield f"blk.{block}.ffn_gate_exps.weight", _zeros(EXPERTS, FEED_FORWARD, EMBEDDING)
    yield f"blk.{block}.ffn_up_exps.weight", _zeros(EXPERTS, FEED_FORWARD, EMBEDDING)
    yield f"blk.{block}.ffn_down_exps.weight", _zeros(EXPERTS, EMBEDDING, FEED_FORWARD)


def _ends(tokens: list[str]) -> Iterator[Tensor]:
    yield "token_embd.weight", _ones(len(tokens), EMBEDDING)
    yield "output_norm.weight", _ones(EMBEDDING)
    yield "output.weight", _output(tokens)


def _output(tokens: list[str]) -> Array:
    output = _zeros(len(tokens), EMBEDDING)
    output[tokens.index(FAVOURITE)] = FAVOURITE_LOGIT
    return output


def _attention(block: int, *, query: int) -> Iterator[Tensor]:
    yield f"blk.{block}.attn_norm.weight", _ones(EMBEDDING)
    yield f"blk.{block}.attn_q.weight", _zeros(query * HEADS, EMBEDDING)
    yield f"blk.{block}.attn_k.weight", _zeros(HEAD * HEADS, EMBEDDING)
    yield f"blk.{block}.attn_v.weight", _zeros(HEAD * HEADS, EMBEDDING)
    yield f"blk.{block}.attn_output.weight", _zeros(EMBEDDING, HEAD * HEADS)


def _feed_forward(block: int) -> Iterator[Tensor]:
    yield f"blk.{block}.ffn_gate.weight", _zeros(FEED_FORWARD, EMBEDDING)
    yield f"blk.{block}.ffn_up.weight", _zeros(FEED_FORWARD, EMBEDDING)
    yield f"blk.{block}.ffn_down.weight", _zeros(EMBEDDING, FEED_FORWARD)


def _nextn(block: int) -> Iterator[Tensor]:
    """The MTP head passes the token's embedding through, so it predicts the favourite too."""
    eh_proj = np.concatenate([np.eye(EMBEDDING), np.zeros((EMBEDDING, EMBEDDING))], axis=1)
    yield f"blk.{block}.nextn.eh_proj.weight", eh_proj.astype(np.float32)
    yield f"blk.{block}.nextn.enorm.weight", _ones(EMBEDDING)
    yield f"blk.{block}.nextn.hnorm.weight", _ones(EMBEDDING)
    yield f"blk.{block}.nextn.shared_head_norm.weight", _ones(EMBEDDING)


def _zeros(*shape: int) -> Array:
    return np.zeros(shape, dtype=np.float32)


def _ones(*shape: int) -> Array:
    return np.ones(shape, dtype=np.float32)
