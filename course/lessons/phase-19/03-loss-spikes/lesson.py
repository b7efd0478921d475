"""Lesson 19-03: loss spikes. Two that look alike, the control that tells them apart, and what to do about each."""

# %% [markdown] id="why" lang="en"
# The loss falls nicely, and then it has a spike. One person says “bad data”, another “the learning rate”, a third
# “it will come down by itself”. Each of them is right at times.
#
# A spike is a symptom. What matters is whether the **weights** were damaged, and by what. Here you make two spikes
# that look alike and have different causes, and you tell them apart by an experiment that a large lab published.
# Afterwards you can
#
# * detect a spike by how unusual it is, not by a factor that somebody picked;
# * roll a run back so that nothing of the spike is left, bit for bit;
# * clip to a limit that follows the run, and say what clipping cannot do;
# * decide when it is right to leave a spike alone.
#
# Run the cells in order with **Shift + Enter**.

# %% [markdown] id="why" lang="es" of="d14d413a5d43"
# El loss baja muy bien, y de pronto tiene un pico. Uno dice «datos malos»; otro, «el learning rate» (la tasa de
# aprendizaje); otro, «eso baja solo». Cada uno tiene razón a veces.
#
# Un pico es un síntoma. Lo que importa es si se dañaron los **pesos**, y por qué. Aquí vas a producir dos picos que
# se parecen y tienen causas distintas, y los vas a distinguir con un experimento que publicó un laboratorio grande.
# Al terminar sabrás
#
# * detectar un pico por lo raro que es, y no por un factor que alguien eligió;
# * hacer que un run vuelva atrás sin que quede nada del pico, bit por bit;
# * recortar con un límite que sigue al run, y decir qué no puede hacer el clipping;
# * decidir cuándo lo correcto es dejar pasar un pico.
#
# Ejecuta las celdas en orden con **Shift + Enter**.

# %% id="setup" setup=true
import copy
import dataclasses
import json
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
from minigpt.data.batches import get_batch
from minigpt.diagnosis.report import show
from minigpt.diagnosis.trees.dynamics.spikes import SPIKE_QUESTIONS

lesson("19-03")
runs = Path("experiments") / "19-03"
torch.set_num_threads(1)
matplotlib.rcParams["font.size"] = 9

# %% [markdown] id="meet" lang="en"
# ## 1 · A run that misbehaves
#
# A small GPT, 160 steps. From step 100 on, some batches arrive with their targets shuffled: a loader has lost track
# of which answer belongs to which question. The loop below is as plain as a loop can be. `advance` works on a copy
# of the state that you give it, so you can start from the same state as often as you like.

# %% [markdown] id="meet" lang="es" of="14597e435131"
# ## 1 · Un run que se porta mal
#
# Un GPT pequeño, 160 pasos. A partir del paso 100, algunos batches llegan con los targets barajados: un loader
# perdió la cuenta de qué respuesta va con qué pregunta. El bucle de abajo es lo más simple que puede ser un bucle.
# `advance` trabaja con una copia del estado que le das, así que puedes partir del mismo estado las veces que
# quieras.

# %% id="facts"
config = Config(steps=160, warmup_steps=10, lr_max=3e-3, batch_size=8, eval_every=0, eval_batches=4)
recipe = Recipe(config)
tokens = recipe.load_data(config).train
SPIKE, BEFORE = 100, 90
good = [get_batch(tokens, config, step) for step in range(config.steps)]
rates = [recipe.lr_at(step, config) for step in range(config.steps)]


def shuffled(batch, seed):
    order = torch.randperm(batch.targets.numel(), generator=torch.Generator().manual_seed(seed))
    return batch._replace(targets=batch.targets.flatten()[order].view_as(batch.targets))


def with_bad(count):
    return [shuffled(each, n) if SPIKE <= n < SPIKE + count else each for n, each in enumerate(good)]


def fresh_start():
    torch.manual_seed(config.seed)
    model = recipe.build_model(config)
    recipe.init_weights(model, config)
    return model, recipe.build_optimizer(model, config)


def loss_of(model, batch):
    return recipe.loss(model(batch.inputs), batch.targets, batch.mask)


def advance(state, batches, rates, plot=None, limit=config.clip_norm):
    model, optimizer = copy.deepcopy(state)
    losses, norms = [], []
    for step, (batch, rate) in enumerate(zip(batches, rates, strict=True)):
        for group in optimizer.param_groups:
            group["lr"] = rate
        loss = loss_of(model, batch)
        loss.backward()
        norms.append(torch.nn.utils.clip_grad_norm_(model.parameters(), limit).item())
        losses.append(loss.item())
        optimizer.step()
        optimizer.zero_grad()
        if plot:
            plot.update(step=step, loss=losses[-1], grad_norm=norms[-1])
    return (model, optimizer), losses, norms


# %% [markdown] id="predict" lang="en"
# ## 2 · Predict
#
# Two runs: one with **one** bad batch at step 100, one with **ten** from step 100 on. The loss before is about 3.4.
#
# **How high does the loss go** in each? And **after how many good batches** is it within 0.3 nats of the run that
# had no bad batch at all?

# %% [markdown] id="predict" lang="es" of="3af18b7f95ae"
# ## 2 · Predice
#
# Dos runs: uno con **un** batch malo en el paso 100, otro con **diez** desde el paso 100. Antes, el loss anda por 3.4.
#
# **¿Hasta dónde sube el loss** en cada uno? ¿Y **después de cuántos batches buenos** está a menos de 0.3 nats del
# run que no tuvo ningún batch malo?

# %% id="my-prediction"
predict("spikes", peak_one=..., peak_ten=..., back_one=..., back_ten=...)

# %% [markdown] id="break" lang="en"
# ## 3 · Break it

# %% [markdown] id="break" lang="es" of="a3e5f61bd7ca"
# ## 3 · Rómpelo

# %% id="train-never"
states, never, norms = {0: fresh_start()}, [], []
for first, end in ((0, 60), (60, BEFORE), (BEFORE, config.steps)):
    states[end], losses, lengths = advance(states[first], good[first:end], rates[first:end])
    never, norms = never + losses, norms + lengths
before = states[BEFORE]

# %% id="train-one"
_, losses, _ = advance(before, with_bad(1)[BEFORE:], rates[BEFORE:])
one = never[:BEFORE] + losses

# %% id="train-ten"
with LivePlot(steps=config.steps, vocab_size=config.vocab_size) as plot:
    (ten_model, _), ten, _ = advance(states[0], with_bad(10), rates, plot)


# %% id="compare-prediction"
def back_after(losses, last_bad, near=0.3):
    apart = np.array(losses) - np.array(never)
    return next((n for n, gap in enumerate(apart[last_bad + 1 :]) if gap < near), math.inf)


compare(
    "spikes",
    peak_one=round(max(one[SPIKE:]), 1),
    peak_ten=round(max(ten[SPIKE:]), 1),
    back_one=back_after(one, SPIKE),
    back_ten=back_after(ten, SPIKE + 9),
)

