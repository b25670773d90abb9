"""A page as a stream: buffered until the end of its head, rendered, and passed through from there on."""

import codecs
import zlib
from collections.abc import Sequence
from typing import Final

from ff_observe.frontend.markup import Scanner
from ff_observe.frontend.page import Sources, apply, codec_of, edits_for, encode
from ff_observe.frontend.scripts import Script

# A page with a longer head is passed through unchanged: its bytes must not pile up in the server.
LONGEST_HEAD: Final = 1 << 20


class PageStream:
    """Bytes of a page in, bytes of the rendered page out."""

    def __init__(self, scripts: Sequence[Script], sources: Sources | None = None) -> None:
        self._scripts = scripts
        self._sources = sources
        self._start = b""  # until the codec is known
        self._codec = ""
        self._decoder: codecs.IncrementalDecoder | None = None
        self._scanner = Scanner(head_only=True)
        self.decided = False  # these are set once it is
        self.changed = False
        self.added = 0  # by how many bytes the page has grown

    def feed(self, piece: bytes) -> bytes:
        """The bytes that can be sent now."""
        if self.decided:
            return piece
        if self._decoder is None:
            self._start += piece
            if len(self._start) < 2:
                return b""
            self._begin()
        else:
            self._scanner.feed(self._decoder.decode(piece))
        if self._scanner.head_is_over or len(self._scanner.text) > LONGEST_HEAD:
            return self._decide()
        return b""

    def finish(self) -> bytes:
        """The remaining bytes at the end of the page."""
        if self.decided:
            return b""
        if self._decoder is None:
            self._begin()
        return self._decide()

    def _begin(self) -> None:
        self._codec = codec_of(self._start)
        self._decoder = codecs.getincrementaldecoder(self._codec)("surrogatepass")
        self._scanner.feed(self._decoder.decode(self._start))

    def _decide(self) -> bytes:
        assert self._decoder is not None
        self.decided = True
        text = self._scanner.text
        held = self._decoder.getstate()[0]  # a character split between two pieces
        edits = edits_for(self._scanner.places, self._scripts, self._sources) or []
        body = encode(apply(edits, text), self._codec)
        self.changed = bool(edits)
        self.added = len(body) - len(encode(text, self._codec))
        self._scanner = Scanner()  # frees the text
        return body + held


class Identity:
    """No content coding: decodes what comes in, encodes what goes out."""

    def decode(self, piece: bytes, *, last: bool) -> bytes:
        return piece

    def encode(self, piece: bytes, *, last: bool) -> bytes:
        return piece


class Gzip(Identity):
    """`Content-Encoding: gzip`. The output is flushed each time, so that a streamed page still streams."""

    def __init__(self) -> None:
        self._inflate = zlib.decompressobj(wbits=31)
        self._deflate = zlib.compressobj(level=6, wbits=31)
        self._begun = False

    def decode(self, piece: bytes, *, last: bool) -> bytes:
        """Raises `zlib.error` where the piece is not gzip, and where the last one leaves it incomplete."""
        self._begun = self._begun or bool(piece)
        plain = self._inflate.decompress(piece)
        # a gzip file may consist of several members, one after the other (RFC 1952, 2.2)
        while self._inflate.unused_data:
            rest = self._inflate.unused_data
            self._inflate = zlib.decompressobj(wbits=31)
            plain += self._inflate.decompress(rest)
        if last and self._begun and not self._inflate.eof:
            raise zlib.error("the body ends before its gzip does")
        return plain

    def encode(self, piece: bytes, *, last: bool) -> bytes:
        return self._deflate.compress(piece) + self._deflate.flush(zlib.Z_FINISH if last else zlib.Z_SYNC_FLUSH)
