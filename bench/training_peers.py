"""Time of the same training steps in PyTorch on the CPU, to hold the golden model's against.

PyTorch is no part of the project: `bench/training.py --torch PYTHON` runs this with a Python that
has it.
"""

import argparse
import json
import math
import resource
import time
from collections.abc import Callable

import torch
from torch.nn import functional

BATCH = 128
Tensor = torch.Tensor


def scale(x: Tensor) -> int:
    """log2 of Shift(max|x|)."""
    most = float(x.abs().max())
    return round(math.log2(most)) if most else 0


def wage_cnn_step() -> Callable[[], None]:
    """A step of WAGE 2-8-8-8 on 32C5-MP2-64C5-MP2-512FC and images of 28 x 28, batch 128.

    Whole numbers in float32; a gradient's sums over batch and places are rounded to its mantissa.
    Channels stand last in memory, with which this network is fastest.
    """
    last = torch.channels_last
    alphas = [max(0, round(math.log2(0.75 / math.sqrt(6 / n)))) for n in (25, 800, 1024, 512)]
    shapes = [(32, 1, 5, 5), (64, 32, 5, 5), (512, 1024), (10, 512)]
    weights = [torch.randint(-96, 97, shape).float() for shape in shapes]
    images = torch.randint(0, 128, (BATCH, 1, 28, 28)).float().to(memory_format=last)
    labels = torch.randint(0, 10, (BATCH,))
    target = functional.one_hot(labels, 10).float() * 2.0 ** (8 + alphas[-1])

    def activation(acc: Tensor, layer: int) -> Tensor:
        return (acc * 2.0 ** -(1 + alphas[layer])).clamp_(0, 127).round_()

    def error(sums: Tensor) -> Tensor:
        return (sums * 2.0 ** (7 - scale(sums))).clamp_(-127, 127).round_()

    def through(sums: Tensor, acc: Tensor, layer: int) -> Tensor:
        """Back through quantizer and ReLU."""
        return error(sums * (acc <= 127 << (1 + alphas[layer]))) * (acc > 0)

    def update(layer: int, gradient: Tensor) -> None:
        scaled = gradient * 2.0 ** -scale(gradient)
        steps = (scaled.abs() + torch.rand(scaled.shape)).floor_() * scaled.sign()
        weights[layer] = (weights[layer] - steps).clamp_(-127, 127)

    def back(e: Tensor, x: Tensor, w: Tensor, inner: bool) -> tuple[Tensor, Tensor]:
        below, gradient, _ = torch.ops.aten.convolution_backward(
            e, x, w, None, (1, 1), (0, 0), (1, 1), False, (0, 0), 1, (inner, True, False)
        )
        return below, gradient

    @torch.no_grad()
    def step() -> None:
        ternary = [(w * 2.0**-6).round_().clamp_(-1, 1) for w in weights]
        ternary[:2] = [w.to(memory_format=last) for w in ternary[:2]]
        acc1, first1 = functional.max_pool2d(
            functional.conv2d(images, ternary[0]), 2, return_indices=True
        )
        x1 = activation(acc1, 0)
        acc2, first2 = functional.max_pool2d(
            functional.conv2d(x1, ternary[1]), 2, return_indices=True
        )
        x2 = activation(acc2, 1).reshape(BATCH, -1)
        acc3 = x2 @ ternary[2].T
        x3 = activation(acc3, 2)
        acc4 = x3 @ ternary[3].T

        e4 = error(acc4 - target)
        e3 = through(e4 @ ternary[3], acc3, 2)
        e2 = through((e3 @ ternary[2]).reshape(acc2.shape), acc2, 1)
        e2 = functional.max_unpool2d(e2, first2, 2)
        below, gradient2 = back(e2, x1, ternary[1], inner=True)
        e1 = functional.max_unpool2d(through(below, acc1, 0), first1, 2)
        _, gradient1 = back(e1, images, ternary[0], inner=False)
        gradients = [gradient1, gradient2, e3.T @ x2, e4.T @ x3]
        for layer, gradient in enumerate(gradients):
            update(layer, gradient)

    return step