# %% id="draw-losses" folded=true
BLUE, ORANGE, VERMILION = "#0072b2", "#e69f00", "#d55e00"


def draw_losses(axes, curves, first=BEFORE, base=None):
    calm = (base or never)[-(config.steps - first) :]
    axes.plot(range(first, config.steps), calm, color="0.7", linewidth=3, label=t("never-had-it"))
    for (name, losses), colour in zip(curves.items(), (BLUE, VERMILION, ORANGE), strict=False):
        axes.plot(
            range(config.steps - len(losses), config.steps), losses, color=colour, linewidth=1.2, label=name
        )
    axes.set(xlim=(first, config.steps), xlabel=t("step"), ylabel=t("loss"))
    axes.legend(fontsize=8)


# %% id="both-curves" folded=true
figure = Figure(figsize=(7.2, 2.3), layout="constrained")
draw_losses(figure.subplots(), {t("one-bad"): one, t("ten-bad"): ten})
Picture().show(figure, t("both-curves-alt"))

# %% [markdown] id="height-deceives" lang="en"
# **The same height, to the digit.** In both runs, the first bad batch meets the same healthy weights. And that is
# the first lesson about spikes: *the height says how bad the batch is, and nothing about the weights.* With one bad
# batch the very next good one has an ordinary loss, as if nothing had happened; Adam has averaged it away. With
# ten, the loss of the good batches after them is still high: the weights have really learnt the wrong thing.
#
# So look at **what comes after** the spike, on good batches.
#
# ## 4 · Inspect
#
# ### How unusual is it?
#
# Many programs call a loss a spike when it is several times its mean. Take two factors that people have used, 5 and
# 3, and the highest loss here:

# %% [markdown] id="height-deceives" lang="es" of="34c429a19738"
# **La misma altura, cifra por cifra.** El primer batch malo se encuentra en los dos runs con los mismos pesos
# sanos. Y esa es la primera lección sobre los picos: *la altura dice qué tan malo es el batch, y nada sobre los
# pesos.* Con un solo batch malo, el siguiente batch bueno ya tiene un loss normal, como si nada hubiera pasado:
# Adam lo promedió hasta borrarlo. Con diez, el loss de los batches buenos que siguen todavía es alto: los pesos de
# verdad aprendieron algo equivocado.
#
# Así que mira **lo que viene después** del pico, en batches que son buenos.
#
# ## 4 · Inspecciona
#
# ### ¿Qué tan raro es?
#
# Muchos programas llaman pico a un loss que es varias veces su media. Toma dos factores que se han usado, 5 y 3, y el
# loss más alto de aquí:

# %% id="factors" compare=true
recent = np.array(ten[SPIKE - 32 : SPIKE])
usual = np.median(recent)
deviation = 1.4826 * np.median(np.abs(recent - usual))
peak = max(ten[SPIKE:])
print(f"{t('peak-by-mean')}: {peak / recent.mean():.1f}")
for factor in (5, 3):
    print(f"{t('above')} {factor} × {t('mean')}: {t(str(bool(peak > factor * recent.mean())))}")
print(f"{t('above')} 6 {t('deviations')}: {t(str(bool(peak > usual + 6 * deviation)))}")

# %% [markdown] id="robust" lang="en"
# A loss near 3.4 can hardly become five times as large: at ln 512 = 6.2 the model knows nothing any more. Both
# factors miss a spike that undoes a hundred steps.
#
# The last line asks how unusual the value is. What is usual is the **median** of the last ordinary losses, and the
# yardstick is the **MAD**, the median of their distances from that median. Times 1.4826 it is the standard
# deviation, if the values are normally distributed. Why not mean and standard deviation? Because a single spike
# moves both of them, and the second spike then hides behind the first.
#
# ### A second spike that looks like the first
#
# Same start, good batches throughout, but for five steps the learning rate is 30 times too high: somebody restarted
# the run with a wrong setting.

# %% [markdown] id="robust" lang="es" of="08fc588e3ec9"
# Un loss de alrededor de 3.4 casi no puede hacerse cinco veces mayor: en ln 512 = 6.2 el modelo ya no sabe nada. A
# los dos factores se les escapa un pico que echa a perder cien pasos.
#
# La última línea pregunta qué tan raro es el valor. Lo usual es la **mediana** de los últimos losses normales, y la
# vara de medir es la **MAD**, la mediana de sus distancias a esa mediana. Multiplicada por 1.4826 es la desviación
# estándar, si los valores siguen una distribución normal. ¿Por qué no la media y la desviación estándar? Porque un
# solo pico mueve las dos, y el segundo pico se esconde detrás del primero.
#
# ### Un segundo pico que se parece al primero
#
# El mismo comienzo y batches buenos siempre, pero durante cinco pasos el learning rate es 30 veces mayor: alguien
# reinició el run con un ajuste equivocado.

# %% id="train-burst"
burst_rates = [rate * 30 if SPIKE <= step < SPIKE + 5 else rate for step, rate in enumerate(rates)]
(burst_model, _), losses, _ = advance(before, good[BEFORE:], burst_rates[BEFORE:])
burst = never[:BEFORE] + losses

figure = Figure(figsize=(7.2, 2.3), layout="constrained")
draw_losses(figure.subplots(), {t("ten-bad"): ten, t("burst"): burst})
Picture().show(figure, t("burst-alt"))

# %% [markdown] id="control" lang="en"
# Two spikes of nearly the same height, and both heal slowly. Suppose that you did not know what you have just been
# told. **Is it the data?** There is an experiment that decides. The authors of PaLM ran it when their loss spiked:
# take the batches around the spike, and train on them **from another state**, an earlier checkpoint. If the spike
# comes again, it is in the batches; if not, the batches alone did not cause it.
#
# Predict: which of the two spikes comes again if you train from the state after 60 steps on the batches 95 to 114?
# Answer with “yes” or “no”.

# %% [markdown] id="control" lang="es" of="10f4d5fd7ffa"
# Dos picos de casi la misma altura, y los dos tardan en sanar. Supón que no supieras lo que acabas de leer. **¿Son
# los datos?** Hay un experimento que lo decide. Lo hicieron los autores de PaLM cuando su loss tuvo picos: toma los
# batches de alrededor del pico y entrena con ellos **desde otro estado**, un checkpoint anterior. Si el pico
# vuelve, está en los batches; si no, los batches por sí solos no lo produjeron.
#
# Predice: ¿cuál de los dos picos vuelve si entrenas desde el estado de después de 60 pasos con los batches 95 a
# 114? Responde «sí» o «no».

# %% id="my-second-prediction"
predict("control", ten_comes_again=..., burst_comes_again=...)

# %% id="palm-control" compare=true
_, again_ten, _ = advance(states[60], with_bad(10)[95:115], rates[60:80])
_, again_burst, _ = advance(states[60], good[95:115], rates[60:80])


def comes_again(losses):
    return bool(max(losses[5:]) > np.median(losses[:5]) + 1)


compare(
    "control",
    ten_comes_again=t(str(comes_again(again_ten))),
    burst_comes_again=t(str(comes_again(again_burst))),
)

