"""Neural networks that the flows and models are built from: masks, positions, recurrent networks,
perceptrons, MADE."""
