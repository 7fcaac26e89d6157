"""The container of a ticket: a safetensors file whose last tensor is the BLAKE3 hash of everything before it."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Dict, List, Tuple, Union

import numpy as np

from ._blake3 import blake3

Path_ = Union[str, "os.PathLike[str]"]
_WIDTHS = {"F32": 4, "BF16": 2, "U8": 1, "I8": 1}
_MAX_HEADER = 100 << 20


class TicketError(ValueError):
    """A file or a model that does not fit: the message says which and why."""


def read(path: Path_) -> Tuple[Dict[str, str], Dict[str, Tuple[str, np.ndarray]]]:
    """The metadata, and for each tensor its type and its bytes; the checksum is compared and left out."""
    data = np.fromfile(path, np.uint8)

    def bad(what: str) -> TicketError:
        return TicketError(f"{path}: {what}")

    length = int(data[:8].view("<u8")[0]) if data.size >= 8 else _MAX_HEADER + 1
    if length > min(_MAX_HEADER, data.size - 8):
        raise bad("is not a ticket file, or is cut short")
    try:
        header = json.loads(data[8 : 8 + length].tobytes())
        metadata = header.pop("__metadata__", {})
        entries = [
            (*map(int, t["data_offsets"]), name, str(t["dtype"]), list(map(int, t["shape"])))
            for name, t in header.items()
        ]
    except (ValueError, KeyError, TypeError, AttributeError) as e:
        raise bad(f"is not a ticket file: its header cannot be read ({e})") from None
    if not isinstance(metadata, dict) or metadata.get("format") != "lota-ticket":
        raise bad("is not a ticket file")
    at, tensors = 0, {}
    for begin, end, name, dtype, shape in sorted(entries):
        fits = len(shape) == 1 and end - begin == shape[0] * _WIDTHS.get(dtype, -1)
        if begin != at or not fits:
            raise bad(f"is damaged: its tensor {name} makes no sense")
        at = end
        tensors[name] = (dtype, data[8 + length + begin : 8 + length + end])
    if 8 + length + at != data.size:
        raise bad(f"is cut short or too long: it has {data.size} bytes of {8 + length + at}")
    last = max(entries)[2] if entries else ""
    if last != "checksum" or tensors["checksum"][1].size != 32:
        raise bad("is damaged: it has no checksum at its end")
    if blake3([data[:-32]]) != tensors.pop("checksum")[1].tobytes():
        raise bad("is damaged: its checksum does not fit its contents")
    return metadata, tensors


def write(path: Path_, metadata: Dict[str, str], tensors: List[Tuple[str, str, np.ndarray]]) -> int:
    """Writes a file whole or not at all, the widest types first; `tensors` are names, types and values. Returns its size."""
    tensors = sorted(tensors, key=lambda t: -_WIDTHS[t[1]])
    header: Dict[str, object] = {"__metadata__": metadata}
    at = 0
    parts = [(name, dtype, np.ascontiguousarray(values).view(np.uint8)) for name, dtype, values in tensors]
    for name, dtype, raw in parts + [("checksum", "U8", np.zeros(32, np.uint8))]:
        header[name] = {"dtype": dtype, "shape": [raw.size // _WIDTHS[dtype]], "data_offsets": [at, at + raw.size]}
        at += raw.size
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    pieces = [len(text).to_bytes(8, "little"), text] + [raw for _, _, raw in parts]
    path = Path(path)
    handle, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as out:
            for piece in pieces:
                out.write(piece)
            out.write(blake3(pieces))
            out.flush()
            os.fsync(out.fileno())
        os.chmod(beside, 0o666 & ~_umask())
        os.replace(beside, path)
    except BaseException:
        os.unlink(beside)
        raise
    return 8 + len(text) + at


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