# %% id="draw-control" folded=true
figure = Figure(figsize=(7.2, 2.2), layout="constrained")
for axes, (name, was, again) in zip(
    figure.subplots(1, 2, sharey=True),
    (("ten-bad", ten, again_ten), ("burst", burst, again_burst)),
    strict=True,
):
    axes.plot(range(95, 115), was[95:115], color="0.7", linewidth=3, label=t("then"))
    axes.plot(range(95, 115), again, color=BLUE, linewidth=1.2, label=t("from-earlier"))
    axes.set(xlabel=t("batch"), title=t(name))
    axes.title.set_fontsize(10)
figure.axes[0].set_ylabel(t("loss"))
figure.axes[0].legend(fontsize=8)
Picture().show(figure, t("control-alt"))

# %% [markdown] id="control-said" lang="en"
# That settles it, with twenty steps of training. But note how little it says about the second spike: only that the
# batches *alone* did not cause it. PaLM's authors saw no spike in their control either, and they concluded just
# that: a spike needs certain batches *and* a certain state of the weights.
#
# ### When is it worth doing something? Turn the knobs
#
# From the state before the spike, the model trains again each time that you move something. In blue the run with bad
# batches, in grey the one without them. The title says how much worse the last ten steps are.
#
# 1. Raise the number of bad batches from 0. From how many on would you do something?
# 2. Keep it at ten, and lower the clip limit to 0.05; then raise it to 10. Does clipping protect the run?
# 3. Go back to one, and raise the learning rate. Does a single batch become dangerous?

# %% [markdown] id="control-said" lang="es" of="de98527d3779"
# Con veinte pasos de entrenamiento, queda resuelto. Pero fíjate en lo poco que dice del segundo pico: solo que los
# batches *por sí solos* no lo produjeron. Los autores de PaLM tampoco vieron picos en su control, y concluyeron
# exactamente eso: un pico necesita ciertos batches *y* cierto estado de los pesos.
#
# ### ¿Cuándo vale la pena hacer algo? Gira las perillas
#
# Desde el estado anterior al pico, el modelo se entrena otra vez cada vez que mueves algo. En azul, el run con batches
# malos; en gris, el que no los tiene. El título dice cuánto peor son los últimos diez pasos.
#
# 1. Sube el número de batches malos desde 0. ¿A partir de cuántos harías algo?
# 2. Déjalo en diez y baja el límite del clipping a 0.05; después súbelo a 10. ¿Protege el clipping al run?
# 3. Vuelve a uno y sube el learning rate. ¿Se vuelve peligroso un solo batch?

# %% id="playground" folded=true
trained = {}


def from_before(count, limit, rate):
    key = count, limit, rate
    if key not in trained:
        batches = with_bad(count)[BEFORE:]
        _, trained[key], _ = advance(before, batches, [rate] * len(batches), limit=limit)
    return trained[key]


def draw(figure, count, limit, rate):
    calm, sick = from_before(0, limit, rate), from_before(count, limit, rate)
    axes = figure.subplots()
    draw_losses(axes, {t("with-bad"): sick}, base=calm)
    axes.set(ylim=(2.4, 7), title=t("end-gap", gap=f"{np.mean(sick[-10:]) - np.mean(calm[-10:]):+.2f}"))
    axes.title.set_fontsize(10)


playground(
    draw,
    size=(7.2, 2.4),
    count=Slider(t("bad-batches"), 0, 15, 1),
    limit=Slider(t("clip-limit"), 0.05, 10.0, 1.0, log=True),
    rate=Slider(t("learning-rate"), 0.001, 0.01, 0.002, log=True),
)

# %% [markdown] id="play-answers" lang="en"
# <details><summary>What you should have found</summary>
#
# 1. One costs next to nothing, two or three a few hundredths. **Dropping a single bad batch gains nothing that you
#    could measure, and going back costs all the steps since the last saved state.** From about five on, the harm is
#    larger than that price.
# 2. At 10, no: the bad gradients are only about twice as long as good ones. They point the wrong way, and clipping
#    shortens them but does not turn them. At 0.05 the spike does little harm, but look at the grey curve: it hardly
#    falls. Adam's second moment remembers gradients twenty times as long, so all its steps are tiny, good and bad
#    ones alike. That run ends *worse* than the damaged one.
# 3. A little more: each step goes further. But even then the run heals in a few steps.
# </details>

# %% [markdown] id="play-answers" lang="es" of="ea4be7272c0e"
# <details><summary>Lo que deberías haber encontrado</summary>
#
# 1. Uno no cuesta casi nada; dos o tres, unas centésimas. **Descartar un solo batch malo no da nada que puedas
#    medir, y volver atrás cuesta todos los pasos dados desde el último estado guardado.** Más o menos desde cinco,
#    el daño supera ese precio.
# 2. Con 10, no: los gradientes malos miden apenas el doble que los buenos. Apuntan hacia donde no es, y el clipping
#    los acorta, pero no los gira. Con 0.05 el pico hace poco daño, pero mira la curva gris: apenas baja. El segundo
#    momento de Adam recuerda gradientes veinte veces más largos, así que todos sus pasos son diminutos, los buenos
#    y los malos. Ese run termina *peor* que el dañado.
# 3. Un poco más: cada paso llega más lejos. Pero aun así el run sana en unos pasos.
# </details>

# %% [markdown] id="task-find" lang="en"
# ## 5 · Fix
#
# ### Exercise 1 · A spike detector
#
# > Difficulty ●●●○○ · Importance ●●●●● · 15 minutes
#
# Write `find_spikes(losses, z=6.0, window=64, enough=32)`. It returns a list of the places (from 0) of the spikes, in
# order.
#
# * A value is judged by the ordinary values before it: the last `window` of them, or all if there are fewer. A
#   spike is not an ordinary value.
# * With fewer than `enough` ordinary values before it, no finite value is a spike.
# * It is a spike if it lies **above** their median by at least `z` × 1.4826 × MAD.
# * A value that is not finite is always a spike, from the first one on.
#
# <details><summary>Hint: which list grows?</summary>
#
# Keep a list of ordinary values of your own, and put a value into it only after you have judged it.
# </details>

# %% [markdown] id="task-find" lang="es" of="bd52f42d0431"
# ## 5 · Arregla
#
# ### Ejercicio 1 · Un detector de picos
#
# > Dificultad ●●●○○ · Importancia ●●●●● · 15 minutos
#
# Escribe `find_spikes(losses, z=6.0, window=64, enough=32)`. Devuelve una lista con los lugares (desde 0) de los picos,
# en orden.
#
# * Un valor se juzga por los valores normales anteriores: los últimos `window`, o todos si hay menos. Un pico no es
#   un valor normal.
# * Si antes hay menos de `enough` valores normales, ningún valor finito es un pico.
# * Es un pico si está **por encima** de la mediana de ellos en al menos `z` × 1.4826 × MAD.
# * Un valor que no es finito es siempre un pico, desde el primero.
#
# <details><summary>Pista: ¿qué lista crece?</summary>
#
# Lleva una lista tuya de valores normales, y mete en ella un valor solo después de haberlo juzgado.
# </details>


