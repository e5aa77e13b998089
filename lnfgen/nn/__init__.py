"""Networks that know nothing of flows or files: masks, positions, recurrent backbones, perceptrons."""
