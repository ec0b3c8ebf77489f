"""Files of the IDX format, as MNIST has them."""

import struct


def idx_bytes(array, magic=None):
    magic = 0x0800 | array.ndim if magic is None else magic
    return struct.pack(f">{1 + array.ndim}I", magic, *array.shape) + array.tobytes()