# %% solution="find-spikes"
def find_spikes(losses, z=6.0, window=64, enough=32):
    ### BEGIN SOLUTION
    spikes, ordinary = [], []
    for place, loss in enumerate(losses):
        if not math.isfinite(loss):
            spikes.append(place)
            continue
        if len(ordinary) >= enough:
            last = np.array(ordinary[-window:])
            middle = np.median(last)
            if loss - middle >= z * 1.4826 * np.median(np.abs(last - middle)):
                spikes.append(place)
                continue
        ordinary.append(loss)
    return spikes
    ### END SOLUTION


# %% check="find-spikes/one" points=2
check("find-spikes/one", find_spikes)

# %% check="find-spikes/burst" points=2
check("find-spikes/burst", find_spikes)

# %% check="find-spikes/lower" points=1
check("find-spikes/lower", find_spikes)

# %% check="find-spikes/edges" points=2
check("find-spikes/edges", find_spikes)

# %% [markdown] id="task-rollback" lang="en"
# ### Exercise 2 · Roll back, and a bug in code that looks right
#
# > Difficulty ●●●●○ · Importance ●●●●● · 20 minutes
#
# Every ten steps a colleague keeps the weights as they are, so that he can go back:
#
# ```python
# if step % 10 == 0:
#     snapshot = model.state_dict()
# ...
# if is_spike(loss):
#     model.load_state_dict(snapshot)
# ```
#
# **Two things are wrong.** The next cell shows one; for the other, think of what Adam keeps.

# %% [markdown] id="task-rollback" lang="es" of="7a0a7744aaf9"
# ### Ejercicio 2 · Volver atrás, y un error en código que parece correcto
#
# > Dificultad ●●●●○ · Importancia ●●●●● · 20 minutos
#
# Un colega guarda cada diez pasos los pesos que tiene en ese momento, para poder volver:
#
# ```python
# if step % 10 == 0:
#     snapshot = model.state_dict()
# ...
# if is_spike(loss):
#     model.load_state_dict(snapshot)
# ```
#
# **Hay dos cosas mal.** Una se ve en la celda que sigue; para la otra, piensa en lo que guarda Adam.

# %% id="no-copy" compare=true
layer = torch.nn.Linear(1, 1, bias=False)
kept_weights = layer.state_dict()
with torch.no_grad():
    layer.weight.fill_(1000.0)
print(kept_weights["weight"].item())

# %% [markdown] id="rollback-spec" lang="en"
# `state_dict()` holds the tensors themselves. They change as the model trains, so his snapshot always shows the
# present, and going back does nothing.
#
# Write `train_with_rollback(model, optimizer, loss_of, batches, is_spike, every)`. It takes the batches in order:
#
# * Before a batch, if the number of updates that count is a multiple of `every` (0 is one), it takes a snapshot:
#   copies of the weights **and of the optimizer's state**.
# * It computes `loss = loss_of(model, batch)` and asks `is_spike(loss.item())`, once a batch.
# * No spike: `backward()`, `optimizer.step()`, and no gradient is left. The update counts.
# * A spike: no update. Weights and optimizer go back to the newest snapshot; the updates since then do not count
#   any more. It continues with the **next** batch; nothing is trained twice.
# * It returns a list: the numbers (from 0) of the batches whose updates count.
#
# No clipping here. This is the test: the weights at the end are exactly those of a run on the counted batches
# alone.
#
# <details><summary>Hint 1: a copy</summary>
#
# `copy.deepcopy` copies a state dict with all its tensors, and lists inside it too.
# </details>
# <details><summary>Hint 2: what belongs to a snapshot</summary>
#
# Everything that has to be put back: the weights, `optimizer.state_dict()`, and your list of the updates that
# count.
# </details>

# %% [markdown] id="rollback-spec" lang="es" of="0f17376be12a"
# `state_dict()` contiene los tensores mismos. Cambian mientras el modelo se entrena, así que su instantánea muestra
# siempre el presente, y volver atrás no hace nada.
#
# Escribe `train_with_rollback(model, optimizer, loss_of, batches, is_spike, every)`. Toma los batches en orden:
#
# * Antes de un batch, si el número de actualizaciones que cuentan es múltiplo de `every` (0 lo es), toma una
#   instantánea: copias de los pesos **y del estado del optimizador**.
# * Calcula `loss = loss_of(model, batch)` y pregunta `is_spike(loss.item())`, una vez por batch.
# * Si no es un pico: `backward()`, `optimizer.step()`, y no queda ningún gradiente. La actualización cuenta.
# * Si es un pico: ninguna actualización. Pesos y optimizador vuelven a la última instantánea; las actualizaciones
#   posteriores ya no cuentan. Sigue con el batch **siguiente**; nada se entrena dos veces.
# * Devuelve una lista: los números (desde 0) de los batches cuyas actualizaciones cuentan.
#
# Aquí no hay clipping. Esta es la prueba: los pesos del final son exactamente los de un run con solo los batches
# que cuentan.
#
# <details><summary>Pista 1: una copia</summary>
#
# `copy.deepcopy` copia un `state_dict` con todos sus tensores, y también las listas que haya dentro.
# </details>
# <details><summary>Pista 2: qué entra en una instantánea</summary>
#
# Todo lo que hay que reponer al volver: los pesos, `optimizer.state_dict()` y tu lista de las actualizaciones que
# cuentan.
# </details>


# %% solution="train-with-rollback"
def train_with_rollback(model, optimizer, loss_of, batches, is_spike, every):
    ### BEGIN SOLUTION
    counted, newest = [], None
    for index, batch in enumerate(batches):
        if len(counted) % every == 0:
            newest = copy.deepcopy((model.state_dict(), optimizer.state_dict(), counted))
        loss = loss_of(model, batch)
        if is_spike(loss.item()):
            weights, moments, counted = newest
            model.load_state_dict(weights)
            optimizer.load_state_dict(moments)
        else:
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            counted.append(index)
    return counted
    ### END SOLUTION


# %% check="train-with-rollback/calm" points=1
check("train-with-rollback/calm", train_with_rollback)

# %% check="train-with-rollback/once" points=2
check("train-with-rollback/once", train_with_rollback)

# %% check="train-with-rollback/twice" points=2
check("train-with-rollback/twice", train_with_rollback)

# %% check="train-with-rollback/at-once" points=1
check("train-with-rollback/at-once", train_with_rollback)

# %% check="train-with-rollback/kept" points=1
check("train-with-rollback/kept", train_with_rollback)

