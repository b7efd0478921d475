"""Lesson 19-02: fp16. Where gradients overflow and underflow, and a published repair that repairs nothing."""

# %% [markdown] id="why" lang="en"
# In fp16 a number can be at most 65,504, and below about 0.00000003 it becomes 0. Gradients are small numbers, so
# many of them may be lost at the lower end. The usual remedy multiplies the loss by a large factor, the *loss
# scale*, and then some may be lost at the upper end. A line that says `grad_norm=inf` frightens everybody, and it
# is often the healthiest line of the log.
#
# Here you reopen a published repair. Afterwards you can
#
# * tell from a log whether an `inf` is a scaler at work or a run that is broken;
# * write a loss scaler, and the one right order of the six calls of a step;
# * test a diagnosis by asking what *else* it would have to explain.
#
# Run the cells in order with **Shift + Enter**. fp16 works on a CPU too, only slowly.

# %% [markdown] id="why" lang="es" of="a662ce62076f"
# En fp16, un número vale como máximo 65,504, y por debajo de unos 0.00000003 se vuelve 0. Los gradientes son
# números pequeños, así que muchos pueden perderse por el extremo inferior. El remedio habitual multiplica el loss
# por un factor grande, la *escala del loss*, y entonces algunos pueden perderse por el extremo superior. Una línea
# que dice `grad_norm=inf` asusta a todo el mundo, y muchas veces es la línea más sana del log.
#
# Aquí vas a reabrir una reparación publicada. Al terminar sabrás
#
# * decir, a partir de un log, si un `inf` es un scaler haciendo su trabajo o un run roto;
# * escribir un scaler del loss, y el único orden correcto de las seis llamadas de un paso;
# * poner a prueba un diagnóstico preguntando qué *más* tendría que explicar.
#
# Ejecuta las celdas en orden con **Shift + Enter**. fp16 también funciona en una CPU, solo que despacio.

# %% id="setup" setup=true
import dataclasses
import inspect
import math
from pathlib import Path

import matplotlib
import numpy as np
import torch
from matplotlib.figure import Figure
from rich.console import Console

from course.live_plot import LivePlot
from course.notebook import check, lesson, t
from course.picture import Picture
from course.predictions import compare, predict
from course.widgets import Slider, playground
from minigpt import Config, Recipe, diagnosis, train
from minigpt.diagnosis.report import show
from minigpt.diagnosis.trees.dynamics.nonfinite import NON_FINITE_QUESTIONS

lesson("19-02")
runs = Path("experiments") / "19-02"
torch.set_num_threads(1)
matplotlib.rcParams["font.size"] = 9

# %% [markdown] id="meet" lang="en"
# ## 1 · A run that misbehaves
#
# This is a [public
# case](https://github.com/iShield-corp/current-liquid-neural-network/blob/7d69eac1701ca3ad8caf374f360fee325bfbc75b/TRAINING_STABILITY_FIXES.md).
# A model with a vocabulary of 200,019 tokens is trained in fp16. Its log shows `grad_norm=inf` and a loss that stays
# near 12.06. The report names the cause: GradScaler starts at 2^16, which is *“WAY TOO HIGH!”*; it amplifies the
# problem exponentially, and *“once gradients hit `inf`, they never recover”*. The repair: start at 2^10, multiply it
# by 1.5 every 200 steps, halve it on overflow, and skip every batch whose gradient is not finite.
#
# Before anything is repaired, two figures: what does PyTorch start with, and what is the loss of a model that
# guesses?

# %% [markdown] id="meet" lang="es" of="6f54819f1c4b"
# ## 1 · Un run que se porta mal
#
# Este es un [caso
# público](https://github.com/iShield-corp/current-liquid-neural-network/blob/7d69eac1701ca3ad8caf374f360fee325bfbc75b/TRAINING_STABILITY_FIXES.md).
# Un modelo con un vocabulario de 200,019 tokens se entrena en fp16. Su log muestra `grad_norm=inf` y un loss que se
# queda cerca de 12.06. El informe nombra la causa: GradScaler empieza en 2^16, un valor *«DEMASIADO ALTO»*; amplifica
# el problema de forma exponencial, y *«cuando los gradientes llegan a `inf`, ya no se recuperan»*. La reparación:
# empezar en 2^10, multiplicarla por 1.5 cada 200 pasos, reducirla a la mitad con cada overflow y saltarse todo batch
# cuyo gradiente no sea finito.
#
# Antes de reparar nada, dos cifras: ¿con qué empieza PyTorch, y cuál es el loss de un modelo que responde al azar?

# %% id="two-figures" compare=true
defaults = inspect.signature(torch.amp.GradScaler.__init__).parameters
for name in ("init_scale", "growth_factor", "backoff_factor", "growth_interval"):
    print(f"{name:16} {defaults[name].default}")
print(f"ln 200019 = {math.log(200019):.2f}")

# %% [markdown] id="first-doubt" lang="en"
# So what the report calls way too high is PyTorch's default. And 12.06 is only 0.15 below the loss of a model at
# chance: it has learnt next to nothing. A diagnosis has to explain both signs. Keep that in mind.
#
# Our small model shows the same two signs. Its scale starts much higher than 2^16, so that there is an `inf` to see,
# and its learning rate is computed as in the public source of that project: `lr_max` times the number of the
# *epoch* divided by the warm-up epochs, set once per epoch. The run is one epoch long, like the test that the report
# proposes for the repair.

# %% [markdown] id="first-doubt" lang="es" of="eeed97167e1f"
# Así que lo que el informe llama demasiado alto es el valor predeterminado de PyTorch. Y 12.06 está apenas 0.15 por
# debajo del loss de un modelo que responde al azar: casi no ha aprendido nada. Un diagnóstico tiene que explicar las
# dos señales. Tenlo presente.
#
# Nuestro modelo pequeño muestra las mismas dos señales. Su escala empieza mucho más arriba que 2^16, para que haya
# un `inf` que ver, y su learning rate se calcula como en el código público de aquel proyecto: `lr_max` por el
# número de la *época* dividido entre las épocas de warm-up, fijado una vez por época. El run dura una época, igual
# que la prueba que el informe propone para la reparación.

