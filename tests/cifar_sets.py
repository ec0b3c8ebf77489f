"""Small data sets in the formats of CIFAR-10, written as the published files are."""

import struct

import numpy as np

NAMES = (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch")
FOLDERS = {"python": "cifar-10-batches-py", "binary": "cifar-10-batches-bin"}


def batches(count=3):
    """Name -> planes (count, 3, 32, 32) and labels (count,) of each file, all of them different."""
    random = np.random.default_rng(7)
    return {
        name: (
            random.integers(0, 256, (count, 3, 32, 32), np.uint8),
            random.integers(0, 10, count).astype(np.uint8),
        )
        for name in NAMES
    }


def records(pixels, labels):
    """A file of the binary version."""
    return b"".join(bytes([label]) + image.tobytes() for image, label in zip(pixels, labels))


def python_2(pixels, labels):
    """A file of the Python version, operation by operation as Python 2 and its NumPy wrote it."""

    def string(value):
        short = len(value) < 256
        return (
            b"U" + bytes([len(value)]) if short else b"T" + struct.pack("<i", len(value))
        ) + value

    memo = iter(range(256))

    def kept(operations):
        return operations + b"q" + bytes([next(memo)])

    rows = pixels.reshape(len(pixels), -1)
    kind = kept(b"cnumpy\ndtype\n") + string(b"u1") + b"K\0K\1\x87R"
    kind += b"(K\3" + string(b"|") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb"
    array = kept(b"cnumpy.core.multiarray\n_reconstruct\n") + kept(b"cnumpy\nndarray\n")
    array += b"K\0\x85" + string(b"b") + b"\x87R"
    array += b"(K\1M" + struct.pack("<H", len(rows)) + b"M\0\x0c\x86" + kind + b"\x89"
    array += string(rows.tobytes()) + b"tb"
    return (
        b"\x80\2}"
        + kept(b"(" + string(b"batch_label"))
        + string(b"training batch 1 of 5")
        + string(b"labels")
        + b"]("
        + b"".join(b"K" + bytes([label]) for label in labels)
        + b"e"
        + string(b"data")
        + array
        + string(b"filenames")
        + b"]("
        + b"".join(string(b"tabby_s_%06d.png" % number) for number in range(len(labels)))
        + b"eu."
    )


def write(folder, version, count=3):
    """A whole data set of that version; what `batches` says it holds."""
    folder.mkdir(parents=True, exist_ok=True)
    made = batches(count)
    for name, (pixels, labels) in made.items():
        if version == "python":
            (folder / name).write_bytes(python_2(pixels, labels))
        else:
            (folder / f"{name}.bin").write_bytes(records(pixels, labels))
    return made