# %% [markdown] id="task-clip" lang="en"
# ### Exercise 3 · A limit that follows the run
#
# > Difficulty ●●●○○ · Importance ●●●●○ · 15 minutes
#
# Clipping cannot turn a wrong gradient. But it is made for a gradient with the right direction that is a thousand
# times too long, and there a fixed limit has a weakness: 1.0 may be far too much late in a run. An adaptive limit
# is some factor times what is usual.
#
# Write `adaptive_norms(norms, factor=2.0, window=50, enough=10)`. It is given the norms before clipping and returns
# the list of the norms **after** it. The first `enough` steps are not clipped. The limit of every other step is
# `factor` × the median of the norms of the steps before it, **as they were after clipping**: the last `window` of
# them, or all if there are fewer.
#
# <details><summary>Hint: why after clipping?</summary>
#
# Suppose that thirty steps in a row are twenty times too long. If their raw norms enter the history, they are soon
# what is usual.
# </details>

# %% [markdown] id="task-clip" lang="es" of="61cfbf43c178"
# ### Ejercicio 3 · Un límite que sigue al run
#
# > Dificultad ●●●○○ · Importancia ●●●●○ · 15 minutos
#
# El clipping no puede girar un gradiente equivocado. Pero está hecho para un gradiente con la dirección correcta y
# mil veces más largo de lo debido, y ahí un límite fijo tiene una debilidad: 1.0 puede ser demasiado al final de un
# run. Un límite adaptativo es lo usual multiplicado por un factor.
#
# Escribe `adaptive_norms(norms, factor=2.0, window=50, enough=10)`. Recibe las normas de antes del clipping y
# devuelve la lista de las normas de **después**. Los primeros `enough` pasos no se recortan. El límite de cada uno
# de los demás es `factor` × la mediana de las normas de los pasos anteriores, **ya recortadas**: las últimas
# `window`, o todas si hay menos.
#
# <details><summary>Pista: ¿por qué ya recortadas?</summary>
#
# Supón treinta pasos seguidos veinte veces más largos de lo debido. Si sus normas entran tal cual en el historial,
# pronto serán lo usual.
# </details>


# %% solution="adaptive-norms"
def adaptive_norms(norms, factor=2.0, window=50, enough=10):
    ### BEGIN SOLUTION
    after = []
    for norm in norms:
        limit = factor * np.median(after[-window:]) if len(after) >= enough else math.inf
        after.append(min(norm, limit))
    return after
    ### END SOLUTION


# %% check="adaptive-norms/start" points=1
check("adaptive-norms/start", adaptive_norms)

# %% check="adaptive-norms/spike" points=1
check("adaptive-norms/spike", adaptive_norms)

# %% check="adaptive-norms/burst" points=2
check("adaptive-norms/burst", adaptive_norms)

# %% check="adaptive-norms/follows" points=1
check("adaptive-norms/follows", adaptive_norms)

# %% [markdown] id="verify" lang="en"
# ## 6 · Verify
#
# Your detector decides and your rollback acts, on both spikes. Here each batch carries its learning rate along, so
# the burst belongs to the batches 100 to 104. The question is that of lesson 19-01: **are the weights equal to
# those of a run on the kept batches alone, bit for bit?**

# %% [markdown] id="verify" lang="es" of="3281233c7130"
# ## 6 · Comprueba
#
# Tu detector decide y tu vuelta atrás actúa, en los dos picos. Aquí cada batch lleva consigo su learning rate, así
# que el salto pertenece a los batches 100 a 104. La pregunta es la de la lección 19-01: **¿son los pesos iguales a
# los de un run con solo los batches conservados, bit por bit?**


# %% id="rolled-back" compare=true
def rescue(batches, rates, state):
    model, optimizer = copy.deepcopy(state)
    seen = list(never[:BEFORE])

    def loss_at(model, item):
        batch, rate = item
        for group in optimizer.param_groups:
            group["lr"] = rate
        return loss_of(model, batch)

    def is_spike(loss):
        seen.append(loss)
        return len(seen) - 1 in find_spikes(seen)

    items = list(zip(batches, rates, strict=True))[BEFORE:]
    kept = train_with_rollback(model, optimizer, loss_at, items, is_spike, every=10)
    alone, optimizer = copy.deepcopy(state)
    train_with_rollback(alone, optimizer, loss_at, [items[n] for n in kept], lambda loss: False, every=10)
    same = all(torch.equal(*pair) for pair in zip(model.parameters(), alone.parameters(), strict=True))
    return model, kept, same


@torch.no_grad()
def validation(model):
    return sum(loss_of(model, get_batch(tokens, config, 1000 + n)).item() for n in range(8)) / 8


rescued = {}
for name, batches, used in (("ten-bad", with_bad(10), rates), ("burst", good, burst_rates)):
    rescued[name] = rescue(batches, used, before)
    print(f"{t(name):24} {t('bit-for-bit')}: {t(str(rescued[name][2]))}")

# %% id="ends"
calm, left_alone = states[config.steps][0], {"ten-bad": ten_model, "burst": burst_model}
print(f"{'':24}{t('left-alone'):>16}{t('rolled-back'):>16}{t('never-had-it'):>16}{t('skipped'):>20}")
for name, alone in left_alone.items():
    saved, kept, _ = rescued[name]
    three = "".join(f"{validation(each):16.2f}" for each in (alone, saved, calm))
    print(f"{t(name):24}{three}{config.steps - BEFORE - len(kept):20}")

# %% [markdown] id="ends-said" lang="en"
# Rolling back from the burst undoes it completely, and the few batches that were skipped are hardly missed. After
# the bad batches it undoes most of the harm; what remains is the price of more batches skipped. (Simply *dropping*
# bad batches would have got the run over the first spike as well, but not over the second: there the batches are
# good and the weights are not.)
#
# ### What clipping is for
#
# Now a third accident: at step 100 one gradient arrives ten thousand times too long, in the right direction. Four
# rules for the limit: none, 1, 100, and yours.

# %% [markdown] id="ends-said" lang="es" of="6901bfdda648"
# Volver atrás deshace por completo el salto del learning rate, y los pocos batches que se saltaron casi no se echan
# de menos. Con los batches malos deshace casi todo el daño; lo que queda es el precio de haber saltado más batches.
# (Con solo *descartar* batches malos, el run también habría superado el primer pico, pero no el segundo: ahí los
# batches son buenos y los pesos no.)
#
# ### Para qué sirve el clipping
#
# Ahora un tercer accidente: en el paso 100 llega un gradiente diez mil veces más largo de lo debido, en la dirección
# correcta. Cuatro reglas para el límite: ninguno, 1, 100 y el tuyo.


# %% id="long-gradient"
def with_a_long_gradient(limit_of, factor=1e4):
    model, optimizer = copy.deepcopy(before)
    losses, seen = [], list(norms[:BEFORE])
    for step in range(BEFORE, config.steps):
        for group in optimizer.param_groups:
            group["lr"] = rates[step]
        loss = loss_of(model, good[step])
        (loss * (factor if step == SPIKE else 1.0)).backward()
        seen.append(torch.nn.utils.get_total_norm(p.grad for p in model.parameters()).item())
        torch.nn.utils.clip_grad_norm_(model.parameters(), limit_of(seen))
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return losses


