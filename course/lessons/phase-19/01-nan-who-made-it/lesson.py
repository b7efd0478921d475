"""Lesson 19-01: which module made the NaN, and a guard that drops a step without damaging the run."""

# %% [markdown] id="why" lang="en"
# `loss nan`. There it is in the log, and in every line after it. Three days of training are gone, and most people
# look last at the only thing that matters: **who made the first one?**
#
# A NaN does not say where it comes from. It spreads: one number in one row of one micro-batch is enough, and
# one step later nothing in the model is a number. Everything that you look at afterwards is a victim.
#
# Here you follow one back to its source. Afterwards you can
#
# * find the first module whose inputs are finite and whose output is not, in one forward pass;
# * write a guard that drops a bad step and leaves nothing of it behind, even when a step consists of several
#   micro-batches;
# * find the NaN that no forward pass shows, because it first appears on the way back.
#
# Run the cells in order with **Shift + Enter**.

# %% [markdown] id="why" lang="es" of="fbcae45fd27b"
# `loss nan`. Ahí está, en el log y en todas las líneas que siguen. Se perdieron tres días de entrenamiento, y casi
# todo el mundo deja para el final lo único que importa: **¿quién produjo el primero?**
#
# Un NaN no dice de dónde viene. Se contagia: basta un número en una fila de un micro-batch, y un paso después no
# queda ni un solo número en el modelo. Todo lo que mires a partir de ahí es una víctima.
#
# Aquí vas a seguir uno hasta su origen. Al terminar sabrás
#
# * encontrar, en una sola pasada hacia delante, el primer módulo con entradas finitas y una salida que no lo es;
# * escribir un guard que descarte un paso malo sin dejar rastro de él, también cuando un paso son varios
#   micro-batches;
# * encontrar el NaN que ninguna pasada hacia delante muestra, porque aparece primero en el camino de vuelta.
#
# Ejecuta las celdas en orden con **Shift + Enter**.

# %% id="setup" setup=true
import copy
import dataclasses
import json
import math
import warnings
from pathlib import Path

import matplotlib
import torch
from rich.console import Console

from course.live_plot import LivePlot
from course.notebook import check, lesson, t
from course.predictions import compare, predict
from course.widgets import Slider, playground
from minigpt import Config, Recipe, diagnosis, train
from minigpt.data.batches import get_batch
from minigpt.diagnosis.report import show
from minigpt.diagnosis.trees.dynamics.nonfinite import NON_FINITE_QUESTIONS
from minigpt.messages import MiniGPTError
from minigpt.model.mixers.attention import CausalSelfAttention

lesson("19-01")
runs = Path("experiments") / "19-01"
torch.set_num_threads(1)
matplotlib.rcParams["font.size"] = 9

# %% [markdown] id="meet" lang="en"
# ## 1 · A run that misbehaves
#
# Some texts are shorter than the context. A colleague pads them **at the front** with a padding token, and has
# written an attention layer that must not look at it: where a key is padding, its score becomes −∞, so that the
# softmax gives it a weight of 0. Read it. It looks right, and on nearly every batch it is.

# %% [markdown] id="meet" lang="es" of="9edfebbde752"
# ## 1 · Un run que se porta mal
#
# Algunos textos son más cortos que el contexto. Una colega los rellena **por delante** con un token de padding,
# y escribió una capa de atención que no debe mirarlo: donde una clave es padding, su puntuación pasa a ser −∞, para que
# el softmax le dé un peso de 0. Léela. Parece correcta, y con casi todos los batches lo es.

# %% id="padded-attention"
PAD = 0


