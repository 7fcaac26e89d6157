"""The model a ticket is about: its parameters in order, their numbers as f32, and the fingerprint of all of them."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple, Union

import numpy as np
import safetensors

from ._blake3 import blake3
from ._file import Path_, TicketError

State = Mapping[str, Any]
"""Names of parameters, and for each a numpy array (f32, f16, ml_dtypes' bfloat16) or a torch tensor."""


class Param(NamedTuple):
    """A parameter: its Hugging Face name, its shape, what it is for, and its layer."""

    name: str
    shape: Tuple[int, ...]
    role: str
    layer: Optional[int]

    @property
    def entries(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def rows_cols(self) -> Tuple[int, int]:
        """The shape as a matrix: a vector is one row, leading dimensions fold into rows."""
        cols = self.shape[-1] if self.shape else 1
        return self.entries // max(1, cols), cols


def is_torch(tensor: Any) -> bool:
    """Whether this is a tensor of torch, which is never imported for the question."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(tensor, torch.Tensor)


def from_bf16(bits: np.ndarray) -> np.ndarray:
    """bf16, given as uint16, as f32."""
    return (bits.astype(np.uint32) << np.uint32(16)).view(np.float32)


def to_bf16(values: np.ndarray) -> np.ndarray:
    """f32 rounded to the nearest bf16 (of two, the even one), as uint16."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    rounded = (bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)
    nan = np.isnan(values)
    return np.where(nan, (bits >> np.uint32(16)) | np.uint32(0x40), rounded).astype(np.uint16)


def numbers(tensor: Any, name: str) -> np.ndarray:
    """The numbers of a tensor, flat, as f32."""
    if is_torch(tensor):
        return tensor.detach().to(device="cpu", dtype=sys.modules["torch"].float32).contiguous().numpy().reshape(-1)
    array = np.asarray(tensor)
    if array.dtype.name == "bfloat16":
        return from_bf16(np.ascontiguousarray(array).view(np.uint16)).reshape(-1)
    if array.dtype not in (np.float32, np.float16):
        raise TicketError(f"parameter {name} is of type {array.dtype}: f32, f16 and bfloat16 are known")
    return np.ascontiguousarray(array, np.float32).reshape(-1)


def find(state: State, param: Param) -> Any:
    """The tensor of a parameter; an error if the state has none, or one of another shape."""
    tensor = state.get(param.name)
    if tensor is None:
        raise TicketError(f"not of the same model: parameter {param.name} is missing")
    if tuple(tensor.shape) != param.shape:
        raise TicketError(
            f"not of the same model: parameter {param.name} has shape {list(tensor.shape)}, and {list(param.shape)} in the ticket"
        )
    return tensor


def fingerprint(state: State, universe: Sequence[Param]) -> str:
    """The fingerprint of a model: which weights these are, whatever type they are stored in."""

    def of(param: Param) -> bytes:
        def parts() -> Iterator[Union[bytes, np.ndarray]]:
            name = param.name.encode()
            dims = [len(name).to_bytes(8, "little"), name, len(param.shape).to_bytes(8, "little")]
            yield b"".join(dims + [dim.to_bytes(8, "little") for dim in param.shape])
            yield numbers(find(state, param), param.name).astype("<f4", copy=False)

        return blake3(parts())

    return blake3(of(param) for param in universe).hex()


_INNER = (
    "self_attn.q_proj self_attn.k_proj self_attn.v_proj self_attn.o_proj self_attn.qkv_proj self_attn.q_norm "
    "self_attn.k_norm mlp.gate_proj mlp.gate_up_proj mlp.up_proj mlp.down_proj input_layernorm post_attention_layernorm "
    "pre_feedforward_layernorm post_feedforward_layernorm"
).split()


def _described(name: str, shape: Tuple[int, ...]) -> Param:
    layer = re.match(r"model\.layers\.(\d+)\.", name)
    role = "mlp"
    for word, of in [("embed_tokens", "embed"), ("lm_head", "head"), ("norm", "norm"), (".self_attn.", "attention")]:
        if word in name:
            role = of
            break
    if name.endswith(".bias"):
        role = "bias"
    return Param(name, shape, role, int(layer[1]) if layer else None)


def model_order(state: State) -> List[Param]:
    """The parameters of a state dict in the order of lota: embedding, layer by layer, last norm, head.

    A head that shares the memory of the embedding is left out. Names beside those of Llama's like keep their order within
    their layer.
    """
    params = [_described(name, tuple(map(int, tensor.shape))) for name, tensor in state.items()]
    head, embed = state.get("lm_head.weight"), state.get("model.embed_tokens.weight")
    if head is not None and embed is not None and _same_memory(head, embed):
        params = [param for param in params if param.name != "lm_head.weight"]

    def key(param: Param) -> Tuple[int, int, int, bool]:
        if param.layer is None:
            return ({"embed": -1, "norm": 1 << 31, "head": 1 << 32}.get(param.role, 1 << 33), 0, 0, False)
        inner = param.name.split(".", 3)[3].rsplit(".", 1)[0]
        place = _INNER.index(inner) if inner in _INNER else len(_INNER)
        return (param.layer, place, 0, param.role == "bias")

    return sorted(params, key=key)


def _same_memory(a: Any, b: Any) -> bool:
    if is_torch(a) and is_torch(b):
        return a.data_ptr() == b.data_ptr()
    return isinstance(a, np.ndarray) and isinstance(b, np.ndarray) and np.shares_memory(a, b)


_TYPES = {"F32": np.dtype("<f4"), "F16": np.dtype("<f2")}


def read_model(folder: Path_) -> Dict[str, np.ndarray]:
    """The tensors of a folder of Hugging Face's safetensors, bf16 widened to f32 (no number changes)."""
    folder = Path(folder)
    index = folder / "model.safetensors.index.json"
    files = ["model.safetensors"]
    if not (folder / files[0]).exists() and index.exists():
        files = sorted(set(json.loads(index.read_text())["weight_map"].values()))
    state: Dict[str, np.ndarray] = {}
    for file in files:
        for name, tensor in safetensors.deserialize((folder / Path(file).name).read_bytes()):
            data, shape = bytearray(tensor["data"]), tensor["shape"]
            if tensor["dtype"] == "BF16":
                array = from_bf16(np.frombuffer(data, "<u2"))
            elif tensor["dtype"] in _TYPES:
                array = np.frombuffer(data, _TYPES[tensor["dtype"]])
            else:
                raise TicketError(f"{folder / file}: tensor {name} is stored as {tensor['dtype']}: F32, F16 and BF16 are read")
            state[name] = array.reshape(shape)
    return state
