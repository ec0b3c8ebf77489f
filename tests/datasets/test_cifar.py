"""CIFAR-10: both versions, wherever they are, every kind of damage, and pickles that mean harm."""

import os
import pickle
import struct

import numpy as np
import pytest
from cifar_sets import FOLDERS, NAMES, batches, python_2, records, write

from golden.datasets import DatasetError, cifar10, load

every_version = pytest.mark.parametrize("version", FOLDERS)


def refusal(folder):
    """What `cifar10` says of the folder, and `load` in the same words."""
    messages = set()
    for read in cifar10, load:
        with pytest.raises(DatasetError) as caught:
            read(folder)
        messages.add(str(caught.value))
    assert len(messages) == 1
    message = messages.pop()
    assert "\n" not in message and len(message) < 500
    return message


def holds(data, made):
    """Whether a data set is made of those batches, pixel for pixel."""
    images = np.zeros((0, 32, 32, 3), np.uint8)
    for name in NAMES[:-1]:
        # Channel by channel, not by a transposition as in the reader.
        pixels = np.stack([made[name][0][:, channel] for channel in range(3)], axis=-1)
        images = np.concatenate([images, pixels])
    labels = np.concatenate([made[name][1] for name in NAMES[:-1]])
    test = np.stack([made["test_batch"][0][:, channel] for channel in range(3)], axis=-1)
    return (
        np.array_equal(data.train_images, images)
        and np.array_equal(data.train_labels, labels)
        and np.array_equal(data.test_images, test)
        and np.array_equal(data.test_labels, made["test_batch"][1])
    )


@pytest.mark.filterwarnings("ignore:dtype")  # NumPy's, of what its versions of old wrote
def test_the_made_pickles_are_pickles():
    pixels, labels = batches()["data_batch_1"]
    content = pickle.loads(python_2(pixels, labels), encoding="bytes")
    assert np.array_equal(content[b"data"], pixels.reshape(3, -1))
    assert content[b"labels"] == labels.tolist()
    assert content[b"filenames"][2] == b"tabby_s_000002.png"


@every_version
@pytest.mark.parametrize("read", [cifar10, load])
@pytest.mark.parametrize("below", [False, True])
def test_a_data_set_reads_back(tmp_path, version, read, below):
    made = write(tmp_path / FOLDERS[version] if below else tmp_path, version)
    data = read(str(tmp_path))
    assert holds(data, made)
    assert data.shape == (32, 32, 3) and data.classes == 10 and data.pixel_max == 255
    assert data.name == "cifar-10"
    assert data.train_images.flags.c_contiguous and data.test_images.flags.c_contiguous


def test_both_versions_are_the_same_data(tmp_path):
    write(tmp_path / "a", "python", 2)
    write(tmp_path / "b", "binary", 2)
    first, second = load(tmp_path / "a"), load(tmp_path / "b")
    assert np.array_equal(first.train_images, second.train_images)
    assert np.array_equal(first.test_labels, second.test_labels)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("key", [bytes, str])
@pytest.mark.parametrize("order", ["C", "F"])
def test_python_3_may_have_pickled_it_again(tmp_path, protocol, key, order):
    made = batches()
    for name, (pixels, labels) in made.items():
        data = np.array(pixels.reshape(3, -1), order=order)
        content = {"data": data, "labels": labels.tolist(), "batch_label": "a"}
        if key is bytes:
            content = {name.encode(): value for name, value in content.items()}
        (tmp_path / name).write_bytes(pickle.dumps(content, protocol))
    assert holds(load(tmp_path), made)


@every_version
def test_a_missing_batch_is_named(tmp_path, version):
    suffix = "" if version == "python" else ".bin"
    for name in "data_batch_4", "test_batch", "data_batch_1":
        write(tmp_path, version, 1)
        path = tmp_path / (name + suffix)
        path.unlink()
        assert refusal(tmp_path) == f"{path}: No such file or directory"


def test_nothing_and_too_much_are_refused(tmp_path):
    with pytest.raises(DatasetError, match="no CIFAR-10 files: looked for data_batch_1 to 5"):
        cifar10(tmp_path)
    with pytest.raises(DatasetError, match="none: no such directory"):
        cifar10(tmp_path / "none")
    write(tmp_path, "binary", 1)
    write(tmp_path / FOLDERS["python"], "python", 1)
    message = refusal(tmp_path)
    assert message.startswith(f"{tmp_path}: CIFAR-10 2 times, in ")
    assert f"{tmp_path} (binary)" in message and "cifar-10-batches-py (python)" in message
    assert load(tmp_path / FOLDERS["python"]).name == "cifar-10"