class PaddedAttention(CausalSelfAttention):
    padding = None  # (B, T)
    zero_nan = False

    def forward(self, x, turns=None, state=None):
        B, T, C = x.shape
        heads = self.c_attn(x).view(B, T, 3, self.n_head, C // self.n_head)
        q, k, v = (part.transpose(1, 2) for part in heads.unbind(2))  # (B, n_head, T, head_size)
        scores = q @ k.transpose(-2, -1) / math.sqrt(C // self.n_head)  # (B, n_head, T, T)
        hidden = torch.ones(T, T, dtype=torch.bool).triu(1) | self.padding[:, None, None, :]
        weights = scores.masked_fill(hidden, -torch.inf).softmax(-1)
        if self.zero_nan:
            weights = weights.nan_to_num(0.0)
        return self.c_proj((weights @ v).transpose(1, 2).reshape(B, T, C))


def note_padding(model, given):
    for block in model.h:
        block.attn.padding = given[0] == PAD


def build_padded(config):
    model = recipe.build_model(config)
    for block in model.h:
        block.attn = PaddedAttention(config)
    model.register_forward_pre_hook(note_padding)
    return model


# %% [markdown] id="the-batch" lang="en"
# A step is four micro-batches of eight texts. In one micro-batch of step 23, one text is three tokens too short.
# The loss leaves its padding out, as it should. So one text in 32 begins with `PAD PAD PAD`, and that is all.

# %% [markdown] id="the-batch" lang="es" of="bbe1928c244a"
# Un paso son cuatro micro-batches de ocho textos. En un micro-batch del paso 23, a un texto le faltan tres tokens.
# El loss deja fuera el padding, como debe ser. Un texto de 32 empieza, entonces, con `PAD PAD PAD`, y eso es todo.

# %% id="facts" compare=true
config = Config(
    steps=40,
    warmup_steps=4,
    lr_max=3e-3,
    batch_size=8,
    accumulation=4,
    eval_every=0,
    eval_batches=4,
    stop_on_non_finite=False,
)
recipe = Recipe(config)
BAD_STEP, BAD_MICRO, BAD_ROW, SHORT = 23, 2, 5, 3


def get_padded_batch(tokens, config, step, micro=0, *place):
    batch = get_batch(tokens, config, step, micro, *place)
    if (step, micro) == (BAD_STEP, BAD_MICRO):
        inputs = batch.inputs.clone()
        inputs[BAD_ROW, :SHORT] = PAD
        batch = batch._replace(inputs=inputs, mask=batch.mask & (inputs != PAD))
    return batch


padded = dataclasses.replace(recipe, build_model=build_padded, get_batch=get_padded_batch)
for name in ("batch_size", "accumulation", "context", "clip_norm", "steps"):
    print(f"{name:14} {getattr(config, name)}")

# %% [markdown] id="predict" lang="en"
# ## 2 · Predict
#
# **What share of the model's weights is NaN after step 23**, in per cent? And **how many of the 16 steps after it**
# have a finite loss? (Only that one text is short; all later ones fill the context.)

# %% [markdown] id="predict" lang="es" of="69848908ec65"
# ## 2 · Predice
#
# **¿Qué porcentaje de los pesos del modelo es NaN después del paso 23?** ¿Y **cuántos de los 16 pasos
# siguientes** tienen un loss finito? (Solo ese texto es corto; los que vienen después llenan el contexto.)

# %% id="my-prediction"
predict("contagion", weights_in_percent=..., finite_steps=...)

# %% [markdown] id="break" lang="en"
# ## 3 · Break it
#
# The run stops by itself at the first NaN, unless it is told not to; here it is told not to. A small callback
# keeps the weights as they were **before** step 23: the last finite state.

# %% [markdown] id="break" lang="es" of="51f6b19a14ae"
# ## 3 · Rómpelo
#
# El run se detiene solo ante el primer NaN, salvo que se le pida lo contrario; aquí se le pide. Un pequeño
# callback guarda los pesos como estaban **antes** del paso 23: el último estado finito.


# %% id="train-broken"
class Keep:
    def on_step(self, trainer, record):
        if record["step"] == BAD_STEP - 1:
            self.before = copy.deepcopy(trainer.model)
            states = [trainer.optimizer.state[each] for each in trainer.model.parameters()]
            self.moments = [[state[name].clone() for state in states] for name in ("exp_avg", "exp_avg_sq")]
        self.after = trainer.model


kept = Keep()
broken = train(padded, runs / "broken", callbacks=[LivePlot(), kept], overwrite=True)


# %% id="compare-prediction" compare=true
def share_of_nan(tensors):
    tensors = list(tensors)
    return sum(int(each.isnan().sum()) for each in tensors) / sum(each.numel() for each in tensors)


def finite_steps(run, first=0):
    return sum(math.isfinite(record["loss"]) for record in run.metrics[first:])


compare(
    "contagion",
    weights_in_percent=100 * share_of_nan(kept.after.parameters()),
    finite_steps=finite_steps(broken, BAD_STEP + 1),
)

# %% [markdown] id="contagion" lang="en"
# Three padding tokens were enough: no number is left in the model. A NaN always spreads in the same way:
#
# 1. One token's output is NaN. The next block mixes tokens, so the whole row is; a weight of 0 does not help,
#    because **0 · NaN is NaN**.
# 2. The loss of that row is NaN, so the mean is, and so is the gradient of every weight.
# 3. Even if it were only one tensor: clipping multiplies *all* gradients by limit ÷ norm, and the norm is NaN.
# 4. Adam puts the gradient into its running means. From there a NaN never leaves.
#
# ## 4 · Inspect
#
# ### Three cures
#
# Take the weights from before step 23 and the bad micro-batch, and try what everybody tries first: replace the NaN
# in the loss by 0; leave the bad rows out of the mean; or replace the NaN by 0 in the attention weights, where the
# softmax made it. All three give a finite loss. **Which of them gives gradients that are numbers?**

# %% [markdown] id="contagion" lang="es" of="0d28eab74efd"
# Bastaron tres tokens de padding: en el modelo no queda ni un número. El contagio es siempre igual:
#
# 1. La salida de un token es NaN. El bloque siguiente combina tokens, así que lo es toda la fila; un peso de 0 no
#    ayuda, porque **0 · NaN es NaN**.
# 2. El loss de esa fila es NaN; por lo tanto, también la media y el gradiente de todos los pesos.
# 3. Aunque fuera un solo tensor: el clipping multiplica *todos* los gradientes por límite ÷ norma, y la norma es
#    NaN.
# 4. Adam mete el gradiente en sus medias móviles. De ahí un NaN no sale nunca.
#
# ## 4 · Inspecciona
#
# ### Tres curas
#
# Toma los pesos de antes del paso 23 y el micro-batch malo, y prueba lo que todo el mundo prueba primero:
# cambiar por 0 el NaN del loss; dejar fuera de la media las filas malas; cambiar por 0 el NaN de los pesos de la
# atención, ahí donde lo produjo el softmax. Las tres dan un loss finito. **¿Cuál de ellas da gradientes que son
# números?**

# %% id="three-cures" compare=true
bad = get_padded_batch(recipe.load_data(config).train, config, BAD_STEP, BAD_MICRO)


def row_losses(model):
    losses = torch.nn.functional.cross_entropy(model(bad.inputs).mT, bad.targets, reduction="none")
    return losses.masked_fill(~bad.mask, 0.0).sum(-1) / bad.mask.sum(-1)  # (B,)


def zero_in_the_loss(model):
    return row_losses(model).mean().nan_to_num(0.0)


def without_bad_rows(model):
    losses = row_losses(model)
    return losses[losses.isfinite()].mean()


def zero_in_the_weights(model):
    for block in model.h:
        block.attn.zero_nan = True
    return row_losses(model).mean()


print(f"{'':26}{t('loss-is-finite'):>20}{t('nan-gradients'):>26}")
for cure in (zero_in_the_loss, without_bad_rows, zero_in_the_weights):
    patient = copy.deepcopy(kept.before)
    loss = cure(patient)
    loss.backward()
    share = share_of_nan(parameter.grad for parameter in patient.parameters())
    print(f"{t(cure.__name__):26}{t(str(bool(loss.isfinite()))):>20}{share:>26.0%}")

# %% [markdown] id="cures-said" lang="en"
# The first two look at the end of the pass, where it is too late: on the way back a 0 meets the NaN that the
# softmax has kept, and 0 · NaN is NaN. **A finite loss does not mean a finite gradient.** Only the cure at the
# source works. So find the source.
#
# ### Who was first?
#
# PyTorch calls a *forward hook* whenever a module has finished, with what went in and what came out. So look at the
# output of each module of the model, and take the first one with a NaN:

# %% [markdown] id="cures-said" lang="es" of="d2ef95a7febd"
# Las dos primeras miran el final de la pasada, donde ya es tarde: en el camino de vuelta, un 0 se encuentra con
# el NaN que guardó el softmax, y 0 · NaN es NaN. **Un loss finito no significa un gradiente finito.** Solo
# funciona la cura en el origen. Así que busca el origen.
#
# ### ¿Quién fue el primero?
#
# PyTorch llama a un *forward hook* cada vez que termina un módulo, con lo que entró y lo que salió. Así que mira la
# salida de cada módulo del modelo y quédate con el primero que tenga un NaN:

# %% id="naive-search" compare=true
suspects = []


def accuse(name):
    return lambda module, given, output: suspects.append(name) if output.isnan().any() else None


handles = [module.register_forward_hook(accuse(name)) for name, module in kept.before.named_modules()]
kept.before(bad.inputs)
for handle in handles:
    handle.remove()
print(*suspects[:4], "…")

# %% [markdown] id="naive-said" lang="en"
# This accuses `h.0.attn.c_proj`, a linear layer with healthy weights. It is innocent: its *input* was NaN already.
# It came first only because a module finishes after those that it calls: inner ones before outer ones.
#
# So the output is not enough. The culprit is the first module **whose inputs are all finite and whose output is
# not**. That is exercise 1.
#
# ### A loop that looks right
#
# Many training loops have a guard like this one. A step has four micro-batches:
#
# ```python
# for i, batch in enumerate(loader):
#     loss = loss_of(model, batch) / 4
#     if torch.isnan(loss):
#         continue
#     loss.backward()
#     if (i + 1) % 4 == 0:
#         torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
#         opt.step()
#         opt.zero_grad()
# ```
#
# Before you run the next cell: **how many micro-batches are in each update** if number 6 is NaN (counted from 0)?
# And if number 7 is?

# %% [markdown] id="naive-said" lang="es" of="3404d6eb3145"
# Acusa a `h.0.attn.c_proj`, una capa lineal con pesos sanos. Es inocente: su *entrada* ya era NaN. Salió primera
# solo porque un módulo termina después de los que llama: los de adentro, antes que los de afuera.
#
# Así que la salida no basta. El culpable es el primer módulo **cuyas entradas son todas finitas y cuya salida no
# lo es**. Ese es el ejercicio 1.
#
# ### Un bucle que parece correcto
#
# Muchos bucles de entrenamiento llevan un guard como este. Un paso tiene cuatro micro-batches:
#
# ```python
# for i, batch in enumerate(loader):
#     loss = loss_of(model, batch) / 4
#     if torch.isnan(loss):
#         continue
#     loss.backward()
#     if (i + 1) % 4 == 0:
#         torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
#         opt.step()
#         opt.zero_grad()
# ```
#
# Antes de ejecutar la celda que sigue: **¿cuántos micro-batches hay en cada actualización** si el número 6 es NaN
# (contando desde 0)? ¿Y si lo es el número 7?


# %% id="looks-right" compare=true
def micro_batches_per_update(bad_number):
    updates, inside = [], 0
    for i in range(16):
        if i == bad_number:
            continue
        inside += 1
        if (i + 1) % 4 == 0:
            updates.append(inside)
            inside = 0
    return updates


for number in (None, 6, 7):
    print(f"{t('nan-in')} {'–' if number is None else number}: {micro_batches_per_update(number)}")

# %% [markdown] id="looks-said" lang="en"
# With number 6 the second update has three micro-batches and is still divided by four. With number 7, the last
# of its window, the `continue` jumps over the **step** as well: nothing is cleared, and the third update has
# seven. Two more holes: `isnan` lets infinity pass, and a gradient can be NaN though the loss is finite.
#
# The rule that has no such holes: **a window of micro-batches counts whole or not at all.** One question, after
# the last `backward()` and before the step; if the answer is no, clear everything and move on to the next batches. That
# is exercise 2.
#
# ### What do the half measures do? Turn the knobs
#
# Real gradients of this model, from before step 23, and Adam's real moments. Some of the k micro-batches are bad.
# On the left is the length of the gradient that the optimizer gets, on the right how far Adam then moves the
# weights. In both, 1 (dashed) is what a window without bad micro-batches would give.
#
# 1. k = 4, one bad. Which half measure shows on the left, and does it show on the right?
# 2. Look at the zeros in place of NaN. How long is the gradient? How far do the weights move?
# 3. Go up to k = 16 with 15 bad ones. What is left of the half measures?
# 4. Lower the clip limit to 0.1. What can you still see on the left?

# %% [markdown] id="looks-said" lang="es" of="97aec5382c97"
# Con el número 6, la segunda actualización tiene tres micro-batches y se divide entre cuatro de todos modos. Con
# el 7, el último de su ventana, el `continue` se salta también el **paso**: no se limpia nada, y la tercera
# actualización tiene siete. Y dos agujeros más: `isnan` deja pasar el infinito, y un gradiente puede ser NaN
# aunque el loss sea finito.
#
# La regla que no tiene esos agujeros: **una ventana de micro-batches cuenta entera o no cuenta.** Una sola
# pregunta, después del último `backward()` y antes del paso; si la respuesta es no, se limpia todo y se pasa a los
# batches siguientes. Ese es el ejercicio 2.
#
# ### ¿Qué hacen las medidas a medias? Gira las perillas
#
# Gradientes reales de este modelo, de antes del paso 23, y los momentos reales de Adam. Algunos de los k
# micro-batches son malos. A la izquierda está la longitud del gradiente que recibe el optimizador; a la derecha,
# cuánto mueve Adam los pesos con él. En los dos, 1 (la línea discontinua) es lo que daría una ventana sin
# micro-batches malos.
#
# 1. k = 4, uno malo. ¿Qué medida a medias se nota a la izquierda? ¿Se nota a la derecha?
# 2. Mira los ceros en lugar de NaN. ¿Cuánto mide el gradiente? ¿Cuánto se mueven los pesos?
# 3. Sube hasta k = 16 con 15 malos. ¿Qué queda de las medidas a medias?
# 4. Baja el límite del clipping a 0.1. ¿Qué se puede ver todavía a la izquierda?

# %% id="real-gradients"
MOST = 16
tokens = recipe.load_data(config).train
gradients = []  # (16, P)
for micro in range(MOST):
    patient = copy.deepcopy(kept.before)
    batch = get_batch(tokens, config, BAD_STEP, 100 + micro)
    recipe.loss(patient(batch.inputs), batch.targets, batch.mask).backward()
    gradients.append(torch.cat([parameter.grad.flatten() for parameter in patient.parameters()]))
first, second = (torch.cat([each.flatten() for each in moments]) for moments in kept.moments)

# %% id="playground" folded=true
POLICIES = ("whole-window", "divided-by-k", "divided-by-rest", "zeros-for-nan")


def adam_moves(gradient):
    m = config.beta1 * first + (1 - config.beta1) * gradient
    v = config.beta2 * second + (1 - config.beta2) * gradient.square()
    t_now = BAD_STEP + 1
    m, v = m / (1 - config.beta1**t_now), v / (1 - config.beta2**t_now)
    return (m / (v.sqrt() + config.eps)).norm().item()


def draw(figure, k, bad_ones, limit):
    bad_ones = min(bad_ones, k)
    good, everything = gradients[: k - bad_ones], sum(gradients[:k]) / k
    nothing = torch.zeros_like(everything)
    partial = sum(good) if good else nothing
    given = {
        "whole-window": None,
        "divided-by-k": partial / k,
        "divided-by-rest": partial / max(len(good), 1),
        "zeros-for-nan": nothing,
    }

    def clipped(gradient):
        return gradient * min(1.0, limit / max(gradient.norm().item(), 1e-12))

    whole = clipped(everything)
    lengths = [0.0 if g is None else (clipped(g).norm() / whole.norm()).item() for g in given.values()]
    moves = [0.0 if g is None else adam_moves(clipped(g)) / adam_moves(whole) for g in given.values()]
    for axes, values, title in zip(
        figure.subplots(1, 2, sharey=True), (lengths, moves), ("gradient-length", "weights-move"), strict=True
    ):
        bars = axes.barh(
            [t(name) for name in POLICIES], values, color=["0.75", "#0072b2", "#56b4e9", "#d55e00"]
        )
        axes.axvline(1, color="black", linestyle="--", linewidth=1)
        on_white = {"facecolor": "white", "edgecolor": "none", "pad": 1}
        axes.bar_label(bars, fmt="%.2f", padding=4, bbox=on_white)
        axes.set(xlim=(0, 2.6), title=t(title))
        axes.title.set_fontsize(10)
    axes.invert_yaxis()


playground(
    draw,
    size=(9.2, 2.3),
    k=Slider(t("micro-batches"), 2, MOST, 4),
    bad_ones=Slider(t("bad-ones"), 1, MOST, 1),
    limit=Slider(t("clip-limit"), 0.1, 100.0, 1.0, log=True),
)

# %% [markdown] id="play-answers" lang="en"
# <details><summary>What you should have found</summary>
#
# 1. Dividing by k: the gradient is about a quarter shorter. On the right it hardly shows: Adam divides by the size
#    of its gradients, so a wrong length disappears. That is why nobody notices.
# 2. The gradient has no length at all, and the weights move nine tenths as far as usual: momentum carries Adam's
#    first moment on. **A gradient of zeros is a step**, one that has seen no data, and it makes the moments forget.
#    Leaving the step out is something else: then nothing moves.
# 3. Divided by the rest, it looks like a whole step on both sides, and stands for a single micro-batch: its
#    gradient is mostly noise. Divided by k, hardly any gradient is left, and momentum moves the weights all the
#    same. And if what makes a micro-batch bad is what is in it, short texts for example, the model never learns
#    from them.
# 4. Nothing: clipping has made them equal. A log of the clipped norm cannot show a partial window.
#
# Dropping the whole window does none of this. It costs one window of data, and the run is exactly the run that
# never saw it.
# </details>

# %% [markdown] id="play-answers" lang="es" of="797ff02c082e"
# <details><summary>Lo que deberías haber encontrado</summary>
#
# 1. Dividir entre k: el gradiente es más o menos un cuarto más corto. A la derecha casi no se nota: Adam divide
#    entre el tamaño de sus gradientes, así que una longitud equivocada desaparece. Por eso nadie se da cuenta.
# 2. El gradiente mide 0, y los pesos se mueven nueve décimas de lo normal: el primer momento de Adam sigue por
#    inercia. **Un gradiente de ceros es un paso**, uno que no ha visto datos, y hace que los momentos olviden. No
#    dar el paso es otra cosa: ahí no se mueve nada.
# 3. Dividido entre el resto, parece un paso entero a los dos lados y representa a un solo micro-batch: su gradiente
#    es sobre todo ruido. Dividido entre k, casi no queda gradiente, y la inercia mueve los pesos de todos modos. Y
#    si lo que hace malo a un micro-batch es lo que contiene, por ejemplo textos cortos, el modelo nunca aprende de
#    ellos.
# 4. Nada: el clipping los igualó. Un log de la norma ya recortada no puede mostrar una ventana parcial.
#
# Descartar la ventana entera no hace nada de eso. Cuesta una ventana de datos, y el run es exactamente el run que
# nunca la vio.
# </details>

# %% [markdown] id="task-first" lang="en"
# ## 5 · Fix
#
# Three exercises: find the source, guard the step, and repair a function that looks right.
#
# ### Exercise 1 · The first module
#
# > Difficulty ●●●○○ · Importance ●●●●● · 15 minutes
#
# Write `first_nonfinite(model, inputs)`. It runs `model(inputs)` once and returns the name, as in
# `model.named_modules()`, of the first module **whose inputs are all finite and whose output is not**; or `None`.
#
# * Infinity counts like NaN.
# * What goes in or comes out may be a tensor, or a tuple or list of tensors, nested too. Anything else, such as
#   `None`, counts as finite. So do token ids, which are tensors of integers.
# * If several modules qualify, it is the one that finishes first, so the innermost.
# * Afterwards the model is as before: no hook is left, the mode is the same.
#
# <details><summary>Hint 1: the hook</summary>
#
# `module.register_forward_hook(hook)` calls `hook(module, given, output)`; `given` is the tuple of inputs. A
# hook made inside a loop needs its own name: make it in a function that takes the name. Let the hook return nothing:
# what it returns would replace the output of the module.
# </details>
# <details><summary>Hint 2: tuples in tuples</summary>
#
# A function that asks “is this finite?” may call itself for each part of a tuple.
# </details>

# %% [markdown] id="task-first" lang="es" of="c0a260f2ef28"
# ## 5 · Arregla
#
# Tres ejercicios: encontrar el origen, proteger el paso y reparar una función que parece correcta.
#
# ### Ejercicio 1 · El primer módulo
#
# > Dificultad ●●●○○ · Importancia ●●●●● · 15 minutos
#
# Escribe `first_nonfinite(model, inputs)`. Ejecuta `model(inputs)` una vez y devuelve el nombre, como en
# `model.named_modules()`, del primer módulo **cuyas entradas son todas finitas y cuya salida no lo es**; o `None`.
#
# * El infinito cuenta igual que NaN.
# * Lo que entra o sale puede ser un tensor, o una tupla o lista de tensores, incluso una dentro de otra. Todo lo
#   demás, como `None`, cuenta como finito. También los ids de los tokens, que son tensores de enteros.
# * Si varios módulos cumplen la condición, es el que termina primero, o sea, el de más adentro.
# * Al terminar, el modelo está como antes: no queda ningún hook y el modo es el mismo.
#
# <details><summary>Pista 1: el hook</summary>
#
# `module.register_forward_hook(hook)` llama a `hook(module, given, output)`; `given` es la tupla de entradas. Un
# hook creado dentro de un bucle necesita su propio nombre: créalo en una función que reciba el nombre. Que el hook no
# devuelva nada: lo que devuelve reemplaza la salida del módulo.
# </details>
# <details><summary>Pista 2: tuplas dentro de tuplas</summary>
#
# Una función que pregunta «¿es finito esto?» puede llamarse a sí misma con cada parte de una tupla.
# </details>


# %% solution="first-nonfinite"
def first_nonfinite(model, inputs):
    ### BEGIN SOLUTION
    found = []

    def finite(value):
        if isinstance(value, (tuple, list)):
            return all(finite(part) for part in value)
        return not isinstance(value, torch.Tensor) or bool(torch.isfinite(value).all())

    def watch(name):
        def hook(module, given, output):
            if finite(given) and not finite(output):
                found.append(name)

        return hook

    hooks = [module.register_forward_hook(watch(name)) for name, module in model.named_modules()]
    try:
        model(inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return found[0] if found else None
    ### END SOLUTION


# %% check="first-nonfinite/leaf" points=2
check("first-nonfinite/leaf", first_nonfinite)

# %% check="first-nonfinite/inside" points=2
check("first-nonfinite/inside", first_nonfinite)

# %% check="first-nonfinite/kinds" points=2
check("first-nonfinite/kinds", first_nonfinite)

# %% check="first-nonfinite/healthy" points=1
check("first-nonfinite/healthy", first_nonfinite)

# %% check="first-nonfinite/tidy" points=1
check("first-nonfinite/tidy", first_nonfinite)

# %% [markdown] id="task-guard" lang="en"
# ### Exercise 2 · A guard for a window
#
# > Difficulty ●●●○○ · Importance ●●●●● · 15 minutes
#
# Write `guarded_step(model, optimizer, loss_of, batches, max_norm)`: one step from a list of micro-batches of
# equal size. `loss_of(model, batch)` is the mean loss of one of them. When `guarded_step` is called there are no
# gradients.
#
# * If every loss and every gradient of the window is finite: `optimizer.step()` runs once, with `.grad` = the
#   gradient of the mean over the micro-batches, cut to a global norm of at most `max_norm`. It returns `True`.
# * Otherwise `optimizer.step()` does **not** run, and it returns `False`.
# * Either way no gradient is left behind.
#
# <details><summary>Hint 1: how many questions?</summary>
#
# The global norm is finite only if all gradients are, so one number answers for all of them. But a loss can be
# infinite with a finite gradient; ask the losses, too.
# </details>
# <details><summary>Hint 2: before or after clipping?</summary>
#
# `clip_grad_norm_` returns the norm *before* clipping. If that is NaN, all gradients are NaN by then, which does
# not matter if you throw them away.
# </details>

# %% [markdown] id="task-guard" lang="es" of="01081e98d977"
# ### Ejercicio 2 · Un guard para una ventana
#
# > Dificultad ●●●○○ · Importancia ●●●●● · 15 minutos
#
# Escribe `guarded_step(model, optimizer, loss_of, batches, max_norm)`: un paso a partir de una lista de
# micro-batches del mismo tamaño. `loss_of(model, batch)` es el loss medio de uno de ellos. Al llamar a `guarded_step`
# no hay gradientes.
#
# * Si todos los losses y todos los gradientes de la ventana son finitos: `optimizer.step()` se ejecuta una vez, con
#   `.grad` = el gradiente de la media sobre los micro-batches, recortado a una norma global de `max_norm` como
#   máximo. Devuelve `True`.
# * Si no, `optimizer.step()` **no** se ejecuta, y devuelve `False`.
# * En los dos casos, no queda ningún gradiente.
#
# <details><summary>Pista 1: ¿cuántas preguntas?</summary>
#
# La norma global es finita solo si lo son todos los gradientes, así que un número responde por todos. Pero un loss
# puede ser infinito con un gradiente finito; pregunta también por los losses.
# </details>
# <details><summary>Pista 2: ¿antes o después del clipping?</summary>
#
# `clip_grad_norm_` devuelve la norma de *antes* del clipping. Si es NaN, a esas alturas todos los gradientes son
# NaN, pero da igual si los descartas.
# </details>


# %% solution="guarded-step"
def guarded_step(model, optimizer, loss_of, batches, max_norm):
    ### BEGIN SOLUTION
    finite = True
    for batch in batches:
        loss = loss_of(model, batch) / len(batches)
        loss.backward()
        finite = finite and bool(loss.isfinite())
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    finite = finite and math.isfinite(norm)
    if finite:
        optimizer.step()
    optimizer.zero_grad()
    return finite
    ### END SOLUTION


# %% check="guarded-step/clean" points=2
check("guarded-step/clean", guarded_step)

# %% check="guarded-step/loss" points=2
check("guarded-step/loss", guarded_step)

# %% check="guarded-step/gradient" points=2
check("guarded-step/gradient", guarded_step)

# %% check="guarded-step/afterwards" points=2
check("guarded-step/afterwards", guarded_step)

# %% check="guarded-step/returns" points=1
check("guarded-step/returns", guarded_step)

# %% [markdown] id="task-distances" lang="en"
# ### Exercise 3 · A bug in code that looks right
#
# > Difficulty ●●●○○ · Importance ●●●●○ · 10 minutes
#
# Another run, another colleague. He wants the position embeddings to stay apart, so he adds a small term to the
# loss: the mean of `exp(−distance)` over all pairs of positions. Each position is at distance 0 from itself, and he
# has taken care of that 0:

# %% [markdown] id="task-distances" lang="es" of="97314ab338a8"
# ### Ejercicio 3 · Un error en código que parece correcto
#
# > Dificultad ●●●○○ · Importancia ●●●●○ · 10 minutos
#
# Otro run, otro colega. Quiere que los embeddings de posición se mantengan separados y le suma al loss un término
# pequeño: la media de `exp(−distancia)` sobre todos sus pares. Cada posición está a distancia 0 de sí misma, así que
# previó el 0:


# %% id="careful-distances" compare=true
def careful_distances(points):
    square = (points[:, None] - points[None]).square().sum(-1)
    return torch.where(square > 0, square.sqrt(), 0.0)


def spread_out(model, distances):
    return torch.exp(-distances(model.wpe.weight)).mean()


torch.manual_seed(config.seed)
fresh = recipe.build_model(config)
recipe.init_weights(fresh, config)
batch = get_batch(tokens, config, 0)
loss = recipe.loss(fresh(batch.inputs), batch.targets, batch.mask) + 0.1 * spread_out(
    fresh, careful_distances
)
loss.backward()
print(f"{t('loss-is-finite')}: {t(str(bool(loss.isfinite())))}")
for name in ("wte", "wpe"):
    print(f"{t('nan-gradients')}, {name}: {fresh.get_submodule(name).weight.grad.isnan().float().mean():.0%}")
print(f"first_nonfinite: {first_nonfinite(fresh, batch.inputs)}")

# %% [markdown] id="anomaly" lang="en"
# Every module's output is finite, the loss is finite, and the gradient of `wpe` is NaN: this NaN appears on the way
# **back**, and your search of the forward pass cannot see it. PyTorch's *anomaly mode* can: it names the first
# function whose gradient is NaN. It is slow, so use it on one batch.

# %% [markdown] id="anomaly" lang="es" of="e1fd197cc34e"
# La salida de todos los módulos es finita, el loss es finito y el gradiente de `wpe` es NaN: este NaN aparece en el
# camino **de vuelta**, y tu búsqueda en la pasada hacia delante no lo puede ver. El *modo de anomalías* de PyTorch
# sí: nombra la primera función cuyo gradiente es NaN. Es lento, así que úsalo con un solo batch.

# %% id="anomaly-mode" compare=true
with warnings.catch_warnings(action="ignore"), torch.autograd.set_detect_anomaly(True):
    try:
        spread_out(fresh, careful_distances).backward()
    except RuntimeError as error:
        print(str(error).split(" returned")[0])

# %% [markdown] id="root" lang="en"
# The slope of a square root is 1 / (2√x): infinite at 0. `torch.where` picks the other branch and sends the root a
# gradient of 0, and 0 · ∞ is NaN. **`where` chooses values; the branch that it did not choose is differentiated all
# the same.**
#
# Write `distances(points)`: from (N, C) the (N, N) Euclidean distances. They are exact, even when they are tiny,
# and their gradient is finite everywhere: a pair at distance 0 adds nothing to it.
#
# <details><summary>Hint</summary>
#
# Let the root never see a 0: choose a harmless number *before* it, and the 0 after it.
# </details>

# %% [markdown] id="root" lang="es" of="635130f06942"
# La pendiente de una raíz es 1 / (2√x): infinita en 0. `torch.where` elige la otra rama y le manda a la raíz un
# gradiente de 0, y 0 · ∞ es NaN. **`where` elige valores; no impide que se derive la rama que no eligió.**
#
# Escribe `distances(points)`: a partir de (N, C), las distancias euclidianas (N, N). Son exactas, también cuando
# son diminutas, y su gradiente es finito en todas partes: un par a distancia 0 no aporta nada.
#
# <details><summary>Pista</summary>
#
# Que la raíz no vea nunca un 0: elige un número inofensivo *antes* de ella, y el 0 después.
# </details>


# %% solution="distances"
def distances(points):
    ### BEGIN SOLUTION
    squares = (points.unsqueeze(1) - points).square().sum(-1)
    apart = squares > 0
    return torch.where(apart, torch.where(apart, squares, 1.0).sqrt(), 0.0)
    ### END SOLUTION


# %% check="distances/values" points=1
check("distances/values", distances)

# %% check="distances/gradient" points=2
check("distances/gradient", distances)

# %% check="distances/twins" points=1
check("distances/twins", distances)

# %% check="distances/small" points=1
check("distances/small", distances)

# %% [markdown] id="verify" lang="en"
# ## 6 · Verify
#
# First your search, from the last finite state and with the batch of step 23:

# %% [markdown] id="verify" lang="es" of="d79d35d46633"
# ## 6 · Comprueba
#
# Primero tu búsqueda, desde el último estado finito y con el batch del paso 23:

# %% id="found" compare=true
print(first_nonfinite(kept.before, bad.inputs))


# %% [markdown] id="walk-text" lang="en"
# The trainer makes the same search whenever it meets a NaN, and question 7.1 of the stability check reads what it
# found. First a run that stops at the NaN, as runs do by default. Then the broken run of this lesson, which had to
# go on.

# %% [markdown] id="walk-text" lang="es" of="e55e01837988"
# El trainer hace la misma búsqueda cada vez que se topa con un NaN, y la pregunta 7.1 de la revisión de estabilidad
# lee lo que encontró. Primero, un run que se detiene ante el NaN, como hacen todos si no se les pide otra cosa.
# Después, el run roto de esta lección, que tuvo que seguir.

# %% id="walk"
stopping = dataclasses.replace(padded, config=config.replace(stop_on_non_finite=True))
try:
    train(stopping, runs / "stopped", overwrite=True)
except MiniGPTError as stop:
    print(stop)
asked = [question for question in NON_FINITE_QUESTIONS if question.id == "7.1"]
for name in ("stopped", "broken"):
    show(diagnosis.walk(diagnosis.evidence_of(runs / name), asked), Console(width=88))

# %% [markdown] id="walk-said" lang="en"
# The run that stopped still had the weights from before the update, and the search ended at the attention. In the
# broken run the update had been made before anybody searched: the weights themselves are NaN, and the first of
# them, `wte`, is blamed. **Search before the update; afterwards there is nothing left to find.**
#
# Now your guard: a plain loop with your step trains through the bad window. Beside it, the same loop on data that
# never had that window. **Are their weights close, or equal?**

# %% [markdown] id="walk-said" lang="es" of="d054e395d543"
# El run que se detuvo todavía tenía los pesos de antes de la actualización, y la búsqueda terminó en la atención.
# En el run roto, la actualización ya estaba hecha cuando alguien buscó: los propios pesos son NaN, y la culpa se la
# lleva el primero, `wte`. **Busca antes de la actualización; después ya no queda nada que encontrar.**
#
# Ahora tu guard: un bucle simple con tu paso entrena a través de la ventana mala. Al lado, el mismo bucle con datos
# que nunca tuvieron esa ventana. **¿Sus pesos se parecen, o son iguales?**


# %% id="bit-for-bit" compare=true
def loss_of(model, batch):
    return recipe.loss(model(batch.inputs), batch.targets, batch.mask)


def my_loop(steps):
    torch.manual_seed(config.seed)
    model = build_padded(config)
    recipe.init_weights(model, config)
    optimizer = recipe.build_optimizer(model, config)
    updated = 0
    for step in steps:
        for group in optimizer.param_groups:
            group["lr"] = recipe.lr_at(step, config)
        batches = [get_padded_batch(tokens, config, step, micro) for micro in range(config.accumulation)]
        updated += guarded_step(model, optimizer, loss_of, batches, config.clip_norm)
    return model, updated


guarded, updated = my_loop(range(config.steps))
never, _ = my_loop(step for step in range(config.steps) if step != BAD_STEP)
equal = all(torch.equal(*pair) for pair in zip(guarded.parameters(), never.parameters(), strict=True))
print(f"{t('updates')}: {updated} / {config.steps}")
print(f"{t('bit-for-bit')}: {t(str(equal))}")

# %% [markdown] id="engine" lang="en"
# Equal, to the last bit. That is the standard for a guard: *the run that it leaves is one that could have happened
# without it.* The trainer's own guard meets it too, and writes down what it dropped:

# %% [markdown] id="engine" lang="es" of="e10b7e6270f8"
# Iguales, hasta el último bit. Esa es la exigencia para un guard: *el run que deja es uno que podría haber ocurrido
# sin él*. El guard del propio trainer también la cumple, y anota lo que descartó:

# %% id="own-guard" compare=true
settings = {"guard_finite": True, "stop_on_non_finite": True}
careful = dataclasses.replace(padded, config=config.replace(**settings))
saved = train(careful, runs / "guarded", overwrite=True)
for line in (saved.path / "events.jsonl").read_text(encoding="utf-8").splitlines():
    event = json.loads(line)
    print({key: event[key] for key in ("step", "guard", "done", "batches")})
print(f"{t('finite-steps')}: {finite_steps(saved)} / {len(saved.metrics)}")

# %% [markdown] id="cause" lang="en"
# It dropped one window, tried step 23 again with the next batches, and the run is alive: 41 attempts for 40 steps.
# **But the guard is not the cure.** Tomorrow there are ten short texts, and the model will never learn from any of
# them. So repair the attention, where you know now that the NaN is made: a row that may look at nothing gets weights
# of 0. The broken run, in grey, lies hidden under the new curve: up to step 23 the two are the same.

# %% [markdown] id="cause" lang="es" of="af7fc8068854"
# Descartó una ventana, volvió a intentar el paso 23 con los batches siguientes, y el run sigue vivo: 41 intentos para
# 40 pasos. **Pero el guard no es la cura.** Mañana habrá diez textos cortos, y el modelo no aprenderá nunca de
# ninguno. Así que repara la atención, que, como ahora sabes, es donde se produce el NaN: una fila que no puede mirar
# nada recibe pesos de 0. El run roto, en gris, queda tapado por la curva nueva: hasta el paso 23 los dos son iguales.


# %% id="train-repaired"
def build_repaired(config):
    model = build_padded(config)
    for block in model.h:
        block.attn.zero_nan = True
    return model


repaired = train(
    dataclasses.replace(careful, build_model=build_repaired),
    runs / "repaired",
    callbacks=[LivePlot(before=broken.metrics)],
    overwrite=True,
)

# %% id="repaired-facts" compare=true
print(f"{t('finite-steps')}: {finite_steps(repaired)} / {config.steps}")
print(f"{t('dropped')}: {sum(record.get('dropped', False) for record in repaired.metrics)}")
walk = diagnosis.walk(diagnosis.evidence_of(repaired.path), NON_FINITE_QUESTIONS)
print(f"7.1–7.4: {walk.leaf or t('no-fault')}")

# %% [markdown] id="explain" lang="en"
# ## 7 · Explain
#
# A run of your team stopped at step 41,210 with a NaN. A colleague went back a thousand steps, halved the learning
# rate, and the run got past that step. “It was the learning rate”, he says. In your team's loop, a restart brings
# different batches.
#
# Say **what he cannot know**, **what you would have done first** with the last checkpoint and the batch of step
# 41,210, in which order, and what each outcome would mean. And say why you still want a guard in the loop, and
# **what figure of the guard** you would watch. (Three points, one for each of the three.)

# %% [markdown] id="explain" lang="es" of="7106f84787ce"
# ## 7 · Explica
#
# Un run de tu equipo se detuvo en el paso 41,210 con un NaN. Un colega volvió mil pasos atrás, redujo a la mitad el
# learning rate (tasa de aprendizaje), y el run superó ese paso. «Era el learning rate», dice. En el bucle de tu
# equipo, después de un reinicio los batches son otros.
#
# Di **qué es lo que no puede saber**, **qué habrías hecho primero** con el último checkpoint y el batch del paso
# 41,210, en qué orden, y qué significaría cada resultado. Y di por qué quieres de todos modos un guard en el bucle,
# y **qué cifra del guard** vigilarías. (Tres puntos, uno por cada una de las tres partes.)

# %% [markdown] answer="post-mortem" points=3 lang="en"
# He changed two things: the learning rate and the batches. If one text made the NaN, the run would have gone
# through at the old rate too, and the text is still in the data. First I load the last finite state and take that
# very batch, without an update. If the forward pass gives a NaN, the first module with finite inputs and an output
# that is not is the place; if its weights are already enormous, the rate may be to blame, and if they are
# ordinary, the batch met a bug. If the loss is finite and the gradient is not, I repeat that batch in anomaly
# mode, which names the function. If nothing is wrong, it needs the steps in between, and I go forward from the
# checkpoint with the same batches. A guard keeps one such batch from costing a thousand steps. I watch how many
# windows it drops, and which: one in a million is an accident, a growing share or always the same kind of text
# is a bug that the guard hides.
#
# ---
# **Rubric.** One point each. (1) Two things changed at once (rate and data), so the rate is not proved; or: the
# cause is still there. (2) Same state and same batch first; then forward search, then the backward pass (anomaly
# mode), with what at least one outcome would mean. “Log more” earns nothing. (3) A guard limits the damage and does
# not remove the cause; the number or share of dropped windows, or which batches. “The loss” is no figure of the
# guard.

# %% [markdown] answer="post-mortem" points=3 lang="es" of="11e3e5b48e6e"
# Cambió dos cosas: el learning rate y los batches. Si un texto produjo el NaN, el run también habría pasado con el
# learning rate de antes, y el texto sigue en los datos. Primero cargo el último estado finito y tomo exactamente
# ese batch, sin actualizar. Si la pasada hacia delante da un NaN, el lugar es el primer módulo con entradas finitas
# y una salida que no lo es; si sus pesos ya son enormes, puede ser culpa del learning rate, y si son normales, el
# batch se encontró con un error del código. Si el loss es finito y el gradiente no, repito ese batch en el modo de
# anomalías, que nombra la función. Si no pasa nada, hacen falta los pasos intermedios, y avanzo desde el checkpoint
# con los mismos batches. Un guard evita que un batch así cueste mil pasos. Vigilo cuántas ventanas descarta y
# cuáles: una en un millón es un accidente; una parte que crece, o siempre el mismo tipo de texto, es un error que
# el guard esconde.
#
# ---
# **Rúbrica.** Un punto por cada parte. (1) Cambiaron dos cosas a la vez (learning rate y datos), así que lo primero
# no está demostrado; o bien: la causa sigue ahí. (2) Primero el mismo estado y el mismo batch; después la búsqueda
# hacia delante y luego la vuelta (modo de anomalías), con lo que significaría al menos un resultado. «Registrar
# más» no da puntos. (3) Un guard limita el daño y no quita la causa; el número o la parte de ventanas descartadas,
# o qué batches. «El loss» no es una cifra del guard.

# %% [markdown] id="card" lang="en"
# ## 8 · A card to keep
#
# | symptom | ask | first action |
# |---|---|---|
# | loss NaN from step N on | last finite state, batch of step N: first module with finite inputs and an output that is not | repair that module; lower nothing yet |
# | forward finite, gradient NaN | anomaly mode on that one batch | a root or a log of 0, a division by 0: keep the 0 out *before* it |
# | all weights NaN after one step | was the norm checked before the step? | drop the window: no step, no gradient left |
# | a guard that drops more and more | which batches, which module | it hides a bug |
#
# A window counts whole or not at all. Zeros in place of NaN are still a step. Ask before the update; afterwards it
# is too late.

# %% [markdown] id="card" lang="es" of="42c9497833e7"
# ## 8 · Una tarjeta para guardar
#
# | síntoma | pregunta | primera acción |
# |---|---|---|
# | loss NaN desde el paso N | último estado finito, batch del paso N: primer módulo con entradas finitas y una salida que no lo es | repara ese módulo; no bajes nada todavía |
# | ida finita, gradiente NaN | modo de anomalías con ese único batch | una raíz o un logaritmo de 0, una división entre 0: quita el 0 *antes* de la operación |
# | todos los pesos NaN tras un paso | ¿se revisó la norma antes del paso? | descarta la ventana: sin paso, sin gradientes que queden |
# | un guard que descarta cada vez más | qué batches, qué módulo | esconde un error |
#
# Una ventana cuenta entera o no cuenta. Poner ceros en lugar de NaN sigue siendo dar un paso. Pregunta antes de
# actualizar; después es tarde.

# %% [markdown] id="own-run" lang="en"
# ## 9 · On your own run
#
# Your two functions know nothing of this course's trainer. Here they are in another loop: a small network that is
# trained on sounds, and whose first layer divides by their loudness. At step 17 one recording is silent.

# %% [markdown] id="own-run" lang="es" of="a0fceebfe992"
# ## 9 · En tu propio run
#
# Tus dos funciones no saben nada del trainer de este curso. Aquí están en otro bucle: una red pequeña que se
# entrena con sonidos y cuya primera capa los divide entre su volumen. En el paso 17, una grabación está en
# silencio.

# %% id="another-loop" compare=true
torch.manual_seed(0)
net = torch.nn.Sequential()
net.add_module("loudness", torch.nn.RMSNorm(8, eps=0.0))
net.add_module("hidden", torch.nn.Linear(8, 16))
net.add_module("out", torch.nn.Linear(16, 1))
sgd = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
for step in range(30):
    sounds = torch.randn(2, 4, 8)
    sounds[1, 2] *= step != 17
    if not guarded_step(net, sgd, lambda net, x: net(x).square().mean(), list(sounds), 1.0):
        print(f"{t('step')} {step}: {first_nonfinite(net, sounds)}")
print(f"{t('nan-weights')}: {share_of_nan(net.parameters()):.0%}")

# %% [markdown] id="sources" lang="en"
# ## 10 · Where this comes from
#
# **A true story.** On 18 August 2019 somebody [reported](https://github.com/pytorch/pytorch/issues/24816) that
# PyTorch's encoder layer gives NaN for a text that is all padding, that `backward()` then makes everything NaN, and
# that setting the NaN of the output to 0 “wasn't helpful”. The answer: it is ambiguous what attention to nothing
# should give, so it gives NaN. In July 2020 another user met it [in the
# gradients](https://github.com/pytorch/pytorch/issues/41508) and
# [explained](https://github.com/pytorch/pytorch/pull/42323) why nothing that you do afterwards helps: cutting the
# bad rows away gives them a gradient of 0, and 0 · NaN is NaN; they have to be masked right after the softmax. You
# have measured both. A change was proposed in [July 2024](https://github.com/pytorch/pytorch/pull/131060), five
# years after the first report, and it came: in `scaled_dot_product_attention` a row that may look at nothing now
# gives 0. A softmax written by hand still does not:

# %% [markdown] id="sources" lang="es" of="cf47b4909e71"
# ## 10 · De dónde viene esto
#
# **Una historia real.** El 18 de agosto de 2019 alguien [reportó](https://github.com/pytorch/pytorch/issues/24816)
# que la capa de encoder de PyTorch da NaN con un texto que es todo padding, que después `backward()` lo vuelve todo
# NaN y que poner a 0 los NaN de la salida no le sirvió. La respuesta: qué debe dar la atención cuando no hay nada que
# atender es ambiguo, así que NaN. En julio de 2020 otra persona se lo encontró [en los
# gradientes](https://github.com/pytorch/pytorch/issues/41508) y
# [explicó](https://github.com/pytorch/pytorch/pull/42323) por qué nada de lo que se haga después ayuda: si se cortan
# las filas malas, estas reciben un gradiente de 0, y 0 · NaN es NaN; hay que enmascararlas justo después del softmax.
# Tú mediste las dos cosas. En [julio de 2024](https://github.com/pytorch/pytorch/pull/131060), cinco años después del
# primer reporte, se propuso un cambio, y llegó: en `scaled_dot_product_attention`, una fila que no puede mirar nada
# da ahora 0. Un softmax escrito a mano sigue sin hacerlo:

# %% id="story" compare=true
queries, nothing_to_see = torch.randn(1, 1, 2, 4), torch.zeros(2, 2, dtype=torch.bool)
attended = torch.nn.functional.scaled_dot_product_attention(queries, queries, queries, nothing_to_see)
print("scaled_dot_product_attention:", attended.flatten().unique().tolist())
print("softmax:", torch.full((2,), -torch.inf).softmax(-1).tolist())

# %% [markdown] id="more" lang="en"
# * JAX has the same trap, shown with a log, and the same way out, a second `where` inside the first:
#   [its FAQ](https://docs.jax.dev/en/latest/faq.html#gradients-contain-nan-where-using-where). PyTorch's thread on it:
#   [#52248](https://github.com/pytorch/pytorch/issues/52248).
# * The trainer's guard that you saw: `minigpt/training/guards/finite.py`, some fifty lines.
#
# **A hard bonus task.** `first_nonfinite` cannot see a NaN of the backward pass, and anomaly mode names a function,
# not a module. Write `first_nonfinite_backward(model, loss)` with full backward hooks: the first module, on the way
# back, where a finite gradient arrives (`grad_output`) and one that is not finite leaves (`grad_input`). Plant a
# `careful_distances` inside a module and find it. In which order do modules finish on the way back?
#
# <details><summary>Hint</summary>
#
# The hooks have to be there before the pass whose way back you want to see. So `loss` has to be a function.
# </details>
#
# <details><summary>Show one solution</summary>
#
# ```python
# def first_nonfinite_backward(model, loss):
#     first = []
#
#     def finite(gradients):
#         return all(each is None or bool(each.isfinite().all()) for each in gradients)
#
#     def note(name):
#         def look(part, to_inputs, to_outputs):
#             if not first and finite(to_outputs) and not finite(to_inputs):
#                 first.append(name)
#         return look
#
#     hooks = [part.register_full_backward_hook(note(name)) for name, part in model.named_modules() if name]
#     loss(model).backward()
#     for each in hooks:
#         each.remove()
#     return first[0] if first else None
# ```
#
# On the way back the last module comes first, and a module that holds others comes after all of them: so the
# innermost one is named. `to_inputs` is the gradient that leaves through the module's inputs; the arguments have
# their names from the forward pass.
# </details>

# %% [markdown] id="more" lang="es" of="75444b44a4d0"
# * JAX tiene la misma trampa, mostrada con un logaritmo, y la misma salida, un segundo `where` dentro del primero:
#   [sus preguntas frecuentes](https://docs.jax.dev/en/latest/faq.html#gradients-contain-nan-where-using-where). El hilo
#   de PyTorch sobre esto: [#52248](https://github.com/pytorch/pytorch/issues/52248).
# * El guard del trainer que viste: `minigpt/training/guards/finite.py`, unas cincuenta líneas.
#
# **Un reto extra, difícil.** `first_nonfinite` no puede ver un NaN de la vuelta, y el modo de anomalías nombra una
# función, no un módulo. Escribe `first_nonfinite_backward(model, loss)` con hooks de la vuelta
# (`register_full_backward_hook`): el primer módulo, en el camino de vuelta, al que llega un gradiente finito
# (`grad_output`) y del que sale uno que no lo es (`grad_input`). Esconde un `careful_distances` dentro de un módulo y
# encuéntralo. ¿En qué orden terminan los módulos en la vuelta?
#
# <details><summary>Pista</summary>
#
# Los hooks tienen que estar antes de la pasada cuya vuelta quieres ver. Por eso `loss` tiene que ser una función.
# </details>
#
# <details><summary>Mostrar una solución</summary>
#
# ```python
# def first_nonfinite_backward(model, loss):
#     first = []
#
#     def finite(gradients):
#         return all(each is None or bool(each.isfinite().all()) for each in gradients)
#
#     def note(name):
#         def look(part, to_inputs, to_outputs):
#             if not first and finite(to_outputs) and not finite(to_inputs):
#                 first.append(name)
#         return look
#
#     hooks = [part.register_full_backward_hook(note(name)) for name, part in model.named_modules() if name]
#     loss(model).backward()
#     for each in hooks:
#         each.remove()
#     return first[0] if first else None
# ```
#
# En la vuelta, el último módulo va primero, y un módulo que contiene otros va después de todos ellos: por eso se
# nombra el más interno. `to_inputs` es el gradiente que sale por las entradas del módulo; los argumentos se llaman
# como en la ida.
# </details>
