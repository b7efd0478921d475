"""Instruments: what happens inside a run, measured without changing it by a bit.

Each fills one kind of evidence of `minigpt.runs.schema`; `panel.py` takes them at the spacing that the config
sets. They read weights, gradients and a few fixed windows; the model's mode and torch's random state are put
back, and no `.grad` is written.

    attention   largest attention logit and entropy, by layer
    logits      mean ln Z, gains of norms, the token embedding
    updates     √mean(g²/v) of Adam, by tensor
    noise       gradient noise scale from micro-batches
    sharpness   largest eigenvalue of the Hessian: where it is asked for
    units       shares of units that are never active, and effective ranks
    non_finite  the first module that makes something that is not finite
    ownership   checksums: who writes the weights between two updates
    statefulness  the same batch twice, a row alone, evaluation, two random seeds
    scaling     what the parts do with a scaled loss

    loss_kinds  what a loss takes the logits for, by their gradient
    target_kinds  which kinds of tokens a loss scores
    repetition  the same batches again
    rows        a row beside another, and in another place
    outside     weights in the loss that no optimizer holds
"""
