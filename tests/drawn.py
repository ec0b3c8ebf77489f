"""The order of draws by plain loops over lanes that take one single step after the other: what
`golden.order` has in closed form. Written from docs/numerics.md, section 3.
"""

from support import OneByOne


class LoopLanes:
    """Lanes of a generator; each method takes the words of one operation, and they move on."""

    def __init__(self, generator, first, count):
        self.generator = generator
        self.lanes = [OneByOne(generator, first + lane) for lane in range(count)]

    def _tile(self, words, rows, samples, place_of, left, channels):
        """Drain a tile: the bottom row first, padding included."""
        for row in reversed(range(rows)):
            for column, lane in enumerate(self.lanes):
                word = lane.word()
                if row < len(samples) and left + column < channels:
                    words[(samples[row], place_of, left + column)] = word

    def dense_product(self, rows, samples, places, channels):
        """Words {(sample, place, channel): word} of a dense product, by column blocks; the columns
        are places (one but for errors of an image), each with its channels.
        """
        words = {}
        for place in range(places):
            for left in range(0, channels, len(self.lanes)):
                for top in range(0, samples, rows):
                    block = range(top, min(top + rows, samples))
                    self._tile(words, rows, block, place, left, channels)
        return words

    def convolution_product(self, rows, samples, places, channels):
        """Words {(sample, place, channel): word} of a convolution's product; `places` are those of
        a sample, anything that can be told apart, in their order.
        """
        words = {}
        for top in range(0, samples, rows):
            block = range(top, min(top + rows, samples))
            for place in places:
                for left in range(0, channels, len(self.lanes)):
                    self._tile(words, rows, block, place, left, channels)
        return words

    def error_product(self, rows, samples, stage):
        """Words {(sample, (y, x), channel): word} of a stage's error product, phase by phase where
        it is a convolution.
        """
        height, width, channels = stage.image
        places = [(y, x) for y in range(height) for x in range(width)]
        if stage.dense:
            words = self.dense_product(rows, samples, len(places), channels)
            return {(n, places[at], c): word for (n, at, c), word in words.items()}
        step, p, words = stage.window.stride, stage.window.padding, {}
        for top in range(step):
            for left in range(step):
                phase = [
                    (y, x) for y, x in places if ((y + p) % step, (x + p) % step) == (top, left)
                ]
                words |= self.convolution_product(rows, samples, phase, channels)
        return words

    def forward_product(self, rows, samples, stage):
        """Words {(sample, (y, x), channel): word} of a stage's forward product."""
        height, width, channels = stage.sums
        places = [(y, x) for y in range(height) for x in range(width)]
        if stage.dense:
            words = self.dense_product(rows, samples, 1, channels)
            return {(n, places[0], c): word for (n, _, c), word in words.items()}
        return self.convolution_product(rows, samples, places, channels)

    def elementwise(self, rows, places, channels):
        """Words {(row, place, channel): word} of a pass over `rows`, anything that can be told
        apart, each with the channels of its places.
        """
        words = {}
        for row in rows:
            for place in range(places):
                for left in range(0, channels, len(self.lanes)):
                    for column, lane in enumerate(self.lanes):
                        word = lane.word()
                        if left + column < channels:
                            words[row, place, left + column] = word
        return words

    def errors(self, rows, samples, stage):
        """Words {(sample, (y, x), channel): word} of a pass over the errors of a stage's inputs, in
        the rows and columns of its error product.
        """
        height, width, channels = stage.image
        places = [(y, x) for y in range(height) for x in range(width)]
        if stage.dense:
            words = self.elementwise(range(samples), len(places), channels)
            return {(n, places[at], c): word for (n, at, c), word in words.items()}
        by_group = [
            (n, place)
            for top in range(0, samples, rows)
            for place in places
            for n in range(top, min(top + rows, samples))
        ]
        words = self.elementwise(by_group, 1, channels)
        return {(n, place, c): word for ((n, place), _, c), word in words.items()}

    def update(self, rows, columns):
        """Words {(row, column): word} of an update, by blocks of columns."""
        words = {}
        for left in range(0, columns, len(self.lanes)):
            for row in range(rows):
                for column, lane in enumerate(self.lanes):
                    word = lane.word()
                    if left + column < columns:
                        words[row, left + column] = word
        return words
