"""The compact codec of positions, decoded: an entropy code (ANS) of the gaps between them."""

from __future__ import annotations

from typing import Callable, List, NamedTuple, Sequence, Tuple

import numpy as np

_BITS = 12
_WHOLE = 1 << _BITS
_MOST = 8

# For each of 4096 places: the symbol there, where its share begins, and how large it is.
Table = List[Tuple[int, int, int]]


class Damaged(ValueError):
    """What is wrong with the code."""


class Head(NamedTuple):
    """What the code says of a parameter before its gaps."""

    entries: int
    shape: Tuple[int, int]
    rows: List[int]
    cols: List[int]
    blocks: List[int]

    @property
    def cells(self) -> int:
        return self.shape[0] * self.shape[1]

    @property
    def coded(self) -> int:
        return min(self.entries, self.cells - self.entries)


class _Bytes:
    """Bytes that are read from the front."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, count: int) -> bytes:
        if count > len(self.data) - self.at:
            raise Damaged("the code of the positions ends early")
        self.at += count
        return self.data[self.at - count : self.at]

    def number(self) -> int:
        number = 0
        for shift in range(0, 64, 7):
            byte = self.take(1)[0]
            number |= (byte & 0x7F) << shift
            if byte < 0x80:
                break
        else:
            raise Damaged("the code of the positions has a number without an end")
        if number >> 64:
            raise Damaged("the code of the positions has a number that is too large")
        return number


class _Coder:
    """The decoding half of the coder: a state of 64 bits over a stack of words of 32."""

    def __init__(self, words: np.ndarray) -> None:
        self.words: List[int] = words.tolist()
        self.state = 0
        if self.words:
            if self.words[-1] == 0:
                raise Damaged("the code of the positions ends in a word that no coder writes")
            self.state = self.words.pop()
            if self.words:
                self.state = self.state << 32 | self.words.pop()

    def symbol(self, table: Table) -> int:
        symbol, begin, share = table[self.state & (_WHOLE - 1)]
        self._next(begin, share)
        return symbol

    def bits(self, width: int) -> int:
        symbol = (self.state & (_WHOLE - 1)) >> (_BITS - width)
        self._next(symbol << (_BITS - width), 1 << (_BITS - width))
        return symbol

    def _next(self, begin: int, share: int) -> None:
        state = (self.state >> _BITS) * share + (self.state & (_WHOLE - 1)) - begin
        if state < 1 << 32 and self.words:
            state = state << 32 | self.words.pop()
        self.state = state


def _table(ends: Sequence[int]) -> Table:
    """The table of symbols that should begin at these places after the first; each gets one place at least."""
    table: Table = []
    symbols = len(ends) + 1
    for symbol, end in enumerate([*ends, _WHOLE]):
        begin = len(table)
        end = min(max(end, begin + 1), _WHOLE - (symbols - 1 - symbol))
        table += [(symbol, begin, end - begin)] * (end - begin)
    return table


def _table_of_counts(counts: Sequence[int]) -> Table:
    total, so_far, ends = max(1, sum(counts)), 0, []
    for count in counts[:-1]:
        so_far += count
        ends.append((so_far * _WHOLE + total // 2) // total)
    return _table(ends)


def _gaps(count: int, cells: int) -> Callable[[_Coder, int], int]:
    """The reader of gaps where `count` of `cells` places are taken; it is given the largest gap that may come."""
    free, low = float(cells - count) / float(cells), 0
    while 1.0 - free * free <= 0.125:
        free *= free
        low += 1
    tail, plain = free, 1
    while tail > 1.0 / 64.0 and plain < 64:
        tail *= free
        plain += 1
    left, ends = 1.0, []
    for _ in range(plain):
        left *= free
        ends.append(int((1.0 - left) * float(_WHOLE) + 0.5))
    table = _table(ends)
    widths = [min(_BITS, low - done) for done in range(0, low, _BITS)]

    def take(coder: _Coder, most: int) -> int:
        gap = 0
        while True:
            symbol = coder.symbol(table)
            gap += symbol
            if symbol < plain:
                break
            if gap << low > most:
                raise Damaged("the code of the positions makes no sense")
        for width in widths:
            gap = gap << width | coder.bits(width)
        if gap > most:
            raise Damaged("the code of the positions makes no sense")
        return gap

    return take


def _head(data: _Bytes, shape: Tuple[int, int]) -> Head:
    rows, cols = shape
    entries = data.number()
    if entries > rows * cols:
        raise Damaged("the code of the positions claims more entries than there are")
    coded = min(entries, rows * cols - entries)
    if coded == 0:
        return Head(entries, shape, [rows], [cols], [0])
    byte = data.take(1)[0] if rows <= coded and cols <= coded else 0
    n_rows, n_cols = (byte >> 4) + 1, (byte & 15) + 1
    if n_rows > _MOST or n_cols > _MOST:
        raise Damaged("the code of the positions claims too many classes")

    def numbers(length: int, total: int) -> List[int]:
        found = [data.number() for _ in range(length - 1)]
        if sum(found) > total:
            raise Damaged("the code of the positions has parts that are more than the whole")
        return [*found, total - sum(found)]

    of_rows, of_cols = numbers(n_rows, rows), numbers(n_cols, cols)
    blocks = numbers(n_rows * n_cols, coded)
    if any(count > r * c for count, (r, c) in zip(blocks, [(r, c) for r in of_rows for c in of_cols])):
        raise Damaged("the code of the positions claims more entries in a block than there are")
    return Head(entries, shape, of_rows, of_cols, blocks)


class Positions:
    """A code whose heads have been read: see how many entries it claims before `decode` is called."""

    def __init__(self, code: bytes, shapes: Sequence[Tuple[int, int]]) -> None:
        data = _Bytes(code)
        sizes = [(data.number(), data.number(), data.number()) for _ in range(data.number())]
        self.pieces: List[Tuple[List[Head], np.ndarray]] = []
        heads, at = [], 0
        for params, length, _ in sizes:
            if params > len(shapes) - at:
                raise Damaged("the code of the positions is of more parameters than the model has")
            here = _Bytes(data.take(length))
            heads.append([_head(here, shape) for shape in shapes[at : at + params]])
            if here.at != length:
                raise Damaged("the code of the positions has heads of no parameter")
            at += params
        for here_, (_, _, words) in zip(heads, sizes):
            self.pieces.append((here_, np.frombuffer(data.take(4 * words), "<u4")))
        if at != len(shapes) or data.at != len(code):
            raise Damaged("the code of the positions does not fit the model")
        self.entries = sum(head.entries for here_ in heads for head in here_)

    def decode(self) -> List[np.ndarray]:
        """The flat positions of each parameter, in rising order."""
        found = []
        for heads, words in self.pieces:
            coder = _Coder(words)
            for head in heads:
                coded = _one_block(head, coder) if len(head.blocks) == 1 else _weave(head, coder)
                if head.entries > head.cells - head.entries:
                    keep = np.ones(head.cells, bool)
                    keep[coded] = False
                    coded = np.flatnonzero(keep)
                found.append(coded.astype(np.uint32))
            if coder.state:
                raise Damaged("the code of the positions holds more than its heads say")
        return found


def _one_block(head: Head, coder: _Coder) -> np.ndarray:
    out = np.empty(head.coded, np.int64)
    if head.coded:
        take, after = _gaps(head.coded, head.cells), 0
        for i in range(head.coded):
            most = head.cells - after - (head.coded - i)
            after += take(coder, most)
            out[i] = after
            after += 1
    return out


def _labels(sizes: List[int], coder: _Coder) -> List[int]:
    """The class of each line, of which there are so many of each."""
    lines = sum(sizes)
    if len(sizes) == 1:
        return [0] * lines
    table = _table_of_counts(sizes)
    labels = [coder.symbol(table) for _ in range(lines)]
    if [labels.count(i) for i in range(len(sizes))] != sizes:
        raise Damaged("the code of the positions makes no sense")
    return labels


def _weave(head: Head, coder: _Coder) -> np.ndarray:
    """Positions of several blocks: a class of rows and one of columns meet in each; they lie row by row."""
    rows = _labels(head.rows, coder)
    cols = _labels(head.cols, coder)
    members = [[i for i, label in enumerate(cols) if label == c] for c in range(len(head.cols))]
    cells = [r * c for r in head.rows for c in head.cols]
    takes = [_gaps(n, cells[i]) if 0 < n < cells[i] else None for i, n in enumerate(head.blocks)]
    nowhere = 1 << 64
    ahead, left = [], []
    for block, (count, take) in enumerate(zip(head.blocks, takes)):
        first = take(coder, cells[block] - count) if take else (0 if count else nowhere)
        ahead.append(first)
        left.append(max(0, count - 1))
    out: List[int] = []
    seen = [0] * len(head.rows)
    for row, label in enumerate(rows):
        rank = seen[label]
        seen[label] += 1
        here = []
        for c, of_class in enumerate(members):
            block = label * len(members) + c
            begin = rank * len(of_class)
            end, next_ = begin + len(of_class), ahead[block]
            take = takes[block]
            while next_ < end:
                here.append(row * head.shape[1] + of_class[next_ - begin])
                if left[block] == 0:
                    next_ = nowhere
                    break
                left[block] -= 1
                next_ += 1
                if take:
                    next_ += take(coder, cells[block] - next_ - left[block] - 1)
            ahead[block] = next_
        out += sorted(here)
    if len(out) != head.coded:
        raise Damaged("the code of the positions makes no sense")
    return np.array(out, np.int64)
