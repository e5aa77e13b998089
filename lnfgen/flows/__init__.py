"""Normalizing flows over a sequence of latents: `features` within a step, `temporal` across steps.

The contract, kept by every flow here and by whatever is added:

- `forward(eps, ...) -> (z, log_abs_det_jacobian)` generates; `inverse(z, ...) -> (eps, log_abs_det_jacobian)` scores.
- Each returns its own log-determinant, summed over the D features, shape `[..., T]`; for matching points the two add up
  to 0.
- Log-determinants have the dtype of eps and z, also under autocast, where networks run in bfloat16.
- Two methods, never a flag; always two outputs; no input is mutated.
- Batch-first: `[N, T, D]`, where N may be K samples of B sequences folded together.
- Padding is the model's business: a flow computes at padded steps too, and its real steps never depend on them.
- All parameters at their initial values, a flow is near the identity.
"""
