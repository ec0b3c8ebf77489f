"""Drafts of a network's programs, made of the operations of its plan."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from enum import StrEnum

from golden.core.drafts import (
    After,
    Chunks,
    Draft,
    Operand,
    Pass,
    Room,
    move,
    product,
    vector_pass,
)
from golden.core.isa import Engine, Function, Move, Target
from golden.core.layout import Layout, Rows, Words
from golden.core.program import Program, Task, of_kind
from golden.core.rooms import place
from golden.core.waits import resolved
from golden.order import blocks
from golden.quantize import limit
from golden.training.layers.network import Stage
from golden.training.step.operation import Kind, Operation
from golden.training.step.ops import (
    Mask,
    OutputError,
    Product,
    QuantizeActivation,
    QuantizeError,
    QuantizeWeight,
    ShiftExponent,
    WageUpdate,
)
from golden.training.step.ops import (
    Pass as Products,
)
from golden.training.systems.wage.recipe import WageRecipe

#: The least number of parts of sums that a ring keeps, so that product, pass and handing over do
#: not wait for each other.
LEAST_RING = 4
#: The greatest number that is tried.
MOST_RING = 8
#: The greatest number of parts of a column block's rows.
MOST_PARTS = 32
#: Clocks, at the most, in which no lane works on a part: latencies of array and pass, and waits.
HANDING_OVER = 64


class Gradients(StrEnum):
    """What becomes of a gradient whose scale is known only after its last sum."""

    #: All sums are stored until the update.
    STORED = "stored"
    #: The product is made twice: for the maximum, and for the update.
    TWICE = "twice"


Lists = dict[Engine, list[Draft]]


class Lowering:
    """Drafts of a network's programs.

    Parameters
    ----------
    recipe, layers, placed, gradients, scores
        See `compiled`.
    """

    def __init__(
        self,
        recipe: WageRecipe,
        layers: tuple[Stage, ...],
        placed: Layout,
        gradients: tuple[Gradients, ...],
        scores: bool = False,
    ):
        self.recipe = recipe
        self.layers = layers
        self.layout = placed
        self.gradients = gradients
        self.scores = scores
        self.size = recipe.rows, recipe.columns

    @property
    def terms(self) -> int:
        """The largest number of terms of a sum."""
        errors = [stage.outputs for stage in self.layers[1:]]
        return max([self.recipe.batch, *(stage.inputs for stage in self.layers), *errors])

    @property
    def sum_bits(self) -> int:
        """The least width of all sums, of words that are clipped to a symmetric range."""
        bits = self.recipe.bits
        activation, error, weight = map(limit, (bits.activation, bits.error, bits.weight))
        most = [self.recipe.batch * activation * error]
        most += [stage.inputs * activation * weight for stage in self.layers]
        most += [stage.outputs * error * weight for stage in self.layers[1:]]
        return 1 + max(most).bit_length()

    @property
    def scalars(self) -> int:
        """Maxima and exponents of a step: of each layer's errors and of its gradient."""
        return 2 * len(self.layers)

    # Parts of a step. Layers are counted from 0.

    def _product(
        self,
        op: Product,
        operations: tuple[Operation, ...],
        sums: Rows | None = None,
        taken: range | None = None,
        row_by_row: bool = False,
    ) -> Draft:
        layer, kind = op.layer - 1, op.kind
        place = self.layout
        x, e, w = place.x[layer], place.e[layer], place.w[layer]
        second = place.second.base - place.x[0].base if layer == 0 else 0
        if kind is Products.FORWARD:
            a = Operand(words=x, by_rows=True, second=second)
            b = Operand(words=w, by_rows=False, quantize=True)
        elif kind is Products.ERROR:
            a = Operand(words=e, by_rows=True)
            b = Operand(words=w, by_rows=True, quantize=True)
        else:
            a = Operand(words=x, by_rows=False, second=second)
            b = Operand(words=e, by_rows=False)
        whole = Rows(
            base=0, pitch=a.lanes, rows=a.lanes, blocks=blocks(b.lanes, self.recipe.columns)
        )
        return product(
            f"{kind} {op.layer}",
            op.layer,
            operations,
            a,
            b,
            self.size,
            sums or whole,
            taken,
            row_by_row,
        )

    def _pass(
        self,
        name: str,
        operations: tuple[Operation, ...],
        what: Pass,
        source: Draft,
        words: Words | None = None,
        masks: Rows | None = None,
    ) -> Draft:
        assert source.room is not None
        layer = operations[0].layer
        width = of_kind(source.operations, Product).writes[0].matrix.shape[1]
        made = vector_pass(
            name, layer, operations, what, source.room, width, self.recipe.columns, words, masks
        )
        if what.chunks is Chunks.COLUMNS:
            # Of a product in two parts, the first one is column block 0.
            ahead = source.chunks[0].blocks.start
            made.waits.append(After(draft=source, count=1 - ahead, slope=1))
        else:
            made.waits.append(After(draft=source))
        return made

    def _samples(self, products: Iterable[Draft]) -> Draft:
        """Return the move of samples into their buffer, once the products have read the others."""
        second = self.layout.second.base - self.layout.x[0].base
        words = self.layout.x[0]
        draft = move("samples", 1, Engine.IN, Move.SAMPLES, words, words.banks, second)
        last = [each for each in products if each.layer == 1][-1]
        buffers = 2 if second else 1
        draft.waits.append(After(draft=last, back=buffers))
        return draft

    def _forward(
        self,
        operations: tuple[Operation, ...],
        lists: Lists,
        ready: Draft | None,
    ) -> Draft:
        """Append a forward product, whose inputs `ready` has made."""
        draft = self._product(of_kind(operations, Product), operations)
        if ready is not None:
            draft.waits.append(After(draft=ready))
        lists[Engine.ARRAY].append(draft)
        return draft

    def _activate(self, op: QuantizeActivation, source: Draft) -> Draft:
        what = Pass(function=Function.ACTIVATE, target=Target.X, shift=op.shift)
        words, masks = self.layout.x[op.layer], self.layout.k[op.layer - 1]
        return self._pass(f"activate {op.layer}", (op,), what, source, words, masks)

    def _masks(self, layer: int) -> Rows | None:
        """Return the masks of a layer counted from 1; None for the last one."""
        return self.layout.k[layer - 1] if layer < len(self.layers) else None

    def _maximum(self, operations: tuple[Operation, ...], source: Draft) -> Draft:
        op = operations[-1]
        assert isinstance(op, ShiftExponent)
        kind = op.reads[0].kind
        gradient = kind is Kind.GRADIENT
        what = Pass(
            function=Function.MAXIMUM,
            masked=kind is Kind.RAW_ERROR,
            labelled=kind is Kind.DIFFERENCE,
            shift=self._one(operations),
            scalar=2 * (op.layer - 1) + gradient,
        )
        name = f"maximum of {'gradient' if gradient else 'error'} {op.layer}"
        masks = self._masks(op.layer) if what.masked else None
        return self._pass(name, operations, what, source, masks=masks)

    def _error(self, operations: tuple[Operation, ...], source: Draft) -> Draft:
        op = operations[-1]
        assert isinstance(op, QuantizeError)
        masks = self._masks(op.layer)
        what = Pass(
            function=Function.ERROR,
            target=Target.E,
            masked=masks is not None,
            labelled=masks is None,
            settle=True,
            shift=self._one(operations),
            scalar=2 * (op.layer - 1),
            chunks=Chunks.ONE,
        )
        words = self.layout.e[op.layer - 1]
        return self._pass(f"quantize error {op.layer}", operations, what, source, words, masks)

    @staticmethod
    def _one(operations: tuple[Operation, ...]) -> int:
        """Return log2 of the code of 1, if it is subtracted; otherwise 0."""
        return next((op.one for op in operations if isinstance(op, OutputError)), 0)

    def _update(self, op: WageUpdate, source: Draft) -> Draft:
        what = Pass(
            function=Function.UPDATE,
            target=Target.W,
            settle=True,
            scalar=2 * (op.layer - 1) + 1,
        )
        words = self.layout.w[op.layer - 1]
        return self._pass(f"update {op.layer}", (op,), what, source, words)

    def _ring(self, product: Draft) -> Rows:
        """Return the form of a gradient's sums of which only some parts are kept at a time.

        It is the smallest one in which product and pass do not wait for each other: while a part
        goes through the array, is handed over, and is read, the product fills the other parts.
        """
        assert product.room is not None
        whole, rows, columns = product.room.rows, self.recipe.rows, self.recipe.columns
        down = blocks(whole.rows, rows)
        best = whole
        for ring in range(LEAST_RING, MOST_RING + 1):
            for part in range(1, down + 1):
                parts = blocks(down, part)
                if parts % ring or parts > MOST_PARTS:
                    continue
                made = replace(whole, pitch=0, part=part * rows, ring=ring)
                late = 2 * (rows + columns) + HANDING_OVER + 2 * made.part
                if made.size < best.size and (ring - 1) * part * product.clocks >= late:
                    best = made
        return best

    def step(self, plan: Sequence[Operation]) -> Lists:
        """Return the drafts of a training step."""
        lists: Lists = {engine: [] for engine in Engine}
        products, passes = lists[Engine.ARRAY], lists[Engine.VECTOR]
        held: tuple[Operation, ...] = ()
        activated: Draft | None = None
        errors: dict[int, Draft] = {}
        difference: tuple[Operation, ...] = ()
        update = product = None
        for op in plan:
            if isinstance(op, (QuantizeWeight, OutputError, Mask)):
                held = (op,)
                continue
            operations, held = (*held, op), ()
            if isinstance(op, Product):
                if op.kind is Products.FORWARD:
                    product = self._forward(operations, lists, activated)
                    if op.layer == 1:
                        products[-1:] = self._halves(product)
                        product = products[-1]
                else:
                    product = self._product(op, operations)
                    product.waits.append(After(draft=errors[op.layer]))
                    products.append(product)
                continue
            assert product is not None
            if isinstance(op, QuantizeActivation):
                activated = self._activate(op, product)
                passes.append(activated)
            elif isinstance(op, ShiftExponent):
                gradient = op.reads[0].kind is Kind.GRADIENT
                twice = gradient and self.gradients[op.layer - 1] is Gradients.TWICE
                if twice:
                    twice = self._keep(product)
                passes.append(self._maximum(operations, product))
                if twice:
                    product = self._again(product, passes[-1])
                    products.append(product)
                difference = operations
            elif isinstance(op, QuantizeError):
                # What is subtracted or masked before the maximum is so again before Q_E.
                errors[op.layer] = self._error((*difference[:-1], op), product)
                passes.append(errors[op.layer])
                if self.scores and op.layer == len(self.layers):  # the errors come first
                    self._carry_out(product, lists)
            elif isinstance(op, WageUpdate):
                update = self._update(op, product)
                passes.append(update)
                if product.again:
                    assert product.room is not None
                    ring = product.room.rows.ring
                    product.waits.append(After(draft=update, count=1 - ring, slope=1))
            else:
                raise NotImplementedError(f"{op}: no engine does this")
        assert update is not None
        lists[Engine.IN].append(self._samples(products))
        assert update.room is not None
        self._begin(products, lists[Engine.IN][0], update, update.room.rows.parts)
        return lists

    def _begin(self, products: list[Draft], samples: Draft, update: Draft, parts: int) -> None:
        """Let the first product wait for the samples, and for the update in the step before.

        Its column block 0 goes on as the samples of a row block come, if row blocks are whole.
        """
        *rest, last = [
            each
            for each in products
            if each.layer == 1 and of_kind(each.operations, Product).kind is Products.FORWARD
        ]
        if rest:
            rows = self.recipe.rows
            rest[0].waits += [
                After(draft=samples, count=rows, slope=rows),
                After(draft=update, count=parts, back=1),
            ]
        last.waits += [
            After(draft=samples),
            After(draft=update, count=parts * (len(rest) + 1), slope=parts, back=1),
        ]

    def _halves(self, product: Draft) -> list[Draft]:
        """Return a first product as column block 0, row block by row block, and the others."""
        assert product.room is not None
        across = range(product.room.rows.blocks)
        rows, batch = self.recipe.rows, self.recipe.batch
        if len(across) == 1 or batch % rows or batch == rows:
            return [product]
        op = of_kind(product.operations, Product)
        first = self._product(op, product.operations, taken=across[:1], row_by_row=True)
        others = self._product(op, product.operations, taken=across[1:])
        first.name += f", block 1 of {len(across)}"
        first.room = others.room = product.room
        product.room.product = first
        return [first, others]

    def _keep(self, product: Draft) -> bool:
        """Change a product so that only some parts of its sums are kept, if that saves rows."""
        sums = self._ring(product)
        if not sums.part:
            return False
        made = self._product(of_kind(product.operations, Product), product.operations, sums)
        product.chunks, product.make = made.chunks, made.make
        product.room = Room(rows=sums, product=product)
        return True

    def _again(self, product: Draft, maximum: Draft) -> Draft:
        """Return a product once more, for its update; both keep some parts of their sums."""
        assert product.room is not None
        ring = product.room.rows.ring
        product.waits.append(After(draft=maximum, count=1 - ring, slope=1))
        return replace(product, name=f"{product.name} again", waits=[], again=True)

    def forward(self, plan: Sequence[Operation], function: Function) -> Lists:
        """Return the drafts of a forward pass, whose outputs go to a last pass."""
        lists: Lists = {engine: [] for engine in Engine}
        held: tuple[Operation, ...] = ()
        activated = product = None
        for op in plan:
            if isinstance(op, QuantizeWeight):
                held = (op,)
            elif isinstance(op, Product) and op.kind is Products.FORWARD:
                product = self._forward((*held, op), lists, activated)
            elif isinstance(op, QuantizeActivation):
                assert product is not None
                activated = self._activate(op, product)
                lists[Engine.VECTOR].append(activated)
        assert product is not None
        products, passes = lists[Engine.ARRAY], lists[Engine.VECTOR]
        lists[Engine.IN].append(self._samples(products))
        scores = function is Function.COPY
        samples = lists[Engine.IN][0]
        if scores:
            self._carry_out(product, lists)
        else:
            what = Pass(function=function, target=Target.NONE, chunks=Chunks.ONE)
            passes.append(self._pass("classify", product.operations, what, product))
            # The labels are read last.
            samples.waits.append(After(draft=passes[-1], back=samples.waits[0].back))
        products[0].waits.append(After(draft=samples))
        # The sums of the step before are read before others take their place.
        products[0].waits.append(After(draft=passes[-1], back=1))
        return lists

    def _carry_out(self, product: Draft, lists: Lists) -> None:
        """Append the pass and the move that carry out the sums of the last layer, the scores."""
        what = Pass(function=Function.COPY, target=Target.OUT, chunks=Chunks.ROWS)
        scores = self._pass("scores", product.operations, what, product)
        lists[Engine.VECTOR].append(scores)
        words = replace(self.layout.e[-1], columns=self.layers[-1].outputs)
        number, beat = len(self.layers), self.recipe.columns
        out = move("scores", number, Engine.OUT, Move.SCORES, words, beat)
        out.waits.append(After(draft=scores, count=1, slope=1))
        lists[Engine.OUT].append(out)

    def weights(self, engine: Engine) -> Lists:
        """Return the drafts that carry all weights."""
        lists: Lists = {each: [] for each in Engine}
        for layer, words in enumerate(self.layout.w, 1):
            name = f"weights {layer}"
            lists[engine].append(move(name, layer, engine, Move.WEIGHTS, words, words.banks))
        return lists

    def program(self, name: str, lists: Lists) -> tuple[Program, int]:
        """Return the program of some drafts, and the rows of sums that it needs."""
        drafts = [draft for each in lists.values() for draft in each]
        rooms = list(dict.fromkeys(d.room for d in lists[Engine.ARRAY] if d.room is not None))
        shared = None
        if name == "train" and not rooms[-1].rows.part:
            # Column block j of the first layer's sums is made when update block j of the step
            # before is done; that is when block j of the first layer's gradient has been read.
            first, last = rooms[0].rows, rooms[-1].rows
            pitch = max(first.rows, last.rows)
            for room in (rooms[0], rooms[-1]):
                room.rows = replace(room.rows, pitch=pitch)
            shared = (rooms[0], rooms[-1])
        needed = place(rooms, drafts, shared) if rooms else 0
        waits = resolved(lists)
        nothing = Rows(base=0, pitch=0, rows=1, blocks=1)

        def task(draft: Draft) -> Task:
            sums = draft.room.rows if draft.room else None
            return Task(
                engine=draft.engine,
                name=draft.name,
                layer=draft.layer,
                instruction=draft.make(sums or nothing, waits[draft]),
                operations=draft.operations,
                chunks=draft.chunks,
                clocks=draft.clocks,
                idle=draft.idle,
                again=draft.again,
                sums=sums,
                words=draft.words,
            )

        tasks = tuple(tuple(task(draft) for draft in lists[engine]) for engine in Engine)
        return Program(name=name, tasks=tasks), needed
