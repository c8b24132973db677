"""Lists of typed blocks that come in pieces: parts of a content, `reasoning_details`, `thinking_blocks`."""

from __future__ import annotations

from typing import Any

from llm.operations.accumulation.growing import Record, Text, Value, index_of

# The fields of a block that hold its text. Mistral's `thinking` is a list of blocks again.
TEXTS = ("text", "thinking", "reasoning", "summary", "refusal", "transcript")


class Blob(Text):
    """Encrypted data. The same again is a repetition; something else is the next piece."""

    def __init__(self) -> None:
        super().__init__()
        self._length = 0

    def add(self, value: Any) -> None:
        # The length is compared first: to join the pieces for each one that comes would cost their number squared.
        if not isinstance(value, str) or len(value) != self._length or value != self.whole():
            self._length += len(value) if isinstance(value, str) else 0
            super().add(value)


class InnerText:
    """The text of a block: mostly text, sometimes a list of blocks."""

    def __init__(self) -> None:
        self._text, self._blocks = Text(), Blocks()

    def add(self, value: Any) -> None:
        (self._blocks if isinstance(value, list) else self._text).add(value)

    def whole(self) -> Any:
        text, blocks = self._text.whole(), self._blocks.whole()
        if not blocks:
            return blocks if text is None else text
        return [*blocks, {"type": "text", "text": text}] if text else blocks


class Block:
    """One block. `signature` closes it: what is signed is whole."""

    def __init__(self) -> None:
        self._record = Record({**dict.fromkeys(TEXTS, InnerText), "data": Blob}, Value)

    def add(self, piece: dict[str, Any]) -> None:
        if piece.get("signature"):
            # LiteLLM sends the whole text again beside its signature.
            repeated = [name for name in TEXTS if piece.get(name) and piece[name] == self.get(name)]
            piece = {name: value for name, value in piece.items() if name not in repeated}
        self._record.add(piece)

    def whole(self) -> Any:
        return self._record.whole()

    def goes_on_with(self, piece: dict[str, Any]) -> bool:
        """Is a piece without an index more of the same? It has text or a signature, and contradicts nothing."""
        if self.get("signature") or not any(piece.get(name) for name in (*TEXTS, "signature")):
            return False
        return self.get("type") == piece.get("type") and all(
            value is None or (before := self.get(name)) is None or before == value
            for name, value in piece.items()
            if name not in TEXTS and name != "signature"
        )

    def get(self, name: str) -> Any:
        return self._record.whole_of(name)


class Blocks:
    """Blocks in the order of their indexes, or that in which they began where they have none.

    Pieces with an index belong to the block of this index, type and id: Gemini's thoughts, readable and encrypted, all
    have index 0. Without one, a piece goes on with the last block where that has the same type, is not signed, and has
    no other value for any field.
    """

    def __init__(self) -> None:
        self._blocks: list[Block | Any] = []
        self._at: dict[tuple[int, str | None, str | None], Block] = {}
        self._empty: Any = None

    def add(self, value: Any) -> None:
        if isinstance(value, list):
            self._empty = [] if self._empty is None else self._empty
            for piece in value:
                self._add(piece)

    def whole(self) -> Any:
        if not self._blocks:
            return self._empty
        blocks = [block.whole() if isinstance(block, Block) else block for block in self._blocks]
        indexes = [index_of(block) for block in blocks]
        if None in indexes:
            return blocks
        return [blocks[n] for n in sorted(range(len(blocks)), key=lambda n: indexes[n] or 0)]

    def add_text(self, text: str) -> None:
        last = self._blocks[-1] if self._blocks else None
        output_text = {"type": "output_text", "text": text}
        goes_on = isinstance(last, Block) and last.goes_on_with(output_text)
        self._add(output_text if goes_on else {"type": "text", "text": text})

    def _add(self, piece: Any) -> None:
        if not isinstance(piece, dict):
            self._blocks.append(piece)
        elif _is_empty_text(piece):
            # Between two thoughts, an empty text would cut one thought in two, which Mistral refuses to read again.
            self._empty = self._empty or [piece]
        else:
            self._block_of(piece).add(piece)

    def _block_of(self, piece: dict[str, Any]) -> Block:
        index = index_of(piece)
        if index is None:
            last = self._blocks[-1] if self._blocks else None
            return last if isinstance(last, Block) and last.goes_on_with(piece) else self._begin()
        kind, name = _word(piece, "type"), _word(piece, "id")
        block = self._at.get((index, kind, None))
        if block is not None and name and block.get("id") not in (None, name):
            block = self._at.get((index, kind, name))
        block = block or self._begin()
        for key in ((index, kind, name), (index, kind, None), (index, None, None)):
            self._at[key] = block
        return block

    def _begin(self) -> Block:
        block = Block()
        self._blocks.append(block)
        return block


def _word(piece: dict[str, Any], name: str) -> str | None:
    word = piece.get(name)
    return word if isinstance(word, str) and word else None


def _is_empty_text(piece: dict[str, Any]) -> bool:
    fields = piece.keys() - {"type", "index"}
    return bool(fields) and all(name in TEXTS and not piece[name] for name in fields)