rules = {
    "no-limit": lambda seen: 1e12,
    "limit-1": lambda seen: 1.0,
    "limit-100": lambda seen: 100.0,
    "adaptive": lambda seen: adaptive_norms(seen)[-1],
}
long_runs = {name: with_a_long_gradient(rule) for name, rule in rules.items()}
print(f"{'':14}{t('at-the-spike'):>18}{t('last-ten'):>18}")
for name, losses in long_runs.items():
    print(f"{t(name):14}{losses[SPIKE - BEFORE]:18.2f}{np.mean(losses[-10:]):18.2f}")

# %% [markdown] id="long-said" lang="en"
# Look at the first column: **the loss of that step is ordinary.** The loss has no spike at all, only the gradient
# norm has one; without a limit the loss then rises, slowly, for as long as Adam's moments remember. With a limit of
# 1, and with yours, it is as if there had been no accident. The fixed limit had to be chosen; yours was found by
# the run itself.
#
# ### The trainer's guard, and its post-mortem
#
# With `guard_spikes=True` in the config, the trainer drops a batch whose loss is too unusual. After eight in a row
# it lets one update through, which often heals weights that were damaged by one step too long; if the next loss is
# no better, it goes back. Here is what it did in the run with ten bad batches.

# %% [markdown] id="long-said" lang="es" of="afa0483cffcd"
# Mira la primera columna: **el loss de ese paso es normal.** En el loss no hay ningún pico, solo en la norma del
# gradiente; sin límite, el loss sube después, despacio, mientras los momentos de Adam se acuerdan. Con un límite de
# 1, y con el tuyo, es como si no hubiera habido accidente. El límite fijo hubo que elegirlo; el tuyo salió del
# propio run.
#
# ### El guard del trainer y su informe
#
# Con `guard_spikes=True` en la configuración, el trainer descarta un batch cuyo loss sea demasiado raro. Después de
# ocho seguidos deja pasar una actualización, que muchas veces sana unos pesos dañados por un solo paso demasiado
# largo; si el loss siguiente no mejora, vuelve atrás. Esto es lo que hizo en el run con diez batches malos.


# %% id="own-guard"
def bad_batches(tokens, config, step, micro=0, *place):
    batch = get_batch(tokens, config, step, micro, *place)
    return shuffled(batch, step) if SPIKE <= step < SPIKE + 10 else batch


watched = dataclasses.replace(recipe, config=config.replace(guard_spikes=True), get_batch=bad_batches)
saved_run = train(watched, runs / "guarded", overwrite=True)
for line in (saved_run.path / "events.jsonl").read_text(encoding="utf-8").splitlines():
    event = json.loads(line)
    print(f"{t('step')} {event['step']:3}   {t('batch')} {event['batches'][0]:3}   {t(event['done'])}")
print(f"{t('post-mortem')}: {sorted(file.name for file in saved_run.path.glob('post-mortem.*'))}")

# %% [markdown] id="guard-said" lang="en"
# It dropped eight, let the ninth through, and at the tenth it concluded that the weights were damaged. **They were
# not, until the guard itself let a bad batch in.** You know that, because you know what happened; the guard knows
# only a row of high losses. Its rollback took back ten steps, nine of them good. A guard decides in a millisecond,
# by what it has seen. That is why it writes down what it did, and why a person should read it: `post-mortem.md` in
# the folder of the run has the figures and the text of the batches.

# %% [markdown] id="guard-said" lang="es" of="40396fd9d9c5"
# Descartó ocho, dejó pasar el noveno, y en el décimo concluyó que los pesos estaban dañados. **No lo estaban, hasta
# que el propio guard dejó entrar un batch malo.** Lo sabes porque sabes qué pasó; el guard solo conoce una serie de
# losses altos. Su vuelta atrás deshizo diez pasos, nueve de ellos buenos. Un guard decide en una milésima de
# segundo con lo que ha visto. Por eso anota lo que hizo, y por eso una persona debe leerlo: `post-mortem.md`, en la
# carpeta del run, tiene las cifras y el texto de los batches.

# %% [markdown] id="walk-text" lang="en"
# ### Before and after, by the stability check
#
# Question 8.2 looks for such batches. Here is its answer for the same batches without the guard, and then for the
# run with it.

# %% [markdown] id="walk-text" lang="es" of="18a42ca6dffe"
# ### Antes y después, según la revisión de estabilidad
#
# La pregunta 8.2 busca batches así. Aquí está su respuesta para los mismos batches sin el guard y, después, para el
# run con él.

# %% id="walk"
unguarded = train(dataclasses.replace(recipe, get_batch=bad_batches), runs / "unguarded", overwrite=True)
asked = [question for question in SPIKE_QUESTIONS if question.id == "8.2"]
for run in (unguarded, saved_run):
    show(diagnosis.walk(diagnosis.evidence_of(run.path), asked), Console(width=88))

# %% [markdown] id="walk-said" lang="en"
# Without the guard the batches are a fault. With it they are something to watch: nearly all of them were dropped,
# and so did no harm. But read the warning before you move on. The loader still mixes up its targets, and the guard
# has done nothing about that.

# %% [markdown] id="walk-said" lang="es" of="b6935fcb7859"
# Sin el guard, los batches son un fallo. Con él, son algo que vigilar: casi todos se descartaron y no hicieron
# daño. Pero lee el aviso antes de seguir. El loader sigue confundiendo los targets, y contra eso el guard no hizo
# nada.

# %% [markdown] id="explain" lang="en"
# ## 7 · Explain: a post-mortem
#
# Write the post-mortem of the run with the **burst**, for somebody who was not there, in eight to ten sentences.
# Begin with the symptom, in figures. Then, for one point each: (1) a wrong explanation that one could believe at
# first, and the control that rules it out, with its outcome; (2) the cause; (3) what was done, what it cost, and
# how you know that nothing of the burst is left; (4) what remains unknown, or what the control does *not* prove.

# %% [markdown] id="explain" lang="es" of="4a6ad3f40fa2"
# ## 7 · Explica: un informe post mortem
#
# Escribe el informe del run con el **salto del learning rate**, para alguien que no estuvo, en entre ocho y diez
# oraciones. Empieza por el síntoma, con cifras. Después, un punto por cada parte: (1) una explicación equivocada
# que al principio se podría creer, y el control que la descarta, con su resultado; (2) la causa; (3) qué se hizo,
# cuánto costó y cómo sabes que no queda nada del salto; (4) qué sigue sin saberse, o qué *no* demuestra el control.

# %% [markdown] answer="post-mortem" points=4 lang="en"
# At step 103 the loss of the run rose from about 3.4 to nearly 6 and was still half a nat too high at the end. Bad
# data was a plausible explanation, because a run with shuffled targets spikes just as high. We trained from the state
# after 60 steps on the batches 95 to 114 at their ordinary rate: no spike. So those batches alone do not make one.
# The learning rate of every group in the log shows the cause: from step 100 to 104 it was 30 times the one asked for,
# three steps before the loss rose. We went back to the snapshot from before step 100 and skipped the batches since;
# that cost a handful of batches, and the weights are, bit for bit, those of a run on the kept batches alone. The
# control does not prove that the batches are good in every state: with other weights they might spike, as PaLM's
# authors thought of theirs. And it would not have found the cause; the log of the rate did.
#
# ---
# **Rubric.** One point each. (1) A wrong explanation that fits the curve, and the control from another state with its
# outcome. “We checked the data” earns nothing. (2) The cause with evidence other than the loss: the rate of the steps
# 100 to 104. (3) What was undone and its cost, and a proof (bit for bit, or the validation loss beside a run that
# never had it). “The loss is fine again” earns half. (4) A limit of the control or of the diagnosis: batches *and*
# state; who set the rate; another seed.