@pytest.mark.parametrize("length", [0, 3072, 3074, 2 * 3073 - 1])
def test_records_of_another_length_are_refused(tmp_path, length):
    write(tmp_path, "binary", 1)
    path = tmp_path / "data_batch_2.bin"
    path.write_bytes(bytes(length))
    assert refusal(tmp_path) == (
        f"{path}: {length} bytes found, records of 3073 expected (1 of label, 3072 of pixels)"
    )


@every_version
def test_a_label_of_no_class_is_refused(tmp_path, version):
    write(tmp_path, version, 1)
    pixels, labels = batches()["test_batch"]
    labels[1] = 10
    path = tmp_path / ("test_batch" if version == "python" else "test_batch.bin")
    path.write_bytes((python_2 if version == "python" else records)(pixels, labels))
    assert refusal(tmp_path) == f"{path}: label 10 of image 1, 0 to 9 expected"


ROWS = np.zeros((2, 3072), np.uint8)
BAD = {
    "no dictionary": ([1, 2], "a list found, a dictionary expected"),
    "no data": ({b"labels": [1, 2]}, "no entry 'data', 'data' and 'labels' expected"),
    "no labels": ({b"data": ROWS}, "no entry 'labels', 'data' and 'labels' expected"),
    "a list of pixels": ({b"data": [0], b"labels": [1]}, "data is a list, an array expected"),
    "fewer pixels": (
        {b"data": ROWS[:, :-1].copy(), b"labels": [1, 2]},
        "data is of shape (2, 3071), (images, 3072) expected",
    ),
    "an image alone": (
        {b"data": ROWS[0], b"labels": [1]},
        "data is of shape (3072,), (images, 3072) expected",
    ),
    "no image": (
        {b"data": ROWS[:0], b"labels": []},
        "data is of shape (0, 3072), (images, 3072) expected",
    ),
    "signed": (
        {b"data": ROWS.astype(np.int8), b"labels": [1, 2]},
        "data is no array: it is of i1 type, not u1",
    ),
    "fewer labels": (
        {b"data": ROWS, b"labels": [1]},
        "2 images, and a list of as many labels expected, 1 found",
    ),
    "no list": (
        {b"data": ROWS, b"labels": {1: 2}},
        "2 images, and a list of as many labels expected, a dict found",
    ),
    "negative": (
        {b"data": ROWS, b"labels": [1, -1]},
        "label -1 of image 1, 0 to 9 expected",
    ),
    "no number": (
        {b"data": ROWS, b"labels": ["cat", 1]},
        "label of type str of image 0, 0 to 9 expected",
    ),
    "beyond printing": (
        {b"data": ROWS, b"labels": [1, 1 << 40_000]},
        "label of type int of image 1, 0 to 9 expected",
    ),
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("protocol", [3, 5])
def test_a_pickle_of_something_else_is_refused(tmp_path, name, protocol):
    write(tmp_path, "python", 1)
    content, complaint = BAD[name]
    path = tmp_path / "data_batch_5"
    path.write_bytes(pickle.dumps(content, protocol))
    assert refusal(tmp_path) == f"{path}: {complaint}"


def test_a_truncated_pickle_is_refused_wherever_it_ends(tmp_path):
    write(tmp_path, "python", 1)
    path = tmp_path / "data_batch_3"
    content = path.read_bytes()
    for length in [*range(0, 300, 7), *range(300, len(content) - 60, 997), len(content) - 1]:
        path.write_bytes(content[:length])
        assert refusal(tmp_path).startswith(f"{path}: refused, damaged or no pickle of a CIFAR-10")


def test_a_damaged_pickle_is_read_or_refused(tmp_path):
    """Whatever byte is wrong, there is one line, or data of the right form."""
    write(tmp_path, "python", 1)
    path = tmp_path / "data_batch_1"
    content = path.read_bytes()
    begin = content.index(b"T\0\x0c\0\0") + 5
    random = np.random.default_rng(0)
    places = [at for at in range(len(content)) if not begin <= at < begin + 3072]
    refused = 0
    for at in places:
        damaged = bytearray(content)
        damaged[at] = random.integers(256)
        path.write_bytes(damaged)
        try:
            assert load(tmp_path).shape == (32, 32, 3)
        except DatasetError as error:
            assert str(error).startswith(f"{path}: ") and "\n" not in str(error)
            refused += 1
    assert refused > len(places) // 4


class Harm:
    """Does something when it is unpickled."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def plain(module, name, *, arguments):
    """A pickle that calls a function of any name, of Python 2 too."""
    return b"\x80\2c" + module + b"\n" + name + b"\n(" + arguments + b"tR."


HARMFUL = {
    "a command": (pickle.dumps({b"data": Harm(os.system, "echo harm")}), "posix.system"),
    "a function of Python 2": (
        plain(b"__builtin__", b"eval", arguments=b"U\0011"),
        "__builtin__.eval",
    ),
    "of NumPy": (plain(b"numpy", b"load", arguments=b"U\001a"), "numpy.load"),
    "an attribute of what is allowed": (
        b"\x80\4\x8c\5numpy\x8c\x0endarray.tofile\x93.",
        "numpy.ndarray.tofile",
    ),
    "by a number": (b"\x80\2\x82\1.", "extension code 1"),
    "by a persistent name": (b"\x80\2U\1aQ.", "persistent"),
    "an object of its own": (pickle.dumps({b"data": refusal}), "test_cifar.refusal"),
}


@pytest.mark.parametrize("name", HARMFUL)
def test_a_pickle_that_asks_for_more_is_refused(tmp_path, name):
    write(tmp_path, "python", 1)
    content, named = HARMFUL[name]
    path = tmp_path / "data_batch_1"
    path.write_bytes(content)
    message = refusal(tmp_path)
    assert message.startswith(f"{path}: refused, damaged or no pickle") and named in message


def test_a_harmless_function_is_refused_too(tmp_path):
    """What is allowed is a list; nothing is allowed because it is not known to be bad."""
    write(tmp_path, "python", 1)
    path = tmp_path / "test_batch"
    path.write_bytes(pickle.dumps({b"data": Harm(len, "abc"), b"labels": []}))
    assert refusal(tmp_path).endswith("it asks for 'builtins.len', which no batch needs")


ENDLESS = {
    "a large memo": (b"\x80\2}r\xff\xff\xff\xff.", "entry 4294967295 of its memo"),
    "a large memo in text": (b"\x80\2}p4294967295\n.", "entry 4294967295 of its memo"),
    "a negative memo": (b"\x80\2}p-1\n.", "entry -1 of its memo"),
    "deep tuples": (b"\x80\2}K\1" + b"\x85" * 1_000_000 + b"K\1s.", "more than 20000 tuples"),
    "a long string": (b"\x80\2T\xff\xff\xff\x7f.", "expected 2147483647 bytes"),
    "a long frame": (b"\x80\4\x95" + struct.pack("<Q", 1 << 60) + b"}.", ""),
    "a long array": (b"\x80\5\x96" + struct.pack("<Q", 1 << 60) + b".", "bytes"),
}


@pytest.mark.parametrize("name", ENDLESS)
def test_a_pickle_can_neither_fill_the_memory_nor_the_stack(tmp_path, name):
    write(tmp_path, "python", 1)
    path = tmp_path / "data_batch_1"
    content, complaint = ENDLESS[name]
    path.write_bytes(content)
    message = refusal(tmp_path)
    assert message.startswith(f"{path}: refused, damaged or no pickle") and complaint in message


def test_a_false_shape_cannot_make_us_allocate(tmp_path):
    write(tmp_path, "python", 1)
    path = tmp_path / "data_batch_1"
    content = path.read_bytes()
    shape = b"M\1\0M\0\x0c\x86"
    assert shape in content
    path.write_bytes(content.replace(shape, b"J\xff\xff\xff\x7fM\0\x0c\x86"))
    assert refusal(tmp_path).startswith(f"{path}: data is no array: cannot reshape")
    huge = b"\x8a\x20" + b"\xff" * 31 + b"\x7f"
    path.write_bytes(content.replace(shape, huge + b"M\0\x0c\x86"))
    assert refusal(tmp_path).startswith(f"{path}: data is no array: ")
