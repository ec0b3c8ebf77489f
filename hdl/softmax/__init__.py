"""Softmax in gates: exponentials by table, quotients by a pipelined divider, and the unit around
them.
"""

from hdl.softmax.exponential import ExponentialPipeline
from hdl.softmax.quotient import QuotientPipeline
from hdl.softmax.unit import Softmax

__all__ = ["ExponentialPipeline", "QuotientPipeline", "Softmax"]