# %% [markdown] answer="post-mortem" points=4 lang="es" of="f22d5463e9df"
# En el paso 103 el loss del run subió de unos 3.4 a casi 6, y al final estaba todavía medio nat demasiado alto. Los
# datos malos eran una explicación creíble, porque un run con targets barajados tiene un pico igual de alto. Entrenamos
# desde el estado de después de 60 pasos con los batches 95 a 114 y su learning rate normal: ningún pico. Así que esos
# batches por sí solos no lo producen. El learning rate de cada grupo en el log muestra la causa: del paso 100 al 104
# fue 30 veces el pedido, tres pasos antes de que subiera el loss. Volvimos a la instantánea anterior al paso 100 y
# saltamos los batches posteriores; costó un puñado de batches, y los pesos son, bit por bit, los de un run con solo los
# batches conservados. El control no demuestra que los batches sean buenos en cualquier estado: con otros pesos podrían
# dar un pico, como pensaron de los suyos los autores de PaLM. Y no habría encontrado la causa; la encontró el log del
# learning rate.
#
# ---
# **Rúbrica.** Un punto por cada parte. (1) Una explicación equivocada que encaja con la curva, y el control desde otro
# estado con su resultado. «Revisamos los datos» no da puntos. (2) La causa con evidencia distinta del loss: el learning
# rate de los pasos 100 a 104. (3) Qué se deshizo y cuánto costó, y una prueba (bit por bit, o el loss de validación
# junto a un run que nunca lo tuvo). «El loss ya está bien» da la mitad. (4) Un límite del control o del diagnóstico:
# batches *y* estado; quién puso ese learning rate; otra semilla.

# %% [markdown] id="card" lang="en"
# ## 8 · A card to keep
#
# | symptom | ask | first action |
# |---|---|---|
# | one high loss, the next one ordinary | is it over? | leave it alone; write down the batch |
# | several high losses in a row | the same batches from another state: again? | again: drop those batches, fix the loader · not again: go back, and look at the rate |
# | good batches have a high loss after the spike | are the weights damaged? | go back to before the *first* odd step, skip the batches since |
# | a spike in the gradient norm alone | loss of the steps after it | an adaptive limit; never none |
# | the detector is silent | is its threshold a factor of the mean? | median and MAD, spikes kept out |
#
# A snapshot is a copy of the weights *and* of the optimizer. A rollback is right if the run that it leaves could
# have happened without it.

# %% [markdown] id="card" lang="es" of="48823d025b95"
# ## 8 · Una tarjeta para guardar
#
# | síntoma | pregunta | primera acción |
# |---|---|---|
# | un loss alto, el siguiente normal | ¿ya pasó? | déjalo pasar; anota el batch |
# | varios losses altos seguidos | los mismos batches desde otro estado: ¿otra vez? | otra vez: descarta esos batches, arregla el loader · no: vuelve atrás y mira el learning rate |
# | después del pico, los batches buenos tienen un loss alto | ¿se dañaron los pesos? | vuelve a antes del *primer* paso raro, salta los batches vistos desde entonces |
# | un pico solo en la norma del gradiente | el loss de los pasos siguientes | un límite adaptativo; nunca ninguno |
# | el detector calla | ¿es su umbral un factor de la media? | mediana y MAD, sin los picos |
#
# Una instantánea es una copia de los pesos *y* del optimizador. Una vuelta atrás está bien hecha si el run que deja
# podría haber ocurrido sin ella.

# %% [markdown] id="own-run" lang="en"
# ## 9 · On your own run
#
# Your functions need nothing of this course. Here your detector and your rollback are in another loop: a small
# recurrent network learns a noisy sine, and three of its batches come from a broken sensor.

# %% [markdown] id="own-run" lang="es" of="3837e4728cb6"
# ## 9 · En tu propio run
#
# Tus funciones no necesitan nada de este curso. Aquí tu detector y tu vuelta atrás están en otro bucle: una red
# recurrente pequeña aprende un seno con ruido, y tres de sus batches vienen de un sensor roto.


