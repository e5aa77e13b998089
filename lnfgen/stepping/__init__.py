"""Faster steps for the loops over time of trained models.

The program has the same results without them. Networks of `nn` are written again here, for one step
at a time. Weights are arranged once for all steps, inputs that are known for all steps enter by one
product, and a step makes few calls, because with small tensors the number of calls decides the
time. A fast path is here if a default model or a model in the box draws at least 1.3 times as fast
with it. To import this package is to use it; the place that loads a model does.
"""

from lnfgen.nn.causal_lstm import CausalLSTM
from lnfgen.nn.scans import CausalConvScan
from lnfgen.nn.stepper import FASTER
from lnfgen.stepping.recurrent import ConvScanSteps, LSTMSteps

FASTER[CausalLSTM] = LSTMSteps
FASTER[CausalConvScan] = ConvScanSteps
