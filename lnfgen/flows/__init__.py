"""Normalizing flows over a sequence of latents.

`features` has those within a step, `temporal`, `coupling` and `blockwise` those across steps.

Every flow keeps this contract:

- `forward(eps, ...) -> (z, log_abs_det_jacobian)` generates. `inverse(z, ...) -> (eps,
  log_abs_det_jacobian)` scores.
- Each method returns the log-determinant of its own direction, summed over the D features, with
  shape `[..., T]`. At matching points the two add up to 0.
- Both outputs have the dtype of eps and z, also under autocast, where the networks run in bfloat16.
- No input is changed in place.
- The batch comes first: `[N, T, D]`, where N may be K samples of B sequences.
- A flow computes at padded steps too, but its real steps never depend on them. The model masks the
  padding.
- With its initial weights a flow is close to the identity. A mixture of codes is not: its codes are
  apart from the start.
"""
