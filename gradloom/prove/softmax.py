# amaranth: UnusedElaboratable=no
# (components are made only for their ports)
"""Softmax and the output error (docs/numerics.md, section 5): exponentials, quotients, rounding,
and the way of a sample through the unit.

**The exponential** of x is RNE(2^16 2^(-j / 1024)) >> min(i, 31), where i is the integer part of
t = x RNE(2^16 log2 e), and j are the top 10 bits of its fraction. It is proved in three parts, each
from what the part before has made: t, without its two lowest bits, which are zeros (`power`); the
entry at j (`entry`); and its shift by i (`shift`). From x = 16 on, i is 23 or more. No entry has
more than 17 bits, so the exponential is 0, which is a case of `shift`. Below, i is at most 23, and
so less than 31.

**The quotient** of n and D, for 0 <= n <= D and D > 0, is proved by induction over the divider's
17 stages. Let Q be the bits of the quotient up to a stage, R its remainder, and r = R, or R + D
where R is negative. After stage k, n 2^k = Q D + r and 0 <= r < D:

- stage 0: n = q D + r, with q = 1 if and only if R >= 0. This is `first`.
- stage k + 1: if 0 <= r < D, then 2 r = q D + r' and 0 <= r' < D. This is `steps`. With it,
  n 2^(k+1) = 2 Q D + 2 r = (2 Q + q) D + r', and the bits up to this stage are 2 Q + q.

After stage 16, n 2^16 = Q D + r with 0 <= r < D, so Q = floor(n 2^16 / D).
"""

from typing import Any

from amaranth.hdl import Array, C, Cat, Mux, Value

import hdl
from golden.rounder import PIPELINE_LATENCY
from golden.softmax import SoftmaxConfig
from golden.softmax.config import EXPONENTIAL_LATENCY, QUOTIENT_LATENCY
from gradloom.prove import lfsr, rounder, streams
from gradloom.prove.bench import AnyState, Bench, Induction
from gradloom.prove.integers import chosen, every, implies, some
from gradloom.prove.pipelines import Results
from gradloom.rtl.names import inner
from gradloom.sim.toplevel import flatten

#: Registers of the places where the parts of the unit are: addresses of its two memories.
_PLACES = {
    "offered": "offered_class",
    "written": "write__addr",
    "reads": "read__addr",
    "summed": "write__addr__2",
    "divides": "read__addr__2",
}
#: Number of entries of the table.
ENTRIES = 1024


def entry(j: int) -> int:
    """Return entry j of the table: the whole number nearest to 2^16 * 2^(-j / 1024).

    T - 1/2 < 2^(16 - j / 1024) < T + 1/2 is decided without rounding, by the powers with exponent
    1024 of all three. For j > 0 the number is irrational, so it is never half-way.
    """
    power = 1 << (17 * ENTRIES - j)  # of twice the number
    low, high = 0, 1 << 17
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if (2 * middle - 1) ** ENTRIES < power else (low, middle)
    return low


