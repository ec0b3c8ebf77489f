"""Lengths that an FST file claims for its contents, before its reader reserves memory for them.

The reader ends the whole process where it does not get the memory. The layout of blocks is that of
GTKWave's fstapi.c: a byte of kind and eight of length, then lengths of the block's own.
"""

from pathlib import Path

#: Offsets of lengths (eight bytes, most significant first) in a block, by its kind; negative ones
#: count from its end.
_CLAIMS = {
    0: (41, 49, 57, 65),  # header: scopes, variables, signals, blocks of values
    1: (-24, -16, -8),  # values: bytes of the table of times, compressed ones, times
    3: (9, 17),  # widths: bytes, signals
    4: (9,),  # names: bytes
    5: (-24, -16, -8),
    6: (9,),
    7: (9, 17),
    8: (-24, -16, -8),
    254: (9,),  # all of the file, compressed
}
#: Largest ratio of a content to the file, above a size that never hurts: compressed twice by LZ4,
#: or once by zlib, of which the ratio is about 1,000.
_MOST_RATIO, _SMALL = 1 << 14, 1 << 24


def check_claims(path: Path, name: str) -> None:
    """Raise a ValueError if an FST file claims more than it may hold; other files pass.

    Parameters
    ----------
    path
        The file.
    name
        Its name in errors.
    """
    size = path.stat().st_size
    most = max(_MOST_RATIO * size, _SMALL)
    with path.open("rb") as file:
        at = 0
        while at + 9 <= size:
            file.seek(at)
            head = file.read(9)
            kind, length = head[0], int.from_bytes(head[1:], "big")
            if not at and not (kind == 254 or (kind, length) == (0, 329)):
                return  # another format
            for place in _CLAIMS.get(kind, ()):
                offset = at + place if place > 0 else at + 1 + length + place
                if not at < offset <= size - 8:
                    continue
                file.seek(offset)
                claim = int.from_bytes(file.read(8), "big")
                if claim > most:
                    raise ValueError(
                        f"{name} is no whole FST file: it claims {claim:,} bytes or entries, "
                        f"in a file of {size:,}"
                    )
            at += 1 + max(length, 8)