def gupta_float_step(network: Callable[[], torch.nn.Sequential]) -> Callable[[], None]:
    """A step in float32 as PyTorch is used: autograd, cross-entropy, SGD; batch 100."""
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    images = torch.rand(100, 1, 28, 28)
    labels = torch.randint(0, 10, (100,))

    def step() -> None:
        optimizer.zero_grad()
        functional.cross_entropy(model(images), labels).backward()
        optimizer.step()

    return step


def dense() -> torch.nn.Sequential:
    """784-1000-1000-10."""
    return torch.nn.Sequential(
        torch.nn.Flatten(),
        torch.nn.Linear(784, 1000),
        torch.nn.ReLU(),
        torch.nn.Linear(1000, 1000),
        torch.nn.ReLU(),
        torch.nn.Linear(1000, 10),
    )


def convolutional() -> torch.nn.Sequential:
    """8C5-MP2-16C5-MP2-128FC."""
    return torch.nn.Sequential(
        torch.nn.Conv2d(1, 8, 5),
        torch.nn.ReLU(),
        torch.nn.MaxPool2d(2),
        torch.nn.Conv2d(8, 16, 5),
        torch.nn.ReLU(),
        torch.nn.MaxPool2d(2),
        torch.nn.Flatten(),
        torch.nn.Linear(256, 128),
        torch.nn.ReLU(),
        torch.nn.Linear(128, 10),
    )


def gupta_simulated_step() -> Callable[[], None]:
    """A step of 784-1000-1000-10, batch 100, with <2,14> simulated in float32: outputs, errors and
    updates are rounded stochastically and clipped. Sums are float32's, so they are rounded too.
    """
    sizes = (784, 1000, 1000, 10)
    weights = [0.01 * torch.randn(n, m) for n, m in zip(sizes, sizes[1:])]
    biases = [torch.zeros(m) for m in sizes[1:]]
    images = torch.rand(100, 784)
    one_hot = functional.one_hot(torch.randint(0, 10, (100,)), 10).float()
    low, high, one = -2.0, 2.0 - 2.0**-14, 2.0**14

    def quantize(x: Tensor) -> Tensor:
        """In place."""
        return x.mul_(one).add_(torch.rand(x.shape)).floor_().div_(one).clamp_(low, high)

    def update(words: Tensor, gradient: Tensor) -> None:
        words.add_(quantize(gradient.mul_(-1 / 100))).clamp_(low, high)

    @torch.no_grad()
    def step() -> None:
        inputs = [images]
        for layer, (w, b) in enumerate(zip(weights, biases)):
            y = quantize(torch.addmm(b, inputs[-1], w))
            inputs.append(y.relu_() if layer < 2 else y)
        delta = quantize(inputs[-1].softmax(1) - one_hot)
        gradients = []
        for layer in (2, 1, 0):
            gradients.append((layer, inputs[layer].T @ delta, delta.sum(0)))
            if layer:
                delta = quantize(delta @ weights[layer].T).mul_(inputs[layer] > 0)
        for layer, gradient, of_bias in gradients:
            update(weights[layer], gradient)
            update(biases[layer], of_bias)

    return step


#: What is timed, and what makes a step of it.
PEERS: dict[str, Callable[[], Callable[[], None]]] = {
    "wage-cnn-simulated": wage_cnn_step,
    "gupta-dnn-simulated": gupta_simulated_step,
    "gupta-dnn-float32": lambda: gupta_float_step(dense),
    "gupta-cnn-float32": lambda: gupta_float_step(convolutional),
}


def main() -> None:
    parser = argparse.ArgumentParser(description="Time of a training step in PyTorch, as JSON.")
    parser.add_argument("peer", choices=PEERS)
    parser.add_argument("threads", type=int)
    parser.add_argument("steps", type=int)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    step = PEERS[options.peer]()
    torch.empty(1 << 22)  # 16 MB, freed: from now on the C library keeps such memory for the next
    times = []
    for _ in range(options.steps + 1):
        start = time.perf_counter()
        step()
        times.append(1000 * (time.perf_counter() - start))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"times": times[1:], "memory": memory}))


if __name__ == "__main__":
    main()