def log2_e() -> int:
    """Return the whole number nearest to 2^16 log2 e. ln 2 is the sum of all 1 / (k 2^k)."""
    digits = 1 << 128
    ln2 = sum(digits // (k << k) for k in range(1, 128))
    return ((digits << 17) // ln2 + 1) >> 1


def specify_exponential(bench: Bench, config: SoftmaxConfig) -> None:
    """Add the properties of the exponentials."""
    Results(bench, config, EXPONENTIAL_LATENCY)
    fraction = config.outputs.fl
    near = bench["operand_distance"][: fraction + 4]
    power = bench.probe("power", len(near) + 15)
    bench.prove(
        "power",
        "x RNE(2^16 log2 e) / 4, for all x below 16",
        implies(bench.since(C(1), 4), power << 2 == bench.past(near, 4) * log2_e()),
        AnyState(4),
        {"all bits of x": bench.past(near, 4).all()},
    )

    before = bench.past(power, 2)
    j = bench.wire(before[fraction + 4 : fraction + 14])
    table = Array(C(entry(number), 17) for number in range(ENTRIES))
    found = bench.probe("entry", 17)
    bench.prove(
        "entry",
        "RNE(2^16 2^(-j / 1024)), where j are the top 10 bits of the fraction",
        implies(bench.since(C(1), 2), found == table[j]),
        AnyState(2),
        {"the first": found == entry(0), "another": found != entry(0)},
        within=8,
    )


def specify_shift(bench: Bench, config: SoftmaxConfig) -> None:
    """Add the property of the shift, whatever the entries of the table are."""
    fraction, late = config.outputs.fl, EXPONENTIAL_LATENCY
    distance = bench["operand_distance"]
    power = bench.probe("power", len(distance[: fraction + 4]) + 15)
    found = bench["result_exponential"]
    whole = bench.wire(bench.past(power[fraction + 14 :], 4))
    far = bench.wire(bench.past(distance[fraction + 4 :], late).any())
    shifted = bench.past(bench.probe("entry", 17), 2) >> whole
    bench.prove(
        "shift",
        "an exponential is the entry >> i, where i is the integer part; it is 0 from x = 16 on",
        implies(bench.since(C(1), late), found == Mux(far, 0, shifted)),
        AnyState(late),
        {"2^16": found == 1 << 16, "a shift": (whole > 0) & (found > 0), "0": found == 0},
    )


def specify_quotient(bench: Bench, config: SoftmaxConfig) -> None:
    """Add the properties of the divider, from which its quotients follow."""
    Results(bench, config, QUOTIENT_LATENCY)
    width = config.sum_width + 1
    remainders = [bench.probe(f"remainder_{k}", width).as_signed() for k in range(17)]
    divisors = [bench.probe(f"divisor_{k}", config.sum_width) for k in range(16)]
    quotients = [bench.probe(f"quotient_{k}", k) for k in range(1, 17)]

    def restored(remainder: Value, divisor: Value) -> Value:
        return remainder + Mux(remainder < 0, divisor, 0)

    numerator, divisor = (
        bench.past(bench["operand_numerator"]),
        bench.past(bench["operand_divisor"]),
    )
    r, q = restored(remainders[0], divisor), remainders[0] >= 0
    allowed = (numerator <= divisor) & (divisor > 0)
    bench.prove(
        "first",
        "n = q D + r, with 0 <= r < D, for all 0 <= n <= D and D > 0",
        (divisors[0] == divisor)
        & implies(allowed, (numerator == Mux(q, divisor, 0) + r) & (r >= 0) & (r < divisor)),
        AnyState(1),
        {"n = D": allowed & (numerator == divisor), "n = 0": allowed & (numerator == 0)},
    )

    holds, ones, zeros = [], [], []
    for step in range(1, 17):
        divisor = bench.past(divisors[step - 1])
        before = bench.wire(restored(bench.past(remainders[step - 1]), divisor))
        after = bench.wire(restored(remainders[step], divisor))
        q = bench.wire(remainders[step] >= 0)
        if step < 16:
            holds.append(divisors[step] == divisor)
        in_range = (before >= 0) & (before < divisor)
        equal = before << 1 == Mux(q, divisor, 0) + after
        holds.append(implies(in_range, equal & (after >= 0) & (after < divisor)))
        bit = bench.past(remainders[step - 1]) >= 0
        earlier = bench.past(quotients[step - 2]) if step > 1 else C(0, 0)
        holds.append(quotients[step - 1] == Cat(bit, earlier))
        ones.append(q & in_range)
        zeros.append(~q & in_range)
    bench.prove(
        "steps",
        "2 r = q D + r', with 0 <= r' < D, for all 0 <= r < D, in each of the 16 other stages; the "
        "divisor and the bits before go on",
        implies(bench.since(C(1)), every(holds)),
        AnyState(1),
        {"a bit 1": some(ones), "a bit 0": some(zeros)},
    )
    bench.prove(
        "bits",
        "the quotient consists of the bits of all stages",
        bench["result_quotient"] == Cat(remainders[16] >= 0, quotients[15]),
        AnyState(0),
        {"2^16": bench["result_quotient"] == 1 << 16, "0": bench["result_quotient"] == 0},
        within=QUOTIENT_LATENCY + 2,
    )


def benches(module: str, config: SoftmaxConfig, component: Any) -> list[Bench]:
    """Return the benches of the parts and of the whole unit."""
    exponential = Bench(
        inner(module, "exponential_pipeline"), flatten(hdl.softmax.ExponentialPipeline(config))
    )
    specify_exponential(exponential, config)
    table = f"{exponential.module}/t:$memrd"
    shift = Bench(exponential.module, exponential.ports, cut=[table], assumed="table")
    specify_shift(shift, config)
    quotient = Bench(
        inner(module, "quotient_pipeline"), flatten(hdl.softmax.QuotientPipeline(config))
    )
    specify_quotient(quotient, config)
    rounding = Bench(
        inner(module, "rounding_pipeline"), flatten(hdl.rounder.RoundingPipeline(config.rounder))
    )
    rounder.specify(rounding, config.rounder)
    found = [exponential, shift, quotient, rounding]
    if config.stochastic:
        found.append(Bench(inner(module, "lanes"), flatten(hdl.lfsr.Lanes(config.lfsr))))
        lfsr.specify(found[-1], config.lfsr)
    fifo = hdl.Buffer(component.o.payload.shape(), depth=config.buffer, rows=config.classes)
    found.append(Bench(inner(module, "buffer"), flatten(fifo)))
    streams.specify_fifo(found[-1], config.buffer, config.classes)
    # The unit's properties hold whatever its pipelines compute.
    cut = (
        table,
        f"{quotient.module}/t:$add",
        f"{rounding.module}/t:$add",
    )
    found.append(Bench(module, config.ports, cut=cut, assumed="table, sums"))
    _Unit(found[-1], config).specify()
    return found


class _Unit:
    """The properties of the whole unit: what its parts get, and when.

    Parameters
    ----------
    bench
        The bench of the unit.
    config
        Its configuration.
    """

    def __init__(self, bench: Bench, config: SoftmaxConfig):
        self.bench = bench
        self.config = config
        classes = config.classes
        self.bits = (classes - 1).bit_length()
        self.accepted = bench.wire(bench["i_valid"] & bench["i_ready"])
        #: Number of the next output in its sample.
        self.output = bench.register("output", range(classes))
        self.last = bench.wire(self.output == classes - 1)
        self.claims = bench.wire(self.accepted & self.last)
        next_output = Mux(self.last, 0, self.output + 1)
        bench.update(self.output, Mux(self.accepted, next_output, self.output))
        self.reads = bench.probe("reads", 1)
        self.divides = bench.probe("divides", 1)
        #: Clocks from a sweep over the outputs to the exponentials, and to that over these.
        self.to_exponentials = config.exponential_delay - 1
        self.to_quotients = self.to_exponentials + classes - 1
        #: Number of steps in which all of a sample has passed.
        self.steps = config.latency + classes

    def specify(self) -> None:
        """Add all properties."""
        self._schedule()
        self._maximum()
        self._sum()
        self._operands()
        self._errors()

    def _place(self, name: str) -> tuple[Value, Value]:
        """Return the class of a place in the unit, and whether it is the last one."""
        return self.bench.probe(_PLACES[name], self.bits), self.bench.probe(f"{name}_last", 1)

    def _counted(self, *names: str) -> Value:
        """Return whether places are at a class, and their flags are those of their classes."""
        most = self.config.classes - 1
        places = [self._place(name) for name in names]
        return every((number <= most) & (last == (number == most)) for number, last in places)

    def _schedule(self) -> None:
        bench, classes = self.bench, self.config.classes
        room = bench.probe("buffer.ready", 1)
        claims = [bench.since(self.claims, 1 + k) for k in range(classes)]
        read = sum(Mux(claim, k, 0) for k, claim in enumerate(claims))
        reads, divides = self.reads, self.divides
        ago = {
            "offered": (self.output, 0),
            "written": (self.output, 1),
            "reads": (read, 0),
            "summed": (read, self.to_exponentials),
            "divides": (read, self.to_quotients),
        }
        same = []
        for name, (wanted, clocks) in ago.items():
            number, last = self._place(name)
            same += [
                number == bench.since(bench.wire(Value.cast(wanted)), clocks),
                last == (number == classes - 1),
            ]
        # A place is read after it was written, and before the next sample's value is.
        for into, out, active in (("written", "reads", reads), ("summed", "divides", divides)):
            place, number = self._place(into)[0], self._place(out)[0]
            ends = (number == 0) & (place == classes - 1)
            same.append(implies(active, ends | (place < number)))
        bench.prove(
            "schedule",
            "output k of a sample is written to place k, and only the last one waits, for free "
            "places; the outputs are read in the next clocks, one per clock, each before the next "
            "sample's is written; so it is with the exponentials; as many errors enter the FIFO",
            every(same)
            & (bench.probe("buffer.claim", 1) == self.claims)
            & (bench["i_ready"] == (~self.last | room))
            & (bench.probe("write__en", 1) == bench.since(self.accepted))
            & (reads == some(claims))
            & (
                bench.probe("exponential.result_valid", 1)
                == bench.since(reads, self.to_exponentials)
            )
            & (divides == bench.since(reads, self.to_quotients))
            & (
                bench.probe("buffer.i_valid", 1)
                == bench.since(divides, self.config.quotient_delay + 1)
            ),
            Induction(self.steps),
            {
                "a last output waits": bench["i_valid"] & ~bench["i_ready"],
                "two samples at a time": reads & divides,
            },
            within=2 * self.steps + 3 * classes,
        )

    def _maximum(self) -> None:
        bench, width = self.bench, self.config.outputs.width
        value = bench["i_data"]
        before = bench.register("before", value.shape())
        first = self.output == 0
        so_far = bench.wire(Mux(first | (value > before), value, before).as_signed())
        bench.update(before, Mux(self.accepted, so_far, before))
        top = bench.register("top", value.shape())
        bench.update(top, Mux(self.claims, so_far, top))
        label = bench.register("right", self.config.label_width)
        bench.update(label, Mux(self.claims, bench["i_label"], label))
        found = bench.probe("maximum", width).as_signed()
        written, _ = self._place("written")
        known = bench.register("known", 1)
        bench.update(known, known | self.accepted)
        largest = bench.probe("largest", width).as_signed()
        running = implies(bench.since(known), largest == bench.past(before))
        running &= implies(~known, first)
        same_label = bench.probe("label", self.config.label_width) == label
        begins = bench.probe("begins", 1) == (written == 0)
        number, _ = self._place("reads")
        again = bench.probe("outputs_read", width).as_signed()
        distance = bench.probe("exponential.operand_distance", width)
        right = bench.probe("right", 1)
        reading = bench.since(self.reads, 3)
        bench.prove(
            "maximum",
            "a distance is the largest output of the sample minus the output that is read",
            running
            & self._counted("offered", "written")
            & (self._place("offered")[0] == self.output)
            & implies(self.reads, same_label)
            & begins
            & (written == bench.since(self.output))
            & implies(bench.since(self.reads, 2), found == bench.past(top, 2))
            & implies(reading, distance == (bench.past(top, 3) - bench.past(again))[:width])
            & implies(reading, right == (bench.past(number, 3) == bench.past(label, 3))),
            Induction(6),
            {
                "a distance that is not 0": reading & (distance != 0),
                "the right class": reading & right,
            },
            within=self.config.classes + 8,
        )

    def _sum(self) -> None:
        bench, width = self.bench, self.config.sum_width
        there = bench.probe("exponential.result_valid", 1)
        exponential = bench.probe("exponential.result_exponential", 17)
        number, last = self._place("summed")
        before = bench.register("sum_before", width)
        so_far = bench.wire((Mux(number == 0, 0, before) + exponential)[:width])
        bench.update(before, Mux(there, so_far, before))
        known = bench.register("sum_known", 1)
        bench.update(known, known | there)
        total = bench.register("sum", width)
        bench.update(total, Mux(there & last, so_far, total))
        divided = bench.since(self.divides, 2)
        divisor = bench.probe("quotient.operand_divisor", width)
        bench.prove(
            "sum",
            "the divisor is the sum of the sample's exponentials",
            self._counted("summed")
            & (bench.probe("sum_begins", 1) == (number == 0))
            & implies(known, bench.probe("total", width) == before)
            & implies(~known, number == 0)
            & implies(divided, divisor == bench.past(total)),
            Induction(4),
            {"a sum": divided & (divisor > 1 << 16)},
            within=self.steps,
        )

    def _operands(self) -> None:
        """Add the property of what passes from part to part."""
        bench, config = self.bench, self.config
        again = bench.probe("exponentials_read", 18)
        right = bench.past(again[17], QUOTIENT_LATENCY)
        quotient = bench.probe("quotient.result_quotient", 17)
        z = bench.probe("rounder.operand_data", 18).as_signed()
        late = EXPONENTIAL_LATENCY
        last = self._place("divides")[1]
        same = [
            bench.probe("exponential.operand_valid", 1) == bench.since(self.reads, 3),
            bench.probe("right_stored", 1) == bench.past(bench.probe("right", 1), late),
            bench.probe("quotient.operand_valid", 1) == bench.since(self.divides, 2),
            bench.probe("quotient.operand_numerator", 17) == again[:17],
            implies(quotient <= 1 << 16, z == quotient - (right << 16)),
            bench.probe("rounder.operand_valid", 1) == bench.probe("quotient.result_valid", 1),
            bench.probe("buffer.i_valid", 1) == bench.probe("rounder.result_valid", 1),
            bench.probe("buffer.i_payload_data", config.error.width)
            == bench.probe("rounder.result_data", config.error.width),
            bench.probe("buffer.i_payload_probability", 17)
            == bench.past(quotient, PIPELINE_LATENCY),
            bench.probe("buffer.i_payload_last", 1) == bench.past(last, config.quotient_delay + 1),
        ]
        bench.prove(
            "operands",
            "each part gets the results of the one before: exponentials with the mark of the right "
            "class, quotients, their difference from the target, and rounded errors",
            streams.shown(bench)
            & implies(bench.since(C(1), config.quotient_delay + 1), every(same)),
            AnyState(config.quotient_delay + 1),
            {"an output": bench.since(self.reads, 3)},
        )

    def _errors(self) -> None:
        """Add the property of the random words."""
        config = self.config
        if not config.stochastic:
            return
        bench, lanes, draw = self.bench, config.lanes, config.generator.draw
        last = self._place("divides")[1]
        due = bench.since(self.divides, QUOTIENT_LATENCY + 1)
        turn = bench.register("turns", range(lanes + 1))
        after = Mux((turn == lanes - 1) | bench.since(last, QUOTIENT_LATENCY + 1), 0, turn + 1)
        bench.update(turn, Mux(due, after, turn))
        words = bench.probe("lfsr.word", lanes * draw)
        word = chosen(turn, [words[k * draw : (k + 1) * draw] for k in range(lanes)])
        bench.prove(
            "words",
            "a sample's classes draw from the generators in turn; all leap after the last "
            "generator's turn, or the sample's last class; a class is rounded with its word",
            (bench.probe("turn", max((lanes - 1).bit_length(), 1)) == turn)
            & (bench.probe("lfsr.draw", 1) == (due & (after == 0)))
            & implies(bench.since(due), bench.probe("rounder.random", draw) == bench.past(word)),
            Induction(QUOTIENT_LATENCY + 3),
            {"a leap": due & (after == 0)},
            within=self.steps + 3,
        )