# %% id="the-case"
EPOCH, WARMUP_EPOCHS = 60, 2
config = Config(
    steps=EPOCH,
    warmup_steps=6,
    lr_max=3e-3,
    batch_size=4,
    context=32,
    eval_every=0,
    precision="fp16",
    loss_scale=2.0**26,
)


def lr_of_the_case(step, config):
    return config.lr_max * (step // EPOCH) / WARMUP_EPOCHS


case = dataclasses.replace(Recipe(config), lr_at=lr_of_the_case)

# %% [markdown] id="predict" lang="en"
# ## 2 · Predict
#
# An overflow halves the scale and skips the update. A gradient of this model fits into fp16 as long as the scale is
# at most about 2^19. **How many of the 60 steps will be skipped** with a start of 2^26, and how
# many with the published 2^10? And **how far will the loss have fallen** after 60 steps, in nats, with each?

# %% [markdown] id="predict" lang="es" of="a84e721c984e"
# ## 2 · Predice
#
# Un overflow reduce la escala a la mitad y se salta la actualización. Un gradiente de este modelo cabe en fp16
# mientras la escala sea como máximo de unos 2^19. **¿Cuántos de los 60 pasos se saltarán** si se empieza en
# 2^26, y cuántos con el 2^10 publicado? ¿Y **cuánto habrá bajado el loss** después de 60 pasos, en nats,
# con cada uno?

# %% id="my-prediction"
predict("case", skipped=..., skipped_repaired=..., fallen=..., fallen_repaired=...)

# %% [markdown] id="break" lang="en"
# ## 3 · Break it, and repair it as published
#
# First the run as it was; then, with its curve in grey, the same run with the published starting scale. (The two
# curves may lie on each other.)

# %% [markdown] id="break" lang="es" of="c860e9b14e31"
# ## 3 · Rómpelo, y repáralo como se publicó
#
# Primero el run tal como era; después, con su curva en gris, el mismo run con la escala inicial publicada. (Puede que
# las dos curvas coincidan.)

# %% id="train-case"
broken = train(case, runs / "case", callbacks=[LivePlot()], overwrite=True)

# %% id="train-published"
lower = dataclasses.replace(case, config=config.replace(loss_scale=2.0**10))
published = train(lower, runs / "published", callbacks=[LivePlot(before=broken.metrics)], overwrite=True)


# %% id="compare-prediction"
def skipped(run):
    return sum(bool(record["skipped"]) for record in run.metrics)


def fallen(run):
    losses = [record["loss"] for record in run.metrics]
    return round(float(np.mean(losses[:5]) - np.mean(losses[-5:])), 2)


compare(
    "case",
    skipped=skipped(broken),
    skipped_repaired=skipped(published),
    fallen=fallen(broken),
    fallen_repaired=fallen(published),
)

# %% [markdown] id="not-cured" lang="en"
# The `inf` is gone, and the loss has not moved. The published repair cured the sign that frightens, not the one
# that matters. And as far as the `inf` goes, the broken run had cured itself: a few skipped steps at the start, one
# for every halving, then none.
#
# ## 4 · Inspect
#
# ### The scale, step by step

# %% [markdown] id="not-cured" lang="es" of="5e968d7bcc25"
# El `inf` desapareció, y el loss no se movió. La reparación publicada curó la señal que asusta, no la que importa.
# Y, en cuanto al `inf`, el run roto se había curado solo: unos pasos saltados al comienzo, uno por cada vez que la
# escala se redujo a la mitad, y después ninguno.
#
# ## 4 · Inspecciona
#
# ### La escala, paso a paso

# %% id="draw-scale" folded=true
BLUE, ORANGE = "#0072b2", "#d55e00"
figure = Figure(figsize=(8, 2.5), layout="constrained")
left, right = figure.subplots(1, 2)
for name, run, colour in (("case", broken, ORANGE), ("published", published, BLUE)):
    left.step(range(EPOCH), np.log2([record["scale"] for record in run.metrics]), color=colour, label=t(name))
    right.plot([record["loss"] for record in run.metrics], color=colour, linewidth=1)
left.set(xlabel=t("step"), ylabel=t("log2-scale"), ylim=(8, 28))
left.legend(fontsize=8)
right.axhline(math.log(config.vocab_size), color="black", linestyle="--", linewidth=1)
right.set(xlabel=t("step"), ylabel=t("loss"), ylim=(5.8, 6.6))
Picture().show(figure, t("scale-alt"))

# %% id="rates"
for name, run in (("case", broken), ("published", published)):
    print(t(name), sorted({rate for record in run.metrics for rate in record["lr"].values()}))

# %% [markdown] id="cause" lang="en"
# There it is. Epoch 0 divided by anything is 0: the learning rate was 0 in every step of the epoch, in both runs.
# Nothing was ever learnt, and no scaler can change that. This is leaf `base-lr-zero` of lesson 18-02, and the loss
# at chance was its sign all along.
#
# One thing stays unknown: at which epoch the 12.06 of the report was read. According to the source the rate was 0 in
# epoch 0, and a loss that never moves would stand at 12.21. The report also blames a state-space block and
# synaptic plasticity. In the public source that we read, the first is never built, and the second does not run in
# the fp16 path.
#
# ### What does a scale do? Turn the knob
#
# The gradient of our model on one batch, computed in fp16 at different scales. On the left: how large the gradients
# are before they are divided by the scale again; the dashed lines mark what fp16 can hold. On the right: which share
# of them is lost, to 0 or to infinity, on a logarithmic axis, and how many that is.
#
# 1. Go down from 16: at which exponent do the first gradients become 0? Go up: at which do the first overflow?
# 2. How many powers of two lie between the two? Does 2^16 lie between them?
# 3. A scale of 1 means no scaling. Would this model need a scaler?

# %% [markdown] id="cause" lang="es" of="287a9da100fd"
# Ahí está. La época 0 dividida entre lo que sea es 0: el learning rate fue 0 en todos los pasos de la época, en
# los dos runs. Nunca se aprendió nada, y eso no lo cambia ningún scaler. Es la hoja `base-lr-zero` de la lección
# 18-02, y el loss al nivel del azar era su señal desde el comienzo.
#
# Una cosa no se sabe: en qué época se leyó el 12.06 del informe. Según el código, en la época 0 el learning rate era
# 0, y un loss que nunca se mueve estaría en 12.21. El informe también culpa a un bloque de espacio de estados y a la
# plasticidad sináptica. En el código público que leímos, el primero nunca se construye, y la segunda no se ejecuta en
# el camino fp16.
#
# ### ¿Qué hace una escala? Gira la perilla
#
# El gradiente de nuestro modelo con un batch, calculado en fp16 con distintas escalas. A la izquierda, qué tan
# grandes son los gradientes antes de volver a dividirlos entre la escala; las líneas discontinuas marcan lo que
# cabe en fp16. A la derecha, qué parte de ellos se pierde, en 0 o en infinito, en un eje logarítmico, y cuántos son.
#
# 1. Baja desde 16: ¿con qué exponente se vuelven 0 los primeros gradientes? Sube: ¿con cuál desbordan los primeros?
# 2. ¿Cuántas potencias de dos hay entre los dos? ¿Está 2^16 ahí en medio?
# 3. Una escala de 1 equivale a no escalar. ¿Le haría falta un scaler a este modelo?

# %% id="gradients"
recipe = Recipe(config)
torch.manual_seed(config.seed)
model = recipe.build_model(config)
recipe.init_weights(model, config)
batch = recipe.get_batch(recipe.load_data(config).train, config, step=0)


def gradient_at(exponent):
    model.zero_grad()
    with torch.autocast("cpu", torch.float16):
        loss = recipe.loss(model(batch.inputs), batch.targets, batch.mask)
    (loss * 2.0**exponent).backward()
    return torch.cat([parameter.grad.flatten() for parameter in model.parameters()])


exponents = list(range(-16, 31, 2))
gradients = {exponent: gradient_at(exponent) for exponent in exponents}
lost = {
    "to-zero": [(gradients[e] == 0).double().mean().item() for e in exponents],
    "to-infinity": [(~torch.isfinite(gradients[e])).double().mean().item() for e in exponents],
}


# %% id="playground" folded=true
def draw(figure, exponent):
    exponent = int(exponent) // 2 * 2
    left, right = figure.subplots(1, 2)
    values = gradients[exponent]
    kept = values[torch.isfinite(values) & (values != 0)].abs().log2().numpy()
    left.hist(kept, bins=np.arange(-50, 20), color=BLUE)
    for edge in (-24, 16):
        left.axvline(edge, color="black", linestyle="--", linewidth=1)
    left.set(xlabel=t("log2-gradient"), xlim=(-50, 20), yticks=[])
    left.set_title(f"2^{exponent}", fontsize=10)
    for name, colour in (("to-zero", BLUE), ("to-infinity", ORANGE)):
        right.plot(exponents, lost[name], color=colour, label=t(name))
        right.plot(exponent, lost[name][exponents.index(exponent)], "o", color=colour)
    right.axvline(16, color="0.7", linewidth=1)
    right.set_yscale("symlog", linthresh=1e-5)
    right.set(xlabel=t("log2-scale"), ylim=(-1e-6, 2))
    zeros, infinite = (round(lost[name][exponents.index(exponent)] * len(values)) for name in lost)
    right.set_title(t("lost-of", zeros=zeros, infinite=infinite, all=len(values)), fontsize=9)
    right.legend(fontsize=8, loc="center")


playground(draw, size=(8.4, 2.6), exponent=Slider(t("log2-scale"), -16, 30, 16))

# %% [markdown] id="play-answers" lang="en"
# <details><summary>What you should have found</summary>
#
# 1. The first three become 0 at 2^4, and at 2^-8 it is one in 26. The first three overflow at 2^20, and at 2^22 two
#    thirds of them do.
# 2. Sixteen. 2^16 lies between them, and so does 2^10. There the scale makes no difference at all: it is a
#    power of two, and multiplying by it loses no digit.
# 3. Hardly: at 2^0 it loses 18 of its 133,440 gradients. Deep models and large batches have smaller gradients, and
#    there it is another matter.
# </details>

# %% [markdown] id="play-answers" lang="es" of="a4c5ca8f160d"
# <details><summary>Lo que deberías haber encontrado</summary>
#
# 1. Los primeros tres se vuelven 0 con 2^4, y con 2^-8 es uno de cada 26. Los primeros tres desbordan con 2^20, y con
#    2^22, dos tercios de todos.
# 2. Dieciséis. 2^16 está en medio, y también 2^10. Ahí la escala no cambia nada: es una potencia de dos, y al
#    multiplicar por ella no se pierde ninguna cifra.
# 3. Casi no: con 2^0 pierde 18 de sus 133,440 gradientes. Los modelos profundos y los batches grandes tienen
#    gradientes más pequeños, y ahí la cosa cambia.
# </details>

# %% [markdown] id="fix" lang="en"
# ## 5 · Fix
#
# Two exercises. Each check below them is one small question, from coarse to fine; a failing one tells you what
# it thinks went wrong. No penalty for trying, none for opening a hint.
#
# ### Exercise 1 · A loss scaler
#
# > Difficulty ●●○○○ · Importance ●●●○○ · 15 minutes
#
# Write the class `Scaler(scale, growth, backoff, interval)` with three methods.
#
# * `scale_loss(loss)` returns the loss times the scale.
# * `unscale(gradients)` divides every tensor of a list by the scale, **in place**, and returns whether any of
#   them holds a value that is not finite: `inf`, `-inf` or `nan`.
# * `update(found)` is called once per step, with what `unscale` returned, and returns the new scale. After an
#   overflow: times `backoff`. After `interval` steps **in a row** without one: times `growth`, and the counting
#   starts again. An overflow, too, starts the counting again.
#
# <details><summary>Hint 1: in place</summary>
#
# `gradient.div_(…)`, with the underscore. `gradient = gradient / …` makes another tensor and leaves the
# optimizer's own as it was.
# </details>
# <details><summary>Hint 2: counting</summary>
#
# A counter that starts at 0, goes up by one in every good step, and back to 0 in two cases. Which?
# </details>

# %% [markdown] id="fix" lang="es" of="f3ac387c2262"
# ## 5 · Arregla
#
# Dos ejercicios. Cada comprobación es una pregunta pequeña, de lo grueso a lo fino; la que falla te dice qué
# cree que salió mal. Ni probar ni abrir una pista cuesta puntos.
#
# ### Ejercicio 1 · Un scaler del loss
#
# > Dificultad ●●○○○ · Importancia ●●●○○ · 15 minutos
#
# Escribe la clase `Scaler(scale, growth, backoff, interval)` con tres métodos.
#
# * `scale_loss(loss)` devuelve el loss multiplicado por la escala.
# * `unscale(gradients)` divide cada tensor de una lista entre la escala, **en el mismo tensor**, y devuelve si
#   alguno contiene un valor que no es finito: `inf`, `-inf` o `nan`.
# * `update(found)` se llama una vez por paso, con lo que devolvió `unscale`, y devuelve la nueva escala. Después de
#   un overflow: por `backoff`. Después de `interval` pasos **seguidos** sin ninguno: por `growth`, y la cuenta
#   empieza de nuevo. También empieza de nuevo con un overflow.
#
# <details><summary>Pista 1: en el mismo tensor</summary>
#
# `gradient.div_(…)`, con el guion bajo. `gradient = gradient / …` crea otro tensor y deja como estaba el del
# optimizador.
# </details>
# <details><summary>Pista 2: contar</summary>
#
# Un contador que empieza en 0, sube uno en cada paso bueno y vuelve a 0 en dos casos. ¿Cuáles?
# </details>


# %% solution="scaler"
class Scaler:
    def __init__(self, scale, growth, backoff, interval):
        ### BEGIN SOLUTION
        self.scale, self.growth, self.backoff, self.interval = scale, growth, backoff, interval
        self.good = 0
        ### END SOLUTION

    def scale_loss(self, loss):
        ### BEGIN SOLUTION
        return loss * self.scale
        ### END SOLUTION

    def unscale(self, gradients):
        ### BEGIN SOLUTION
        for gradient in gradients:
            gradient.div_(self.scale)
        return not all(bool(torch.isfinite(gradient).all()) for gradient in gradients)
        ### END SOLUTION

    def update(self, found):
        ### BEGIN SOLUTION
        self.good = 0 if found else self.good + 1
        if found:
            self.scale *= self.backoff
        elif self.good == self.interval:
            self.scale *= self.growth
            self.good = 0
        return self.scale
        ### END SOLUTION


# %% check="scaler/scale" points=1
check("scaler/scale", Scaler)

# %% check="scaler/unscale" points=1
check("scaler/unscale", Scaler)

# %% check="scaler/found" points=1
check("scaler/found", Scaler)

# %% check="scaler/backoff" points=1
check("scaler/backoff", Scaler)

# %% check="scaler/growth" points=1
check("scaler/growth", Scaler)

# %% [markdown] id="task-amp-step" lang="en"
# ### Exercise 2 · A bug in code that looks right
#
# > Difficulty ●●●○○ · Importance ●●●●● · 15 minutes
#
# The cell below this text is the published repair of the training step, shortened. It looks careful, and it
# raises an error at the step *after* the first overflow. Run the cell and see.
#
# Write a correct `amp_step(model, optimizer, scaler, loss, max_norm)`. `scaler` behaves like PyTorch's
# `GradScaler`; `loss(model)` returns the loss; gradients are clipped to `max_norm`. Each call is one whole step and
# leaves nothing behind for the next one. It returns the gradient norm before clipping, in the units of the loss *as
# it is*, without the scale.
#
# <details><summary>Hint 1: who decides?</summary>
#
# `scaler.step(optimizer)` skips the update by itself when `unscale_` found an infinity. You need no `if`.
# </details>
# <details><summary>Hint 2: the order</summary>
#
# scale → backward → unscale → clip → step → update, always all of them. `update` is what tells the scaler that
# the step is over, and lowers the scale.
# </details>

# %% [markdown] id="task-amp-step" lang="es" of="efc9d60e3d90"
# ### Ejercicio 2 · Un error en código que parece correcto
#
# > Dificultad ●●●○○ · Importancia ●●●●● · 15 minutos
#
# La celda debajo de este texto es la reparación publicada del paso de entrenamiento, abreviada. Parece
# cuidadosa, y produce un error en el paso *siguiente* al primer overflow. Ejecuta la celda y míralo.
#
# Escribe un `amp_step(model, optimizer, scaler, loss, max_norm)` correcto. `scaler` se comporta como el
# `GradScaler` de PyTorch; `loss(model)` devuelve el loss; los gradientes se recortan a `max_norm`. Cada llamada es
# un paso completo y no deja nada pendiente para el siguiente. Devuelve la norma del gradiente antes del clipping,
# en las unidades del loss *tal como es*, sin la escala.
#
# <details><summary>Pista 1: ¿quién decide?</summary>
#
# `scaler.step(optimizer)` se salta solo la actualización cuando `unscale_` encontró un infinito. No necesitas
# ningún `if`.
# </details>
# <details><summary>Pista 2: el orden</summary>
#
# escalar → backward → unscale → clipping → step → update, siempre todos. `update` es lo que le dice al scaler
# que el paso terminó, y lo que baja la escala.
# </details>


# %% id="looks-right" compare=true
def published_step(model, optimizer, scaler, loss, max_norm):
    optimizer.zero_grad()
    scaler.scale(loss(model)).backward()
    scaler.unscale_(optimizer)
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    if not torch.isfinite(norm):
        optimizer.zero_grad()
        scaler._scale = scaler._scale * 0.1
        return norm
    scaler.step(optimizer)
    scaler.update()
    return norm


def loss_on_batch(model):
    with torch.autocast("cpu", torch.float16):
        return recipe.loss(model(batch.inputs), batch.targets, batch.mask)


optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
scaler = torch.amp.GradScaler("cpu", init_scale=2.0**30)
try:
    for number in range(4):
        norm = published_step(model, optimizer, scaler, loss_on_batch, 1.0)
        print(number, math.isfinite(norm))
except RuntimeError as error:
    print(number, error)


# %% solution="amp-step"
def amp_step(model, optimizer, scaler, loss, max_norm):
    ### BEGIN SOLUTION
    optimizer.zero_grad()
    scaler.scale(loss(model)).backward()
    scaler.unscale_(optimizer)
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    scaler.step(optimizer)
    scaler.update()
    return norm
    ### END SOLUTION


# %% check="amp-step/update" points=1
check("amp-step/update", amp_step)

# %% check="amp-step/twice" points=1
check("amp-step/twice", amp_step)

# %% check="amp-step/clip" points=1
check("amp-step/clip", amp_step)

# %% check="amp-step/norm" points=1
check("amp-step/norm", amp_step)

# %% check="amp-step/overflow" points=2
check("amp-step/overflow", amp_step)

# %% [markdown] id="verify" lang="en"
# ## 6 · Verify
#
# Your two answers, side by side: your step with PyTorch's scaler, and your scaler in a plain loop. Both start at
# 2^30, from the same weights, on the same batch. Do the scales agree? (The cell prints their exponents.)

# %% [markdown] id="verify" lang="es" of="1b815ed822a7"
# ## 6 · Comprueba
#
# Tus dos respuestas, una al lado de la otra: tu paso con el scaler de PyTorch, y tu scaler en un bucle simple. Las
# dos empiezan en 2^30, con los mismos pesos y el mismo batch. ¿Coinciden las escalas? (La celda imprime sus
# exponentes.)


# %% id="mine"
def start_again():
    torch.manual_seed(config.seed)
    recipe.init_weights(model, config)
    return torch.optim.AdamW(model.parameters(), lr=1e-3)


optimizer = start_again()
scaler = torch.amp.GradScaler("cpu", init_scale=2.0**30)
theirs, own = [], []
for _ in range(16):
    amp_step(model, optimizer, scaler, loss_on_batch, 1.0)
    theirs.append(int(math.log2(scaler.get_scale())))
optimizer, mine = start_again(), Scaler(2.0**30, 2.0, 0.5, 2000)
for _ in range(16):
    optimizer.zero_grad()
    mine.scale_loss(loss_on_batch(model)).backward()
    found = mine.unscale([parameter.grad for parameter in model.parameters()])
    if not found:
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    own.append(int(math.log2(mine.update(found))))
print("GradScaler", *theirs)
print("Scaler    ", *own)

# %% [markdown] id="the-real-fix" lang="en"
# And the case itself. The scale stays as it is, even this one, far higher than the one that was called way too
# high. Only the learning rate is fixed.

# %% [markdown] id="the-real-fix" lang="es" of="c41c0cb47690"
# Y el caso mismo. La escala se queda como está, incluso esta, mucho más alta que la que llamaron demasiado alta.
# Solo se arregla el learning rate.

# %% id="train-repaired"
repaired = train(
    Recipe(config), runs / "repaired", callbacks=[LivePlot(before=published.metrics)], overwrite=True
)

# %% id="before-after" compare=true
for name, run in (("case", broken), ("published", published), ("repaired", repaired)):
    learns = t("yes") if fallen(run) > 0.5 else t("no")
    print(f"{t(name):28}{t('learns')}: {learns}")

# %% id="walk-repaired"
show(diagnosis.walk(diagnosis.evidence_of(repaired.path), NON_FINITE_QUESTIONS), Console(width=88))

# %% [markdown] id="counter" lang="en"
# ### A counter-example: when 2^16 really was too high
#
# It would be too easy to laugh at the report. 65,536 is one step above the largest fp16 number, 65,504. A program
# that stores the *scale itself* in fp16 turns it into infinity. ONNX Runtime did that until it was fixed in 2020,
# and the author of the fix reports that with 65,536 the loss did not fall at all, while with 1,024 it worked. So
# the published repair is a real cure for another illness. How would you tell which one you have?

# %% [markdown] id="counter" lang="es" of="883bbe7b8cc8"
# ### Un contraejemplo: cuando 2^16 sí era demasiado
#
# Sería demasiado fácil reírse del informe. 65,536 está un paso más allá del mayor número de fp16, 65,504. Un
# programa que guarda *la escala misma* en fp16 la convierte en infinito. ONNX Runtime lo hizo hasta que se arregló
# en 2020, y quien lo arregló cuenta que con 65,536 el loss no bajaba en absoluto, y que con 1,024 funcionaba. Así
# que la reparación publicada es una cura real, pero de otra enfermedad. ¿Cómo sabrías cuál de las dos tienes?

# %% id="scale-in-half" compare=true
for exponent in (10, 15, 16):
    print(f"2^{exponent}", torch.tensor(2.0**exponent).half().item())

# %% [markdown] id="counter-said" lang="en"
# By the number of skips. A start that is too high costs one skipped step per halving, and then it is over. With a
# scale that *cannot* work, every step is skipped, until the scale has nowhere lower to go. Question 7.2 of the
# stability check counts just that.

# %% [markdown] id="counter-said" lang="es" of="372f38b880a0"
# Por el número de pasos saltados. Un comienzo demasiado alto cuesta un paso saltado por cada división entre dos, y
# se acabó. Con una escala que *no puede* funcionar se saltan todos los pasos, hasta que la escala ya no puede bajar
# más. Eso es lo que cuenta la pregunta 7.2 de la revisión de estabilidad.

# %% [markdown] id="rounding-text" lang="en"
# ### A figure from a paper, in miniature: bf16 and the direction of rounding
#
# bf16 needs no scaler, since it has the range of fp32. What it lacks is precision: it has two to three significant
# digits. If the *weights* themselves are kept in bf16, an update that is smaller than half the step to the next
# number is rounded away. Gupta et al. showed in 2015, with fixed-point numbers of 16 bits and with images, that much
# depends on how one rounds: to the nearest number, or up or down by chance, so that small updates count on average.
# Here is the comparison with bf16 and our GPT. Only the weights are in bf16; the moments of Adam stay in fp32.
# **Which curve will lie nearer to that of fp32?**

# %% [markdown] id="rounding-text" lang="es" of="941446d9a7de"
# ### Una figura de un artículo, en pequeño: bf16 y hacia dónde se redondea
#
# bf16 no necesita scaler, porque tiene el rango de fp32. Lo que le falta es precisión: tiene dos o tres cifras
# significativas. Si los propios *pesos* se guardan en bf16, una actualización menor que la mitad del salto al número
# siguiente se pierde en el redondeo. Gupta et al. mostraron en 2015, con números de punto fijo de 16 bits y con
# imágenes, que depende mucho de cómo se redondea: al número más cercano, o hacia arriba o hacia abajo al azar, de
# modo que las actualizaciones pequeñas cuenten en promedio. Esta es la comparación con bf16 y nuestro GPT. Solo los
# pesos están en bf16; los momentos de Adam siguen en fp32. **¿Qué curva quedará más cerca de la de fp32?**

# %% id="rounding"
gentle = Config(
    steps=200, context=16, batch_size=8, n_layer=2, schedule="constant", warmup_steps=0,
    lr_max=1e-3, eval_every=0, eval_batches=1,
)  # fmt: skip
rounded = {}
for kind in ("fp32", "bf16", "bf16_stochastic"):
    each = train(Recipe(gentle.replace(weights=kind)), runs / f"weights-{kind}", overwrite=True)
    rounded[kind] = np.convolve([record["loss"] for record in each.metrics], np.ones(20) / 20, "valid")
figure = Figure(figsize=(6, 2.4), layout="constrained")
axes = figure.subplots()
for (kind, losses), style in zip(rounded.items(), ("-", "-", "--"), strict=True):
    axes.plot(losses, style, label=t(kind))
axes.set(xlabel=t("step"), ylabel=t("loss"))
axes.legend(fontsize=8)
Picture().show(figure, t("rounding-alt"))

# %% id="rounding-told" compare=true
for kind in ("bf16", "bf16_stochastic"):
    behind = rounded[kind][-1] - rounded["fp32"][-1]
    print(f"{t(kind):34}{t('as-fp32') if behind < 0.05 else t('behind-fp32')}")

# %% [markdown] id="explain" lang="en"
# ## 7 · Explain
#
# A colleague sends you her log: five lines with `grad_norm=inf`, all within the first ten steps; then a loss that
# stays at ln V for 3,000 steps; the scale is at 2^14. She wants to start with 2^8 and to skip every step whose norm
# is not finite, with a `continue` before `scaler.update()`.
#
# Answer in three to six sentences: what the five lines mean; what her `continue` will do; and which figure you
# would ask for next, and why. (Three points, one for each.)

# %% [markdown] id="explain" lang="es" of="8b3a06a2c2eb"
# ## 7 · Explica
#
# Una colega te manda su log: cinco líneas con `grad_norm=inf`, todas en los primeros diez pasos; después, un
# loss que se queda en ln V durante 3,000 pasos; la escala está en 2^14. Quiere empezar con 2^8 y saltarse
# todo paso cuya norma no sea finita, con un `continue` antes de `scaler.update()`.
#
# Responde en tres a seis oraciones: qué significan las cinco líneas; qué hará su `continue`; y qué cifra pedirías
# ahora, y por qué. (Tres puntos, uno por cada parte.)

# %% [markdown] answer="explain-the-log" points=3 lang="en"
# The five lines are the scaler looking for its level: it started at about 2^19, each overflow skipped one
# update and halved the scale, and since then nothing has overflowed. That is healthy. Her `continue` leaves
# `unscale_` without `update`, so the scale is never lowered and PyTorch raises an error at the next `unscale_`;
# the scaler skips such steps by itself. A loss at ln V for 3,000 steps means that the weights do not move, or
# not usefully, so I would ask for the learning rate of every group at every step (or for how far the weights
# moved in one step).
#
# ---
# **Rubric.** One point each. (1) Skips at the start are the search for a scale, one halving each, and they
# ended; nothing is broken. (2) `update` is left out: an error at the next step, or a scale that never falls.
# (3) A figure that separates “no updates” from “bad updates”: the rate of the groups, the size of the updates,
# whether parameters are in the optimizer. “The gradient norm” alone does not count.

# %% [markdown] answer="explain-the-log" points=3 lang="es" of="5c3789f2dbec"
# Las cinco líneas son el scaler buscando su nivel: empezó en unos 2^19, cada overflow se saltó una
# actualización y redujo la escala a la mitad, y desde entonces nada ha desbordado. Eso es sano. Su `continue`
# deja `unscale_` sin `update`, así que la escala nunca baja y PyTorch produce un error en el siguiente
# `unscale_`; el scaler ya se salta solo esos pasos. Un loss en ln V durante 3,000 pasos quiere decir que los pesos
# no se mueven, o no de manera útil, así que pediría el learning rate de cada grupo en cada paso (o cuánto se
# movieron los pesos en un paso).
#
# ---
# **Rúbrica.** Un punto por cada parte. (1) Los pasos saltados del comienzo son la búsqueda de una escala, uno por cada
# división entre dos, y terminaron; no hay nada roto. (2) Falta `update`: un error en el paso siguiente, o una
# escala que nunca baja. (3) Una cifra que distinga «no hay actualizaciones» de «hay actualizaciones malas»: el
# learning rate de los grupos, el tamaño de las actualizaciones, si los parámetros están en el optimizador. «La
# norma del gradiente» por sí sola no cuenta.

# %% [markdown] id="card" lang="en"
# ## 8 · A card to keep
#
# | leaf | symptom | first action |
# |---|---|---|
# | `fp16-overflow` | steps skipped again and again, beyond the halvings at the start | look at the scale: is it still falling? |
# | `fp16-underflow` | more gradients are exactly zero than in `fp32` on the same batch | raise the scale, or use `bf16` |
# | `clip-before-unscale` | the logged norm changes with the scale | unscale, then clip |
# | `scaler-not-updated` | an error at the next `unscale_`, or a scale that never moves | call update in every step |
# | `base-lr-zero` | finite gradients, loss at ln V | print the rate of every group |
#
# One `inf` is not an illness. Ask three things: how many, when, and *what else is wrong*.

# %% [markdown] id="card" lang="es" of="f282617f9041"
# ## 8 · Una tarjeta para guardar
#
# | hoja | síntoma | primera acción |
# |---|---|---|
# | `fp16-overflow` | pasos saltados una y otra vez, más allá de las divisiones del comienzo | mira la escala: ¿sigue bajando? |
# | `fp16-underflow` | más gradientes exactamente cero que en `fp32` con el mismo batch | sube la escala, o usa `bf16` |
# | `clip-before-unscale` | la norma del log cambia con la escala | primero unscale, después clipping |
# | `scaler-not-updated` | un error en el siguiente `unscale_`, o una escala que nunca se mueve | llama a update en todos los pasos |
# | `base-lr-zero` | gradientes finitos, loss en ln V | imprime el learning rate de cada grupo |
#
# Un `inf` no es una enfermedad. Pregunta tres cosas: cuántos, cuándo, y *qué más está mal*.

# %% [markdown] id="own-run" lang="en"
# ## 9 · On your own run
# A few lines for any loop with a `GradScaler`: count the skips. PyTorch does not tell you that it skipped a step; the
# scale does, because it falls. It is normal that the first steps are skipped; after that it should hardly ever happen.

# %% [markdown] id="own-run" lang="es" of="52b0b5c51950"
# ## 9 · En tu propio run
# Unas pocas líneas para cualquier bucle con un `GradScaler`: cuenta los pasos saltados. PyTorch no te avisa de que se
# saltó un paso; la escala sí, porque baja. Es normal que se salten los primeros pasos; después casi nunca debería
# ocurrir.

# %% id="foreign-loop" compare=true
torch.manual_seed(0)
net = torch.nn.Linear(16, 4)
adam = torch.optim.Adam(net.parameters(), lr=1e-2)
foreign = torch.amp.GradScaler("cpu", init_scale=2.0**24, growth_interval=10)
skips = []
for step in range(40):
    with torch.autocast("cpu", torch.float16):
        loss = net(torch.randn(32, 16)).float().square().mean()
    before = foreign.get_scale()
    amp_step(net, adam, foreign, lambda net, loss=loss: loss, 1.0)
    skips += [step] if foreign.get_scale() < before else []
print(t("skips-early"), t("yes") if 0 < len(skips) and skips[0] == 0 else t("no"))
print(t("mostly-steps"), t("yes") if len(skips) < 20 else t("no"))

# %% [markdown] id="sources" lang="en"
# ## 10 · Where this comes from
#
# * Micikevicius et al. (2018), [Mixed precision training](https://arxiv.org/abs/1710.03740): fp16 with a copy of
#   the weights in fp32 and a scaled loss.
# * PyTorch, [Automatic mixed precision examples](https://docs.pytorch.org/docs/stable/notes/amp_examples.html):
#   the order of the calls, also with accumulation and several optimizers.
# * The case: its
#   [report](https://github.com/iShield-corp/current-liquid-neural-network/blob/7d69eac1701ca3ad8caf374f360fee325bfbc75b/TRAINING_STABILITY_FIXES.md)
#   and its [source](https://github.com/iShield-corp/current-liquid-neural-network/blob/main/src/core/main.py), where
#   the rate is `epoch / self.warmup_epochs`.
# * [ONNX Runtime, pull request 4465](https://github.com/microsoft/onnxruntime/pull/4465) (July 2020): losses before
#   and after the fix of a scale that was stored in fp16.
# * Gupta et al., [2015](https://arxiv.org/abs/1502.02551): with 16 bits it matters how one rounds.
# * [LVSM, pull request 19](https://github.com/Haian-Jin/LVSM/pull/19) (2025): the same missing `update` as in
#   our case, found by its error message, and the right repair.
#
# **A true story.** In November 2021 OPT-175B was trained in fp16. A couple of hundred updates after each restart
# the gradients exploded, and the loss scale fell so far that they underflowed massively. The team lowered the
# learning rate and the clip limit, raised the weight decay, lowered β₂, and put ReLU in place of GELU, whose x³
# they suspected in fp16. The NaNs stopped, but the run seemed about to stagnate. So they changed whatever still
# differed from the published settings of GPT-3, all at once: among other things how the weights are initialised. In
# the days that followed, until they wrote their
# [diary](https://github.com/facebookresearch/metaseq/blob/main/projects/OPT/chronicles/10_percent_update.md), only
# the hardware forced them to restart. The falling scale had been a sign. Which of the changes was the cure, nobody
# knows: they were made together. And bf16, which has the range of fp32 with fewer digits, needs no scaler at all: a
# scaler makes up for the narrow range of fp16.
#
# **A hard bonus task.** A window of four micro-batches, and the third one's loss is NaN. Somebody skips that one
# and makes the step with the other three. Show on our model that the step is not the step of the three, and write a
# window that is dropped whole. Beware: `scaler.update()` raises an error if nothing was unscaled before.
#
# <details><summary>Hint</summary>
#
# By how much was each of the three losses divided? And what does a scaler know if nothing was unscaled?
# </details>
#
# <details><summary>Show one solution</summary>
#
# ```python
# def whole_window(model, losses, optimizer, scaler):
#     for loss_of in losses:
#         loss = loss_of(model) / len(losses)
#         if not loss.isfinite():
#             optimizer.zero_grad(set_to_none=True)
#             return False
#         scaler.scale(loss).backward()
#     scaler.unscale_(optimizer)
#     torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
#     scaler.step(optimizer)
#     scaler.update()
#     optimizer.zero_grad(set_to_none=True)
#     return True
# ```
#
# Each loss was divided by four, so the three gradients that are left add up to three quarters of their mean.
# Clipping sees a norm that is too small, and the moments that Adam keeps are too small as well. A window that is
# dropped has never called `unscale_`, so it must not call `update()` either.
# </details>

# %% [markdown] id="sources" lang="es" of="c2083353a438"
# ## 10 · De dónde viene esto
#
# * [Micikevicius et al. (2018)](https://arxiv.org/abs/1710.03740): fp16 con una copia de los pesos en fp32 y un
#   loss escalado.
# * [PyTorch, ejemplos de precisión mixta](https://docs.pytorch.org/docs/stable/notes/amp_examples.html): el
#   orden de las llamadas, también con acumulación y varios optimizadores.
# * El caso: su
#   [informe](https://github.com/iShield-corp/current-liquid-neural-network/blob/7d69eac1701ca3ad8caf374f360fee325bfbc75b/TRAINING_STABILITY_FIXES.md)
#   y su [código](https://github.com/iShield-corp/current-liquid-neural-network/blob/main/src/core/main.py), donde el
#   learning rate es `epoch / self.warmup_epochs`.
# * [ONNX Runtime, pull request 4465](https://github.com/microsoft/onnxruntime/pull/4465) (julio de 2020): el loss
#   antes y después de arreglar una escala que se guardaba en fp16.
# * Gupta et al., [2015](https://arxiv.org/abs/1502.02551): con 16 bits importa cómo se redondea.
# * [LVSM, pull request 19](https://github.com/Haian-Jin/LVSM/pull/19) (2025): el mismo `update` que falta en
#   nuestro caso, encontrado por su mensaje de error, y la reparación correcta.
#
# **Una historia real.** En noviembre de 2021, OPT-175B se entrenaba en fp16. Un par de cientos de actualizaciones
# después de cada reinicio explotaban los gradientes, y la escala del loss bajaba tanto que había underflow por
# todas partes. El equipo bajó el learning rate y el límite del clipping, subió el weight decay, bajó β₂ y puso ReLU
# en lugar de GELU, de cuyo x³ sospechaba en fp16. Los NaN cesaron, pero el run parecía a punto de estancarse. Así
# que cambiaron todo lo que aún difería de lo publicado sobre GPT-3, y todo a la vez: entre otras cosas, cómo se
# inicializan los pesos. En los días siguientes, hasta que escribieron su
# [diario](https://github.com/facebookresearch/metaseq/blob/main/projects/OPT/chronicles/10_percent_update.md), solo
# el hardware los obligó a reiniciar. La escala que bajaba era una señal. Cuál de los cambios fue la cura, nadie lo
# sabe: se hicieron juntos. Y bf16, que tiene el rango de fp32 con menos cifras, no necesita ningún scaler: un
# scaler compensa lo estrecho que es el rango de fp16.
#
# **Un reto extra, difícil.** Una ventana de cuatro micro-batches, y el loss del tercero es NaN. Alguien se
# salta ese y da el paso con los otros tres. Demuestra en nuestro modelo que ese paso no es el de los tres, y
# escribe una ventana que se descarta entera. Ojo: `scaler.update()` produce un error si antes no se hizo ningún
# `unscale_`.
#
# <details><summary>Pista</summary>
#
# ¿Entre cuánto se dividió cada uno de los tres losses? ¿Y qué sabe un scaler si no se hizo ningún `unscale_`?
# </details>
#
# <details><summary>Mostrar una solución</summary>
#
# ```python
# def whole_window(model, losses, optimizer, scaler):
#     for loss_of in losses:
#         loss = loss_of(model) / len(losses)
#         if not loss.isfinite():
#             optimizer.zero_grad(set_to_none=True)
#             return False
#         scaler.scale(loss).backward()
#     scaler.unscale_(optimizer)
#     torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
#     scaler.step(optimizer)
#     scaler.update()
#     optimizer.zero_grad(set_to_none=True)
#     return True
# ```
#
# Cada loss se dividió entre cuatro, así que los tres gradientes que quedan suman tres cuartos de su media. El
# clipping ve una norma demasiado pequeña, y los momentos que guarda Adam también lo son. Una ventana que se
# descarta nunca llamó a `unscale_`, así que tampoco debe llamar a `update()`.
# </details>