# %% id="another-loop" compare=true
class Sine(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.memory, self.out = torch.nn.GRU(1, 16, batch_first=True), torch.nn.Linear(16, 1)

    def forward(self, x):
        return self.out(self.memory(x)[0])


def sine_loss(net, wave):
    return (net(wave[:, :-1]) - wave[:, 1:]).square().mean()


torch.manual_seed(0)
phases = 6.3 * torch.rand(120, 8, 1, 1)
waves = torch.sin(0.4 * torch.arange(30.0)[:, None] + phases) + 0.05 * torch.randn(120, 8, 30, 1)
waves[80:83] = 5 * torch.randn(3, 8, 30, 1)
net, history = Sine(), []
adam = torch.optim.Adam(net.parameters(), lr=1e-2)


def unusual(loss):
    history.append(loss)
    return len(history) - 1 in find_spikes(history, z=8.0)


kept = train_with_rollback(net, adam, sine_loss, list(waves), unusual, every=20)
print(f"{t('skipped')}: {sorted(set(range(len(waves))) - set(kept))}")

# %% [markdown] id="sources" lang="en"
# ## 10 · Where this comes from
#
# **A true story.** The loss of PaLM, with 540 billion parameters, spiked about 20 times although gradients were
# clipped, at very irregular intervals, sometimes late. Smaller models had no spikes. Its authors restarted from a
# checkpoint about 100 steps before each spike and skipped 200 to 500 batches; the loss did not spike again at that
# point. Then they ran the control that you have run, and saw no spike. So, they write, it was not bad data as
# such, but certain batches meeting a certain state of the weights. They add that they could not find a principled
# way to prevent it ([Chowdhery et al., 2022](https://arxiv.org/abs/2204.02311), section 5.1).
#
# OPT-175B's team kept a diary while it trained. In [December
# 2021](https://github.com/facebookresearch/metaseq/blob/main/projects/OPT/chronicles/56_percent_update.md), at 56 %
# of the run, they report that gradient and activation norms had begun to spike and drift; lowering the rate by 10 %
# calmed them. Later, when perplexity began to diverge after a few large gradient spikes, they lowered the rate to
# two thirds of GPT-3's and managed to continue. In their [first
# attempt](https://github.com/facebookresearch/metaseq/blob/main/projects/OPT/chronicles/10_percent_update.md) they
# had lowered the clip limit from 2.5 to 1.5 to 1.0, and the loss still exploded. What caused those spikes is not
# known.
#
# * Adaptive clipping like yours, but with a mean and a deviation: [ZClip](https://arxiv.org/abs/2504.02507). With a
#   limit for each tensor: [AdaGC](https://arxiv.org/abs/2502.11034). Both are in
#   `minigpt/training/guards/clipping.py`.
# * Why Adam itself can spike: [Molybog et al., 2023](https://arxiv.org/abs/2304.09871).
#
# **A hard bonus task.** A burst of ten times the rate, instead of 30, leaves this run *better* at the end than
# without any burst. Check it on three seeds. If it holds, which of the lesson's statements about spikes would you
# word more carefully? Then give the detector a budget: at most one false alarm in 10,000 steps. Suppose that the
# losses are normally distributed around a constant, where one value in 10,000 is above 3.72 standard deviations.
# Which z keeps to the budget, and why is it not 3.72?
#
# <details><summary>Hint</summary>
#
# The detector does not know the standard deviation. From how many values does it estimate it?
# </details>
#
# <details><summary>Show one solution</summary>
#
# ```python
# for seed in (1, 2, 3):
#     torch.manual_seed(seed)
#     model = recipe.build_model(config)
#     recipe.init_weights(model, config)
#     fresh = model, recipe.build_optimizer(model, config)
#     for times in (1, 10, 30):
#         raised = [rate * (times if SPIKE <= n < SPIKE + 5 else 1) for n, rate in enumerate(rates)]
#         (trained, _), losses, _ = advance(fresh, good, raised)
#         print(seed, times, f"{max(losses[SPIKE:]):.2f} {validation(trained):.2f}")
#
# quiet = np.random.default_rng(0).standard_normal(100_000)
# for z in (3.72, 4.3, 5):
#     print(z, len(find_spikes(quiet, z=z)) / 10)
# ```
#
# It holds on all three: a validation loss of 2.91, 2.90, 2.92 with ten times the rate, 2.99, 2.98, 3.01 with none,
# 3.67, 3.37, 3.49 with thirty times. Ten times the rate raises the loss for a few steps, to 3.6 at most, and the
# weights are the better for it: late in this run the rate was low. So a leap of the rate is not harmful in itself,
# and a rollback from this one would have cost something and gained nothing. What counts is the loss on good batches
# *after* the spike.
#
# z = 3.72 gives 6.0 false alarms in 10,000 steps, 4.3 about one, 5 none. The yardstick is a MAD of 64 values, and
# that is itself uncertain: every time it comes out too short, an ordinary loss looks unusual.
# </details>

# %% [markdown] id="sources" lang="es" of="4b5a66636893"
# ## 10 · De dónde viene esto
#
# **Una historia real.** El loss de PaLM, con 540 mil millones de parámetros, tuvo unos 20 picos aunque los
# gradientes se recortaban, a intervalos muy irregulares, a veces muy tarde. Los modelos más pequeños no los
# tuvieron. Sus autores reiniciaban desde un checkpoint de unos 100 pasos antes de cada pico y saltaban entre 200 y
# 500 batches; en ese punto el pico no volvía. Después hicieron el control que hiciste tú, y no vieron ningún pico.
# Así que, escriben, no eran datos malos en sí, sino ciertos batches que se encuentran con cierto estado de los
# pesos. Y reconocen que no hallaron una manera fundamentada de evitarlo ([Chowdhery et al.,
# 2022](https://arxiv.org/abs/2204.02311), sección 5.1).
#
# El equipo de OPT-175B llevó un diario mientras entrenaba. En [diciembre de
# 2021](https://github.com/facebookresearch/metaseq/blob/main/projects/OPT/chronicles/56_percent_update.md), al 56 %
# del run, cuentan que las normas de gradientes y activaciones habían empezado a tener picos y a desviarse; se
# calmaron al bajar el learning rate un 10 %. Después, cuando la perplejidad empezó a divergir tras unos picos
# grandes del gradiente, lo bajaron a dos tercios del de GPT-3 y lograron seguir. En su [primer
# intento](https://github.com/facebookresearch/metaseq/blob/main/projects/OPT/chronicles/10_percent_update.md) el
# límite del clipping había bajado de 2.5 a 1.5 y a 1.0, y el loss explotaba igual. Qué produjo esos picos no se
# sabe.
#
# * Un clipping adaptativo como el tuyo, pero con media y desviación: [ZClip](https://arxiv.org/abs/2504.02507). Con
#   un límite por tensor: [AdaGC](https://arxiv.org/abs/2502.11034). Los dos están en
#   `minigpt/training/guards/clipping.py`.
# * Por qué el propio Adam puede tener picos: [Molybog et al., 2023](https://arxiv.org/abs/2304.09871).
#
# **Un reto extra, difícil.** Un salto a diez veces el learning rate, en lugar de 30, deja este run *mejor* al
# final que sin ningún salto. Compruébalo con tres semillas. Si se confirma, ¿cuál de las afirmaciones de la lección
# sobre los picos dirías con más cuidado? Después dale un presupuesto al detector: como máximo, una falsa alarma en
# 10,000 pasos. Supón que los losses siguen una distribución normal alrededor de una constante, en la que uno de cada
# 10,000 valores pasa de 3.72 desviaciones estándar. ¿Qué z cumple el presupuesto, y por qué no es 3.72?
#
# <details><summary>Pista</summary>
#
# El detector no conoce la desviación estándar. ¿Con cuántos valores la estima?
# </details>
#
# <details><summary>Mostrar una solución</summary>
#
# ```python
# for seed in (1, 2, 3):
#     torch.manual_seed(seed)
#     model = recipe.build_model(config)
#     recipe.init_weights(model, config)
#     fresh = model, recipe.build_optimizer(model, config)
#     for times in (1, 10, 30):
#         raised = [rate * (times if SPIKE <= n < SPIKE + 5 else 1) for n, rate in enumerate(rates)]
#         (trained, _), losses, _ = advance(fresh, good, raised)
#         print(seed, times, f"{max(losses[SPIKE:]):.2f} {validation(trained):.2f}")
#
# quiet = np.random.default_rng(0).standard_normal(100_000)
# for z in (3.72, 4.3, 5):
#     print(z, len(find_spikes(quiet, z=z)) / 10)
# ```
#
# Se confirma con las tres: un loss de validación de 2.91, 2.90, 2.92 con diez veces el learning rate; de 2.99, 2.98,
# 3.01 sin salto; y de 3.67, 3.37, 3.49 con treinta veces. Con diez veces, el loss sube durante unos pasos, hasta 3.6
# como máximo, y a los pesos les hace bien: a esa altura del run el learning rate ya era bajo. Así que un salto del
# learning rate no es dañino por sí mismo, y volver atrás después de este habría costado algo sin dar nada. Lo que
# cuenta es el loss en batches buenos *después* del pico.
#
# Con z = 3.72 salen 6.0 falsas alarmas en 10,000 pasos; con 4.3, más o menos una; con 5, ninguna. La vara de medir es
# una MAD de 64 valores, y ella misma es incierta: cada vez que sale demasiado corta, un loss normal parece raro.
# </details>
