"""Tickets: read, applied in place and taken off, written, made of two models."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Dict, List, Optional, Sequence, Tuple, Type, Union

import numpy as np
from pyroaring import BitMap

from . import _compact, _file
from ._file import Path_, TicketError
from ._model import Param, State, find, fingerprint, from_bf16, is_torch, model_order, numbers, to_bf16

_TYPES = {"f32": "F32", "bf16": "BF16", "int8": "I8", "ternary": "U8"}


class Applied:
    """A ticket that is applied: `unapply()`, or leaving a `with` block, puts back the bits it overwrote."""

    def __init__(self, kept: List[Tuple[Any, Any, Any]]) -> None:
        self._kept = kept

    def unapply(self) -> None:
        """Takes the ticket off. Of several, the last one first."""
        for flat, index, old in self._kept:
            flat[index] = old
        self._kept = []

    def __enter__(self) -> "Applied":
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.unapply()


@dataclass
class Ticket:
    """A mask, a value for each of its entries, and where they came from."""

    universe: List[Param]
    """All parameters of the model, in order."""
    entries: Dict[str, np.ndarray]
    """For each parameter with entries their flat row-major indices, rising, as uint32."""
    values: Dict[str, np.ndarray]
    """For each of them what the weights become, as f32."""
    base: str
    """The fingerprint of the model it belongs to."""
    method: str = ""
    settings: Dict[str, Any] = field(default_factory=dict)
    seed: Optional[int] = None
    data: Optional[str] = None
    made_by: str = "lota_ticket"

    def __len__(self) -> int:
        return sum(index.size for index in self.entries.values())

    def check(self, state: State) -> None:
        """An error unless these are the names, shapes and weights of its base."""
        found = fingerprint(state, self.universe)
        if found != self.base:
            raise TicketError(
                f"the ticket was made on another base: the fingerprint of that model is {self.base[:16]}, and that of this one "
                f"is {found[:16]}"
            )

    def apply(self, state: State, any_base: bool = False) -> Applied:
        """Writes the values into the tensors, in place, rounded to their type. `state` must be its base, unless `any_base`."""
        params = [param for param in self.universe if param.name in self.entries]
        flats = [_flat(find(state, param), param.name) for param in params]
        if not any_base:
            self.check(state)
        kept: List[Tuple[Any, Any, Any]] = []
        for param, flat in zip(params, flats):
            index, new = self.entries[param.name].astype(np.int64), self.values[param.name]
            if is_torch(flat):
                torch = __import__("sys").modules["torch"]
                index = torch.from_numpy(index).to(flat.device)
                new = torch.from_numpy(np.array(new)).to(device=flat.device, dtype=flat.dtype)
            elif flat.dtype == np.uint16:
                new = to_bf16(new)
            else:
                with np.errstate(over="ignore"):
                    new = new.astype(flat.dtype)
            kept.append((flat, index, flat[index].clone() if is_torch(flat) else flat[index]))
            flat[index] = new
        return Applied(kept)

    def save(self, path: Path_, values: str = "f32") -> int:
        """Writes the ticket, plain, with f32 or bf16 values: version 1 of the format. `lota ticket convert` makes it smaller.

        Returns the size of the file in bytes.
        """
        if values not in ("f32", "bf16"):
            raise TicketError(f"{values!r} is no type of values that is written here: use f32 or bf16, and lota for the others")
        metadata = {
            "format": "lota-ticket",
            "version": "1",
            "base": self.base,
            "method": self.method,
            "settings": json.dumps(self.settings, ensure_ascii=False),
            "made_by": self.made_by,
            "universe": json.dumps([param._asdict() for param in self.universe], ensure_ascii=False),
            "entries": str(len(self)),
        }
        if self.seed is not None:
            metadata["seed"] = str(self.seed)
        if self.data is not None:
            metadata["data"] = self.data
        tensors, loss = [], _Loss()
        for param in self.universe:
            if param.name not in self.entries:
                continue
            index, new = self.entries[param.name], self.values[param.name]
            sets = BitMap(index)
            sets.run_optimize()
            tensors.append((f"{param.name}.index", "U8", np.frombuffer(sets.serialize(), np.uint8)))
            narrow = to_bf16(new) if values == "bf16" else new.astype("<f4")
            tensors.append((f"{param.name}.values", _TYPES[values], narrow))
            if values == "bf16":
                loss.add(new, from_bf16(narrow))
        if values == "bf16":
            metadata["max_error"], metadata["relative_error"] = repr(loss.most), repr(loss.relative())
        return _file.write(path, metadata, tensors)


class _Loss:
    """How far written values are from what they stand for."""

    def __init__(self) -> None:
        self.most, self.square, self.of = 0.0, 0.0, 0.0

    def add(self, exact: np.ndarray, written: np.ndarray) -> None:
        wide, finite = exact.astype(np.float64), np.isfinite(exact)
        off = np.where(finite, wide - written, 0.0)
        self.most = max(self.most, float(np.abs(off).max(initial=0.0)))
        self.square += float(off @ off)
        self.of += float(wide[finite] @ wide[finite])

    def relative(self) -> float:
        return math.sqrt(self.square / self.of) if self.of > 0.0 else 0.0


def _flat(tensor: Any, name: str) -> Any:
    """A flat view of a tensor, through which it is changed; of bfloat16 as uint16."""
    if is_torch(tensor):
        if not tensor.is_contiguous():
            raise TicketError(f"parameter {name} is not contiguous in memory")
        return tensor.detach().view(-1)
    if not isinstance(tensor, np.ndarray) or not tensor.flags.c_contiguous or not tensor.flags.writeable:
        raise TicketError(f"parameter {name} is to be changed in place: a writable contiguous array is needed")
    if tensor.dtype.name == "bfloat16":
        return tensor.view(np.uint16).reshape(-1)
    if tensor.dtype not in (np.float32, np.float16):
        raise TicketError(f"parameter {name} is of type {tensor.dtype}: f32, f16 and bfloat16 are known")
    return tensor.reshape(-1)


def load(path: Path_, base: Optional[State] = None) -> Ticket:
    """Reads a ticket file of either codec and of versions 1 and 2.

    `base` is needed where the file holds differences from it (int8 and ternary written with a base); it is checked then.
    """
    metadata, tensors = _file.read(path)

    def bad(what: str) -> TicketError:
        return TicketError(f"{path}: {what}")

    try:
        return _read(metadata, tensors, base)
    except TicketError as e:
        raise bad(str(e)) from None
    except KeyError as e:
        raise bad(f"is damaged: it lacks {e}") from None
    except (_compact.Damaged, ValueError, TypeError) as e:
        raise bad(f"is damaged: {e}") from None


def _read(metadata: Dict[str, str], tensors: Dict[str, Tuple[str, np.ndarray]], base: Optional[State]) -> Ticket:
    version = int(metadata["version"])
    if version > 2:
        raise TicketError(f"is a ticket file of version {version}, and versions up to 2 are read")
    if version == 1:
        narrow = any(name.endswith(".values") and dtype == "BF16" for name, (dtype, _) in tensors.items())
        codec, kind, of = "plain", "bf16" if narrow else "f32", "weights"
    else:
        codec, kind, of = metadata["codec"], metadata["values"], metadata["values_of"]
        if (codec, int(metadata["codec_version"])) not in (("plain", 1), ("compact", 1)):
            raise TicketError(f"is written by version {metadata['codec_version']} of the codec {codec}, which is not known")
        if kind not in _TYPES or of not in ("weights", "differences"):
            raise TicketError(f"has values of type {kind}, of {of}, which is not known")
    universe = [
        Param(str(p["name"]), tuple(map(int, p["shape"])), str(p["role"]), p["layer"])
        for p in json.loads(metadata["universe"])
    ]
    if any(param.entries > 1 << 32 or min(param.shape, default=1) < 1 for param in universe):
        raise TicketError("is damaged: a parameter is empty or has more than 2^32 entries")
    lists = (_plain if codec == "plain" else _compacted)(universe, tensors, kind)
    entries = {param.name: index for param, (index, _) in zip(universe, lists) if index.size}
    values = {param.name: numbers_ for param, (_, numbers_) in zip(universe, lists) if numbers_.size}
    seed = metadata.get("seed")
    ticket = Ticket(
        universe,
        entries,
        values,
        metadata["base"],
        metadata["method"],
        json.loads(metadata["settings"]),
        None if seed is None else int(seed),
        metadata.get("data"),
        metadata["made_by"],
    )
    if of == "differences":
        if base is None:
            raise TicketError("holds differences from its base: give that model's weights (base=)")
        ticket.check(base)
        for param in universe:
            if param.name in entries:
                old = numbers(find(base, param), param.name)
                values[param.name] = values[param.name] + old[entries[param.name]]
    return ticket


def _steps(raw: np.ndarray, count: int, kind: str) -> np.ndarray:
    """Numbers as they are written: f32, or the steps of int8 and ternary."""
    if kind == "ternary":
        digits = raw[:, None] // np.array([1, 3, 9, 27, 81], np.uint8) % 3
        if (raw > 242).any() or raw.size != -(-count // 5) or digits.reshape(-1)[count:].any():
            raise TicketError("is damaged: its values are not ternary, or not as many as its positions")
        return digits.reshape(-1)[:count].astype(np.float32) - 1
    width = {"f32": 4, "bf16": 2, "int8": 1}[kind]
    if raw.size != width * count:
        raise TicketError("is damaged: its values are not as many as its positions")
    raw = np.ascontiguousarray(raw)
    if kind == "bf16":
        return from_bf16(raw.view("<u2"))
    return raw.view("<f4").astype(np.float32) if kind == "f32" else raw.view(np.int8).astype(np.float32)


def _row_starts(index: np.ndarray, cols: int) -> Tuple[np.ndarray, int]:
    """For each entry the place of its row among the rows that have entries, and how many these are."""
    if not index.size:
        return np.zeros(0, np.int64), 0
    rows = index.astype(np.int64) // cols
    place = np.cumsum(np.concatenate([[0], (rows[1:] != rows[:-1]).astype(np.int64)]))
    return place, int(place[-1]) + 1


def _scaled(steps: np.ndarray, scales: np.ndarray, place: np.ndarray, rows: int) -> np.ndarray:
    if scales.size != rows:
        raise TicketError("is damaged: its scales are not as many as its rows")
    with np.errstate(over="ignore", invalid="ignore"):
        return steps * scales[place] if rows else steps


Lists = List[Tuple[np.ndarray, np.ndarray]]


def _plain(universe: Sequence[Param], tensors: Dict[str, Tuple[str, np.ndarray]], kind: str) -> Lists:
    known = {f"{param.name}{end}" for param in universe for end in (".index", ".values", ".scales")}
    if not known.issuperset(tensors):
        raise TicketError("is damaged: it has a tensor of no parameter")
    found = []
    for param in universe:
        raw = _typed(tensors, f"{param.name}.values", kind)
        code = tensors.get(f"{param.name}.index")
        bits = BitMap.deserialize(code[1].tobytes()) if code is not None else BitMap()
        # A few bytes can stand for billions of positions: they are listed when there are as many values.
        steps = _steps(raw, len(bits), kind)
        if len(bits) and bits.max() >= param.entries:
            raise TicketError(f"is damaged: the set of parameter {param.name} goes past its end")
        index = np.frombuffer(bits.to_array(), np.uint32) if len(bits) else np.zeros(0, np.uint32)
        if kind in ("int8", "ternary"):
            scales = _floats(tensors.get(f"{param.name}.scales"))
            steps = _scaled(steps, scales, *_row_starts(index, param.rows_cols[1]))
        found.append((index, steps))
    return found


def _compacted(universe: Sequence[Param], tensors: Dict[str, Tuple[str, np.ndarray]], kind: str) -> Lists:
    if not {"index", "values", "scales"}.issuperset(tensors):
        raise TicketError("is damaged: it has a tensor that no codec writes")
    positions = _compact.Positions(tensors["index"][1].tobytes(), [param.rows_cols for param in universe])
    steps = _steps(_typed(tensors, "values", kind), positions.entries, kind)
    indices = positions.decode()
    cuts = np.cumsum([index.size for index in indices])[:-1]
    lists = np.split(steps, cuts)
    if kind in ("int8", "ternary"):
        rows = [_row_starts(index, param.rows_cols[1]) for param, index in zip(universe, indices)]
        scales = _floats(tensors.get("scales"))
        if scales.size != sum(count for _, count in rows):
            raise TicketError("is damaged: its scales are not as many as its rows")
        each = np.split(scales, np.cumsum([count for _, count in rows])[:-1])
        lists = [_scaled(steps, of, *row) for steps, of, row in zip(lists, each, rows)]
    return list(zip(indices, lists))


def _typed(tensors: Dict[str, Tuple[str, np.ndarray]], name: str, kind: str) -> np.ndarray:
    dtype, raw = tensors.get(name, (_TYPES[kind], np.zeros(0, np.uint8)))
    if dtype != _TYPES[kind]:
        raise TicketError(f"is damaged: its tensor {name} is {dtype}, and should be {kind}")
    return raw


def _floats(tensor: Optional[Tuple[str, np.ndarray]]) -> np.ndarray:
    if tensor is None or tensor[0] != "F32":
        return np.zeros(0, np.float32)
    return np.ascontiguousarray(tensor[1]).view("<f4").astype(np.float32)


def from_states(
    base: State,
    tuned: State,
    density: float = 0.1,
    params: Optional[Sequence[str]] = None,
    universe: Optional[Sequence[Param]] = None,
    method: str = "difference",
    settings: Optional[Dict[str, Any]] = None,
) -> Ticket:
    """The ticket of the entries that moved most between two models: exactly round(density · n) of the n entries of `params`,
    ties broken by position, as `lota ticket from` chooses them.

    `params` are names; without them all matrices of attention and MLP. `universe` is that of another ticket of this model;
    without it the parameters are those of `base`, in the order of `model_order`.
    """
    everything = list(universe if universe is not None else model_order(base))
    if params is None:
        chosen = [p for p in everything if p.role in ("attention", "mlp") and len(p.shape) == 2]
    else:
        unknown = set(params) - {p.name for p in everything}
        if unknown:
            raise TicketError(f"no parameter is called {sorted(unknown)[0]!r}")
        chosen = [p for p in everything if p.name in set(params)]
    deltas = []
    for param in chosen:
        moved = np.abs(numbers(find(tuned, param), param.name) - numbers(find(base, param), param.name))
        if np.isnan(moved).any():
            raise TicketError(f"parameter {param.name} has entries that are not numbers")
        deltas.append(moved)
    total = sum(moved.size for moved in deltas)
    count = math.floor(density * total + 0.5)
    if not 0.0 <= density <= 1.0 or count == 0:
        raise TicketError(f"a density of {density} of {total} entries leaves none, or is not between 0 and 1")
    every = np.concatenate(deltas)
    cut = np.partition(every, total - count)[total - count]
    if cut == 0.0 and count != total:
        raise TicketError(f"{count} entries are asked for, and only {np.count_nonzero(every)} have moved")
    over = int(np.count_nonzero(every > cut))
    ties = np.flatnonzero(every == cut)[: count - over]
    take = every > cut
    take[ties] = True
    entries: Dict[str, np.ndarray] = {}
    values: Dict[str, np.ndarray] = {}
    for param, here in zip(chosen, np.split(take, np.cumsum([moved.size for moved in deltas])[:-1])):
        index = np.flatnonzero(here).astype(np.uint32)
        if index.size:
            entries[param.name] = index
            values[param.name] = numbers(find(tuned, param), param.name)[index]
    about = {"density": density, **(settings or {})}
    return Ticket(everything, entries, values, fingerprint(base, everything), method, about)
