"""Lesson 19-05: a published repair of a learning rate, read again: what it multiplied, and what it left broken."""

# %% [markdown] id="why" lang="en"
# Somebody trained a GPT of 63 million parameters and watched the loss stand still: from 10.374 to 10.283 in what the
# screen called 1,405 iterations. It showed a learning rate of 2.75e-08 where 5e-5 had been asked for. They published
# a guide: the rate was *1,818 times too small*, the causes were small group multipliers and a long warm-up, and the
# cure was a higher rate.
#
# In lesson 18-02 you took the 1,818 apart on paper. Here you see it in a run: the symptom, the published cure, and
# what the cure leaves broken. At the end of the lesson you can
#
# * say, for each factor between two learning rates, whether somebody asked for it or whether it is a fault;
# * measure the rate that the *weights* saw, from the weights, whatever the screen says;
# * estimate when a run will reach a given loss, even during a warm-up, where a straight line is wrong by weeks.
#
# Run the cells in order with **Shift + Enter**.

# %% [markdown] id="why" lang="es" of="802868218300"
# Alguien entrenó un GPT de 63 millones de parámetros y vio que el loss no se movía: de 10.374 a 10.283 en lo que la
# pantalla llamaba 1,405 «iterations». También mostraba un learning rate (tasa de aprendizaje) de 2.75e-08, y se
# había pedido 5e-5. Publicó una guía: el valor era *1,818 veces más pequeño* de lo debido, las causas eran unos
# multiplicadores por grupo demasiado pequeños y un warm-up largo, y la cura, un valor más alto.
#
# En la lección 18-02 desarmaste ese 1,818 en papel. Aquí lo vas a ver en un run: el síntoma, la cura publicada y lo
# que la cura deja roto. Al terminar sabrás
#
# * decir, de cada factor entre dos learning rates, si alguien lo pidió o si es un fallo;
# * medir el learning rate que vieron los *pesos*, a partir de los pesos, diga lo que diga la pantalla;
# * calcular cuándo llegará un run a cierto loss, también durante el warm-up, donde una recta se equivoca por
#   semanas.
#
# Ejecuta las celdas en orden con **Shift + Enter**.

# %% id="setup" setup=true
import dataclasses
import math
import shutil
from pathlib import Path

import matplotlib
import numpy as np
import torch
from matplotlib.figure import Figure
from rich.console import Console
from torch import nn

from course.live_plot import LivePlot
from course.notebook import check, lesson, t
from course.picture import Picture
from course.predictions import compare, predict
from course.widgets import Slider, playground
from minigpt import Config, Monitor, Recipe, diagnosis, train
from minigpt.diagnosis.report import show

lesson("19-05")
runs = Path("experiments") / "19-05"
torch.set_num_threads(1)
matplotlib.rcParams["font.size"] = 9


def last_loss(run, count=10):
    return sum(record["loss"] for record in run.metrics[-count:]) / count


# %% [markdown] id="meet" lang="en"
# ## 1 · A run that misbehaves
#
# The same mistakes, small. The plan is 20 epochs of 1,500 micro-batches; the gradients of three micro-batches are
# added up for one step; the warm-up is a tenth of the run. Three groups of parameters learn at different rates, as
# in the original. What is called *memory* there is the token embedding here, `wte`; it learns at 0.1 of the rate.
# What is called *neuroscience* is the first block here, `h.0`; it learns at 0.5. The rest learns at 1.
#
# The schedule is told its length in micro-batches, but it is called once a step. The screen shows the group of the
# embedding.

# %% [markdown] id="meet" lang="es" of="f1ec3f2f8c64"
# ## 1 · Un run que se porta mal
#
# Los mismos errores, en pequeño. El plan son 20 épocas de 1,500 micro-batches; se suman los gradientes de tres
# micro-batches para dar un paso; el warm-up es la décima parte del run. Tres grupos de parámetros aprenden a distinta
# velocidad, como en el original. Lo que allí se llama *memory* es aquí el embedding de tokens, `wte`, y aprende con
# 0.1 del learning rate. Lo que se llama *neuroscience* es aquí el primer bloque, `h.0`, y aprende con 0.5. El resto
# aprende con 1.
#
# Al schedule se le dice su duración en micro-batches, pero se le llama una vez por paso. La pantalla muestra el grupo
# del embedding.

# %% id="facts" compare=true
planned = 20 * 1500  # micro-batches
k, top, watched = 3, 3e-3, 90
config = Config(
    steps=watched,
    warmup_steps=0,
    schedule="constant",
    lr_max=top,
    batch_size=8,
    accumulation=k,
    eval_every=0,
    eval_batches=1,
    lr_multipliers="wte=0.1,h.0=0.5",
)


def ramp(highest, length):
    return lambda step, config: highest * min((step + 1) / length, 1)


published = dataclasses.replace(Recipe(config), lr_at=ramp(top, planned // 10))
cured = dataclasses.replace(Recipe(config), lr_at=ramp(4 * top, planned // 2 // 20))
print(f"{t('warm-up-told')}: {planned // 10:,}   {t('steps-watched')}: {watched}")
print(f"{t('cure-told')}: {planned // 2 // 20:,}   lr_max × 4")

# %% [markdown] id="predict" lang="en"
# ## 2 · Predict
#
# We watch the first 90 steps. **What does the screen show** in the last of them, for the group at 0.1, if `lr_max`
# is 0.003? **How far does the loss fall** in these 90 steps, from ln 512 = 6.24? The published cure is an `lr_max`
# four times as high, half the epochs, and a warm-up of a twentieth of the run. **How far does the loss fall with
# it?**

# %% [markdown] id="predict" lang="es" of="aff49d6fa9ae"
# ## 2 · Predice
#
# Miramos los primeros 90 pasos. **¿Qué muestra la pantalla** en el último, en el grupo de 0.1, si `lr_max` es
# 0.003? **¿Cuánto baja el loss** en esos 90 pasos, desde ln 512 = 6.24? La cura publicada es un `lr_max` cuatro
# veces mayor, la mitad de épocas y un warm-up que dura la vigésima parte del run. **¿Cuánto baja el loss con
# ella?**

# %% id="my-prediction"
predict("screen", on_the_screen=..., falls=..., falls_cured=...)

# %% [markdown] id="break" lang="en"
# ## 3 · Break it
#
# First the run as it was published; then, with the first in grey, the run with the cure.

# %% [markdown] id="break" lang="es" of="cb79de4ffd91"
# ## 3 · Rómpelo
#
# Primero el run tal como se publicó; después, con el primero en gris, el run con la cura.

# %% id="train-published"
ill = train(published, runs / "published", callbacks=[LivePlot()], overwrite=True)

# %% id="train-cured"
treated = train(cured, runs / "cured", callbacks=[LivePlot(before=ill.metrics)], overwrite=True)


# %% id="compare-prediction"
def fall(run):
    return round(math.log(config.vocab_size) - last_loss(run), 2)


compare(
    "screen",
    on_the_screen=ill.metrics[-1]["lr"]["decay:wte"],
    falls=fall(ill),
    falls_cured=fall(treated),
)

# %% [markdown] id="it-looks-cured" lang="en"
# The curve goes down several times as fast. Anybody would write a guide now, and anybody would believe that guide.
#
# ## 4 · Inspect
#
# ### What would the repaired run have done?
#
# The cure only asked for a higher rate. It repaired nothing: the schedule still counts in micro-batches, and the
# first group still learns at a tenth. So compare it with runs that *are* repaired:
#
# * **both repaired**: the `lr_max` that was asked for in the first place, no multipliers, lengths in steps;
# * **warm-up chosen**: the same, and somebody has thought about the warm-up: 20 steps, not “a tenth”;
# * **16 × on top**: the cure raised the figure on the screen sixteenfold. Here the run with the chosen warm-up gets
#   the same rise.

# %% [markdown] id="it-looks-cured" lang="es" of="515b385f8872"
# La curva baja varias veces más rápido. Cualquiera escribiría una guía, y cualquiera le creería.
#
# ## 4 · Inspecciona
#
# ### ¿Qué habría hecho el run reparado?
#
# La cura solo pidió un valor más alto. No reparó nada: el schedule sigue contando micro-batches y el primer grupo
# sigue aprendiendo a la décima parte. Compárala, entonces, con runs que *sí* están reparados:
#
# * **ambos reparados**: el `lr_max` que se pidió al principio, sin multiplicadores, con duraciones en pasos;
# * **warm-up elegido**: lo mismo, y alguien pensó en el warm-up: 20 pasos, no «la décima parte»;
# * **16 × encima**: la cura multiplicó por dieciséis la cifra de la pantalla. Aquí el run con el warm-up elegido
#   recibe el mismo aumento.

# %% id="four-more-runs"
plain = Recipe(config.replace(lr_multipliers=""))
attempts = {
    "published": ill,
    "cured": treated,
    "both-repaired": ramp(top, planned // 10 // k),
    "warm-up-chosen": ramp(top, 20),
    "16-on-top": ramp(16 * top, 20),
}
for name, schedule in attempts.items():
    if callable(schedule):
        attempts[name] = train(dataclasses.replace(plain, lr_at=schedule), runs / name, overwrite=True)
    print(f"{t(name):24} {last_loss(attempts[name]):6.2f}")

# %% id="order-of-the-runs" compare=true
order = sorted(attempts, key=lambda name: last_loss(attempts[name]))
print(" < ".join(t(name) for name in order))

# %% [markdown] id="what-the-order-says" lang="en"
# Read the list from its right end, the worst.
#
# * The repaired run learns *more* than the cured one, with a quarter of its `lr_max`. The embedding was missing a
#   factor of 30, and the cure gave it 16.
# * And yet even the repaired run has hardly begun. Its warm-up is a thousand steps because a tenth of 20 epochs is
#   a thousand steps. Nobody chose that number: it came out of a percentage. That is the third thing wrong, and it
#   is not a fault of the code.
# * With a warm-up chosen in steps, the same rate learns within 90 steps. Nobody raised anything. So here is a **warm-up
#   that hurts**: the ramp that protects some runs costs this one more, in these steps, than both faults together.
# * A second counter-example: what cured the broken run **harms** the one that is right. Compare the two on the left:
#   they have the same warm-up, and the one with the sixteenfold rate ends more than a nat higher. Whoever applies
#   the cure first and finds the bug later gets that run, and the repair will look like the culprit.
#
# ### Where do the 33 % come from?
#
# The guide says that at iteration 1,405 the run was “only 33% through warmup”. Here are the facts of the public
# code once more, and three ways to get a percentage out of them:

# %% [markdown] id="what-the-order-says" lang="es" of="fc7fa381ece9"
# Lee la lista desde la derecha, desde el peor.
#
# * El run reparado aprende *más* que el curado, con la cuarta parte de su `lr_max`. Al embedding le faltaba un
#   factor de 30, y la cura puso 16.
# * Y aun así, incluso el run reparado apenas ha arrancado. Su warm-up dura mil pasos porque la décima parte de 20
#   épocas son mil pasos. Ese número no lo eligió nadie: salió de un porcentaje. Es lo tercero que está mal, y no es
#   un fallo del código.
# * Con un warm-up elegido en pasos, el mismo learning rate aprende en 90 pasos. Nadie subió nada. Aquí tienes, pues, un
#   **warm-up que hace daño**: la rampa que protege a otros runs le cuesta a este, en esos pasos, más que los dos fallos
#   juntos.
# * Otro contraejemplo: lo que curó al run roto **daña** al que está bien. Compara los dos de la izquierda: tienen el
#   mismo warm-up, y el del learning rate dieciséis veces mayor termina más de un nat por encima. Quien aplica
#   primero la cura y encuentra después el error se queda con ese run, y la reparación va a parecer la culpable.
#
# ### ¿De dónde sale el 33 %?
#
# La guía dice que en la «iteration» 1,405 el run iba «solo por el 33 % del warm-up». Aquí están otra vez los
# datos del código público, y tres maneras de sacar de ellos un porcentaje:

# %% id="thirty-three-per-cent" compare=true
iteration, per_epoch, epochs = 1405, 42_496, 20
print(f"{iteration / (0.1 * per_epoch):.2%}   {t('as-shown')}")
print(f"{iteration // 3 / (0.1 * per_epoch * epochs):.2%}   {t('as-it-ran')}")
print(f"{iteration // 3 / (0.1 * per_epoch * epochs / 3):.2%}   {t('as-asked')}")

# %% [markdown] id="sixty-times" lang="en"
# The guide's figure takes a tenth of *one* epoch for a tenth of the run, and counts micro-batches as well. The
# scheduler had really done a sixtieth of that. Here is the calculation for each of the three groups:

# %% [markdown] id="sixty-times" lang="es" of="9949d737ff74"
# La cifra de la guía toma la décima parte de *una* época por la décima parte del run, y además cuenta micro-batches.
# El scheduler llevaba hecha, en realidad, la sesentava parte de eso. Esta es la cuenta de cada uno de los tres
# grupos:

# %% id="three-bills" compare=true
calls, warmup = iteration // 3, 0.1 * per_epoch * epochs
print(f"{'':14}{t('rate-used'):>12}{t('ramp'):>10}{t('unit'):>10}{t('group'):>10}")
for name, multiplier in {"memory": 0.1, "neuroscience": 0.5, "core": 1.0}.items():
    used = 5e-5 * calls / warmup * multiplier
    print(f"{name:14}{used:12.2e}{warmup / 3 / calls:10.1f}{3:10}{1 / multiplier:10.0f}")

# %% [markdown] id="who-paid" lang="en"
# The *ramp* was asked for, the *unit* is a fault, and the *group* factor is in the code but on no screen. So 1,818
# describes one group of three. The core was 182 times below its top, and of that factor, 61 was as planned.
#
# ### Ask the weights
#
# All of these figures were read off a schedule. There is one source that nobody can tell a wrong length: the
# weights. AdamW moves a weight by exactly
#
# $w_{t} - w_{t-1} = -\eta \left( \hat m / (\sqrt{\hat v} + \epsilon) + \lambda\, w_{t-1} \right)$
#
# and everything in it except $\eta$ can be read: the moments are in the optimizer's state, $\lambda$ and
# $\epsilon$ in the group. So a single step of any run gives away its rate. You will write that in exercise 2.
#
# ### Turn the knobs: the sum of the rates
#
# A one-layer GPT, trained again for 60 steps each time. On the left its loss against the step, on the right the
# same loss against the **sum of the rates** so far. In grey, the run with the starting values.
#
# 1. Leave lr_max at 0.001 and move the warm-up from 1 to 200. What happens on the left, and what on the right?
# 2. Now move lr_max from 0.0001 up to 0.01. How far do the curves on the right stay together?
# 3. What does the picture on the right say to somebody who, in the middle of a warm-up, divides “how far the loss
#    has fallen” by the number of steps?

# %% [markdown] id="who-paid" lang="es" of="0747f0663428"
# La *rampa* se pidió, la *unidad* es un fallo, y el factor del *grupo* está en el código pero en ninguna
# pantalla. Así que 1,818 describe a un grupo de tres. El núcleo (*core*) iba 182 veces por debajo de su tope,
# y de ese factor, 61 era lo previsto.
#
# ### Pregúntale a los pesos
#
# Todas estas cifras se leyeron de un schedule. Hay una fuente a la que nadie le puede decir una duración
# equivocada: los pesos. AdamW mueve un peso exactamente
#
# $w_{t} - w_{t-1} = -\eta \left( \hat m / (\sqrt{\hat v} + \epsilon) + \lambda\, w_{t-1} \right)$
#
# y de ahí se puede leer todo menos $\eta$: los momentos están en el estado del optimizador, y $\lambda$ y
# $\epsilon$, en el grupo. Un solo paso de cualquier run delata, entonces, su learning rate. Lo escribirás en
# el ejercicio 2.
#
# ### Gira las perillas: la suma de los learning rates
#
# Un GPT de una capa, que se entrena de nuevo 60 pasos cada vez. A la izquierda, su loss frente al paso; a la
# derecha, el mismo loss frente a la **suma de los learning rates** hasta ahí. En gris, el run con los valores
# iniciales.
#
# 1. Deja lr_max en 0.001 y mueve el warm-up de 1 a 200. ¿Qué pasa a la izquierda y qué a la derecha?
# 2. Ahora lleva lr_max de 0.0001 a 0.01. ¿Hasta dónde siguen juntas las curvas de la derecha?
# 3. ¿Qué le dice el dibujo de la derecha a quien, en pleno warm-up, divide «lo que bajó el loss» entre
#    los pasos?

# %% id="small-run"
small = plain.config.replace(
    n_layer=1, n_head=2, n_embd=32, context=32, batch_size=32, accumulation=1, steps=60
)
tokens = plain.load_data(small).train
seen = {}


def train_small(rates):
    torch.manual_seed(small.seed)
    model = plain.build_model(small)
    plain.init_weights(model, small)
    optimizer = plain.build_optimizer(model, small)
    losses = []
    for step, rate in enumerate(rates):
        batch = plain.get_batch(tokens, small, step)
        loss = plain.loss(model(batch.inputs), batch.targets, batch.mask)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), small.clip_norm)
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return losses


def small_run(warmup, lr_max):
    if (warmup, lr_max) not in seen:
        schedule = ramp(lr_max, warmup)
        rates = [schedule(step, small) for step in range(small.steps)]
        seen[warmup, lr_max] = rates, train_small(rates)
    return seen[warmup, lr_max]


# %% id="playground" folded=true
START = (20, 0.001)


def draw(figure, warmup, lr_max):
    left, right = figure.subplots(1, 2, sharey=True)
    for values, colour in ((START, "0.6"), ((warmup, lr_max), "#0072b2")):
        rates, losses = small_run(*values)
        left.plot(losses, color=colour, linewidth=1.3)
        right.plot(np.cumsum(rates), losses, color=colour, linewidth=1.3)
    for axes in (left, right):
        axes.axhline(math.log(small.vocab_size), color="black", linestyle="--", linewidth=1)
        axes.set_ylim(3.5, 6.5)
    left.set(xlabel=t("step"), ylabel=t("loss"))
    right.set(xlabel=t("sum-of-rates"), xscale="log", xlim=(1e-5, 0.6))


playground(
    draw,
    warmup=Slider(t("warm-up"), 1, 200, START[0]),
    lr_max=Slider("lr_max", 0.0001, 0.01, START[1], log=True),
)

# %% [markdown] id="play-answers" lang="en"
# <details><summary>What you should have found</summary>
#
# 1. On the left everything moves: with a long warm-up the loss hardly falls. On the right the curve gets shorter,
#    but it stays on the same line. A warm-up changes *when* the rate is spent, not what it buys.
# 2. They never part suddenly. Up to 0.002 you have to look closely; towards 0.01 the curve lies a little higher for
#    the same sum, because long steps waste part of what is spent.
# 3. At small rates, progress is measured by the sum of the rates, not by the number of steps. In a linear warm-up
#    that sum grows with the *square* of the steps. The guide's “60+ days” continues a straight line from the
#    slowest part of the ramp.
#
# So is a warm-up nothing but a delay? At small rates, yes. At a high one the first steps throw the weights about,
# because Adam's second moment has hardly seen a gradient yet. You turned that knob in lesson 18-02. The leaf for it
# is `warmup-missing`, question 8.3: there is no ramp, **and** that did harm: the loss rises half a nat above ln V
# within 20 steps, or the gradient norm reaches 100. A missing ramp that does no harm is no fault.
# </details>

# %% [markdown] id="play-answers" lang="es" of="3974bada8a7d"
# <details><summary>Lo que deberías haber encontrado</summary>
#
# 1. A la izquierda se mueve todo: con un warm-up largo, el loss apenas baja. A la derecha, la curva se acorta, pero
#    sigue sobre la misma línea. Un warm-up cambia *cuándo* se gasta el learning rate, no lo que se compra con él.
# 2. Nunca se separan de golpe. Hasta 0.002 hay que mirar de cerca; hacia 0.01, la curva queda un poco más arriba
#    con la misma suma, porque los pasos largos desperdician una parte de lo que se gasta.
# 3. Con valores pequeños, lo que mide el avance es la suma de los learning rates, no el número de pasos. En un
#    warm-up lineal, esa suma crece con el *cuadrado* de los pasos. Los «más de 60 días» de la guía prolongan una
#    recta desde la parte más lenta de la rampa.
#
# Entonces, ¿un warm-up no es más que un retraso? Con valores pequeños, sí. Con uno alto, los primeros pasos sacuden
# los pesos, porque el segundo momento de Adam apenas ha visto un gradiente. Ya giraste esa perilla en la lección
# 18-02. La hoja es `warmup-missing`, pregunta 8.3: falta la rampa **y** eso hizo daño: el loss sube medio nat por
# encima de ln V en los primeros 20 pasos, o la norma del gradiente llega a 100. Una rampa que falta y no le hace
# daño a nadie no es un fallo.
# </details>

# %% [markdown] id="range-text" lang="en"
# ### A figure from a paper, in miniature: one run for all rates
#
# So far the question was whether the rate that was asked for arrives. Was it a good one to ask for? Smith's *range
# test* (2015) finds out with a single short run: the rate goes up at every step, and one plots how well the model
# does against the rate. At first his network learns nothing; then its accuracy rises; and in the end it slows,
# becomes ragged or falls. Here is the same picture with the loss of our one-layer GPT, in 80 steps. (He raises the
# rate by equal amounts. We multiply it by the same factor each time, so as to see five powers of ten.)
#
# The dotted lines, from left to right: what the screen showed in the last of the 90 steps, the `lr_max` that was
# asked for, and sixteen times that. **At which of the three does the loss fall?**

# %% [markdown] id="range-text" lang="es" of="1d26ab212aa9"
# ### Una figura de un artículo, en pequeño: un solo run para todos los learning rates
#
# Hasta aquí la pregunta era si llega el learning rate que se pidió. ¿Y era bueno el que se pidió? La *prueba de
# rango* de Smith (2015) lo averigua con un solo run corto: el learning rate sube en cada paso, y se dibuja qué tan
# bien le va al modelo con cada uno. Al principio su red no aprende nada; después su exactitud sube; y al final se
# frena, se vuelve irregular o cae. Aquí está la misma figura con el loss de nuestro GPT de una capa, en 80 pasos.
# (Él sube el learning rate siempre en la misma cantidad. Nosotros lo multiplicamos cada vez por el mismo factor,
# para ver cinco potencias de diez).
#
# Las líneas punteadas, de izquierda a derecha: lo que mostró la pantalla en el último de los 90 pasos, el `lr_max`
# que se había pedido y dieciséis veces ese valor. **¿En cuál de los tres baja el loss?**

# %% id="range-test"
tried_rates = np.geomspace(3e-6, 1, 80)
tried = np.convolve(train_small(tried_rates), np.ones(3) / 3, "valid")
marks = {"screen": ill.metrics[-1]["lr"]["decay:wte"], "asked-for": top, "16-on-top": 16 * top}

figure = Figure(figsize=(6, 2.4), layout="constrained")
axes = figure.subplots()
axes.plot(tried_rates[1:-1], tried, color="#0072b2")
axes.axhline(math.log(small.vocab_size), color="black", linestyle="--", linewidth=1)
for name, rate in marks.items():
    axes.axvline(rate, color="#d55e00", linestyle=":")
    axes.text(rate, 4.6, f" {t(name)}", fontsize=8)
axes.set(xscale="log", xlabel=t("rate"), ylabel=t("loss"), ylim=(4.5, 6.5))
Picture().show(figure, t("range-alt"))

# %% id="range-told" compare=true
for name, rate in marks.items():
    near = tried[(tried_rates[1:-1] > rate / 3) & (tried_rates[1:-1] < 3 * rate)]
    print(f"{t(name):16}{rate:8.1e}   {t('it-falls') if near[0] - near[-1] > 0.4 else t('it-does-not')}")

# %% [markdown] id="range-said" lang="en"
# The same three parts as in the paper. The figure on the screen lies where nothing is learnt, the rate that was
# asked for on the slope, and sixteen times as much where the slope is over. So nothing was wrong with what was
# asked for. And yet this test would *not* have found the fault: it sets the rate itself, and goes round the schedule
# and the multipliers that changed it on the way. It tells you what to ask for. Whether you get it, only the weights
# can tell.

# %% [markdown] id="range-said" lang="es" of="08c926a90f53"
# Las mismas tres partes que en el artículo. El valor de la pantalla está donde no se aprende nada; el que se pidió,
# en la bajada; y dieciséis veces más, donde la bajada ya terminó. Así que lo que se pidió estaba bien. Y sin embargo
# esta prueba *no* habría encontrado el fallo: ella misma pone el learning rate, y así esquiva el schedule y los
# multiplicadores que lo cambiaban por el camino. Te dice qué pedir. Si de verdad lo recibes, solo te lo pueden
# decir los pesos.

# %% [markdown] id="fix" lang="en"
# ## 5 · Fix
#
# Three exercises. Each check below an exercise is one small question; a failing one tells you what it thinks
# went wrong.
#
# ### Exercise 1 · A bug in code that looks right
#
# > Difficulty ●●○○○ · Importance ●●●●○ · 10 minutes
#
# Code like this gives the 33 %:
#
# ```python
# def warmup_share(iteration, batches_per_epoch, epochs, accumulation, share, told_in):
#     warmup = share * batches_per_epoch
#     return iteration / warmup
# ```
#
# Repair it. It should return the part of its warm-up that the *scheduler* has done, between 0 and 1. `iteration`
# counts micro-batches. The scheduler is called once for every `accumulation` of them, and not before a step is
# complete. The warm-up is the part `share` of all `epochs` together. `told_in` says in which unit the scheduler was
# told the length of its warm-up: `"micro-batches"`, or `"steps"` (optimizer steps).
#
# <details><summary>Hint</summary>
#
# Two numbers, each in its own line: how often the scheduler was called, and how many calls its warm-up takes.
# </details>

# %% [markdown] id="fix" lang="es" of="0100c0705211"
# ## 5 · Arregla
#
# Tres ejercicios. Cada comprobación de un ejercicio es una pregunta pequeña; la que falla te dice qué cree
# que salió mal.
#
# ### Ejercicio 1 · Un error en código que parece correcto
#
# > Dificultad ●●○○○ · Importancia ●●●●○ · 10 minutos
#
# Con un código así sale el 33 %:
#
# ```python
# def warmup_share(iteration, batches_per_epoch, epochs, accumulation, share, told_in):
#     warmup = share * batches_per_epoch
#     return iteration / warmup
# ```
#
# Arréglalo. La función debe devolver la parte de su warm-up que lleva hecha el *scheduler*, entre 0 y 1.
# `iteration` cuenta micro-batches. Al scheduler se le llama una vez por cada `accumulation` de ellos, y no antes de
# que el paso esté completo. El warm-up es la parte `share` del total de las `epochs` épocas. `told_in` dice en qué
# unidad se le dijo al scheduler la duración de su warm-up: `"micro-batches"`, o `"steps"` (pasos del optimizador).
#
# <details><summary>Pista</summary>
#
# Dos números, cada uno en su línea: cuántas veces se llamó al scheduler y cuántas llamadas dura su warm-up.
# </details>


# %% solution="warmup-share"
def warmup_share(iteration, batches_per_epoch, epochs, accumulation, share, told_in):
    ### BEGIN SOLUTION
    calls = iteration // accumulation
    warmup = share * batches_per_epoch * epochs
    if told_in == "steps":
        warmup = warmup / accumulation
    return min(calls / warmup, 1.0)
    ### END SOLUTION


# %% check="warmup-share/epochs" points=1
check("warmup-share/epochs", warmup_share)

# %% check="warmup-share/calls" points=1
check("warmup-share/calls", warmup_share)

# %% check="warmup-share/unit" points=1
check("warmup-share/unit", warmup_share)

# %% check="warmup-share/done" points=1
check("warmup-share/done", warmup_share)

# %% [markdown] id="task-effective" lang="en"
# ### Exercise 2 · The rate that the weights saw
#
# > Difficulty ●●●●○ · Importance ●●●●● · 20 minutes
#
# Write `effective_lr(before, after, state, group)`: the learning rate of the step that took one weight tensor from
# `before` to `after`. `state` is the optimizer's state for it *after* that step, with `step` (1 after the first),
# `exp_avg` (m) and `exp_avg_sq` (v). `group` is its parameter group, with `betas`, `eps` and `weight_decay`.
# `group["lr"]` holds whatever the scheduler has written there since; that is what you want to check, so do not use
# it.
#
# Put together the direction, $\hat m / (\sqrt{\hat v} + \epsilon) + \lambda\, w_{t-1}$, with $\hat m = m / (1 -
# \beta_1^t)$ and $\hat v = v / (1 - \beta_2^t)$. Then find the one number η for which $\Delta$ = `before - after` is
# η times that direction $d$: the least-squares answer is $\frac{\Delta \cdot d}{d \cdot d}$. Return a number; for a
# weight that did not move, 0.
#
# <details><summary>Hint: why not divide element by element?</summary>
#
# You may, but where the direction is near 0 you divide a rounding error by nearly nothing. The quotient of the two
# sums, or a median, is not disturbed by that.
# </details>

# %% [markdown] id="task-effective" lang="es" of="915d39d7972e"
# ### Ejercicio 2 · El learning rate que vieron los pesos
#
# > Dificultad ●●●●○ · Importancia ●●●●● · 20 minutos
#
# Escribe `effective_lr(before, after, state, group)`: el learning rate del paso que llevó un tensor de pesos
# de `before` a `after`. `state` es su estado en el optimizador *después* de ese paso, con `step` (1 después
# del primero), `exp_avg` (m) y `exp_avg_sq` (v). `group` es su grupo de parámetros, con `betas`, `eps` y
# `weight_decay`. En `group["lr"]` está lo que el scheduler haya escrito ahí desde entonces; eso es lo que
# quieres comprobar, así que no lo uses.
#
# Arma la dirección, $\hat m / (\sqrt{\hat v} + \epsilon) + \lambda\, w_{t-1}$, con $\hat m = m / (1 - \beta_1^t)$ y
# $\hat v = v / (1 - \beta_2^t)$. Después busca el único número η con el que $\Delta$ = `before - after` es η veces
# esa dirección $d$: la respuesta de mínimos cuadrados es $\frac{\Delta \cdot d}{d \cdot d}$. Devuelve un número; para
# un peso que no se movió, 0.
#
# <details><summary>Pista: ¿por qué no dividir elemento a elemento?</summary>
#
# Se puede, pero donde la dirección es casi 0 divides un error de redondeo entre casi nada. Al cociente de las dos
# sumas, o a una mediana, eso no le afecta.
# </details>


# %% solution="effective-lr"
def effective_lr(before, after, state, group):
    ### BEGIN SOLUTION
    (beta1, beta2), t = group["betas"], int(state["step"])
    m_hat = state["exp_avg"] / (1 - beta1**t)
    v_hat = state["exp_avg_sq"] / (1 - beta2**t)
    direction = m_hat / (v_hat.sqrt() + group["eps"]) + group["weight_decay"] * before
    moved = before - after
    if not moved.any():
        return 0.0
    return ((moved * direction).sum() / (direction * direction).sum()).item()
    ### END SOLUTION


# %% check="effective-lr/first" points=1
check("effective-lr/first", effective_lr)

# %% check="effective-lr/later" points=2
check("effective-lr/later", effective_lr)

# %% check="effective-lr/decay" points=1
check("effective-lr/decay", effective_lr)

# %% check="effective-lr/still" points=1
check("effective-lr/still", effective_lr)

# %% [markdown] id="task-target" lang="en"
# ### Exercise 3 · When will it get there?
#
# > Difficulty ●●●○○ · Importance ●●●●○ · 15 minutes
#
# Write `steps_to_target(losses, rates, target)`. `losses` are those of the first n steps; `rates` are the learning
# rates of *all* the steps that are planned, N ≥ n. Assume what the playground showed: the loss falls in proportion
# to the sum of the rates. The loss of step t is measured before that step's update, so only the rates of the steps
# 0 to t − 1 have gone into it.
#
# * Fit a straight line to the losses seen, against that sum. Use all of them: a single loss is noisy.
# * Return the first step, counted from 0, whose loss on that line is at or below `target`; `None` if no
#   planned step gets there.
#
# <details><summary>Hint: the sums</summary>
#
# `np.cumsum(rates)` holds, at t, the rates 0 to t. You need 0 to t − 1, which is 0 for step 0.
# </details>
# <details><summary>Hint: the line</summary>
#
# `np.polyfit(x, y, 1)` gives slope and height at x = 0.
# </details>

# %% [markdown] id="task-target" lang="es" of="6d1e7c9bb1cc"
# ### Ejercicio 3 · ¿Cuándo va a llegar?
#
# > Dificultad ●●●○○ · Importancia ●●●●○ · 15 minutos
#
# Escribe `steps_to_target(losses, rates, target)`. `losses` son los de los primeros n pasos; `rates` son los
# learning rates de *todos* los pasos previstos, N ≥ n. Supón lo que mostraron las perillas: el loss baja en
# proporción a la suma de los learning rates. El loss del paso t se mide antes de la actualización de ese paso, así
# que solo cuentan para él los valores de los pasos 0 a t − 1.
#
# * Ajusta una recta a los losses vistos, frente a esa suma. Usa todos: un loss suelto tiene ruido.
# * Devuelve el primer paso, contado desde 0, cuyo loss en esa recta es `target` o menos; `None` si no llega
#   ninguno de los previstos.
#
# <details><summary>Pista: las sumas</summary>
#
# `np.cumsum(rates)` tiene, en t, los valores 0 a t. Necesitas de 0 a t − 1, que para el paso 0 es 0.
# </details>
# <details><summary>Pista: la recta</summary>
#
# `np.polyfit(x, y, 1)` da la pendiente y la altura en x = 0.
# </details>


# %% solution="steps-to-target"
def steps_to_target(losses, rates, target):
    ### BEGIN SOLUTION
    paid = np.cumsum(rates) - rates
    slope, start = np.polyfit(paid[: len(losses)], losses, 1)
    reached = np.flatnonzero(start + slope * paid <= target)
    return int(reached[0]) if len(reached) else None
    ### END SOLUTION


# %% check="steps-to-target/constant" points=1
check("steps-to-target/constant", steps_to_target)

# %% check="steps-to-target/warm-up" points=2
check("steps-to-target/warm-up", steps_to_target)

# %% check="steps-to-target/noise" points=1
check("steps-to-target/noise", steps_to_target)

# %% check="steps-to-target/never" points=1
check("steps-to-target/never", steps_to_target)

# %% [markdown] id="verify" lang="en"
# ## 6 · Verify
#
# First, the weights. Five steps of the broken run, with PyTorch's optimizer; then the scheduler moves on, as it
# does in most loops, before anybody prints anything. On the left, what is in the group. On the right, what the
# weights saw in the last step, by your function. At which step of the ramp is each of them?

# %% [markdown] id="verify" lang="es" of="a0728684b013"
# ## 6 · Comprueba
#
# Primero, los pesos. Cinco pasos del run roto, con el optimizador de PyTorch; después el scheduler avanza, como en
# casi todos los bucles, antes de que nadie imprima nada. A la izquierda, lo que está en el grupo. A la derecha, lo
# que vieron los pesos en el último paso, según tu función. ¿En qué paso de la rampa está cada uno?

# %% id="ask-the-weights" compare=true
torch.manual_seed(config.seed)
model = published.build_model(config)
published.init_weights(model, config)
optimizer = published.build_optimizer(model, config)
first = {group["name"]: group["params"][0] for group in optimizer.param_groups}
data = published.load_data(config)


def set_rates(step):
    for group in optimizer.param_groups:
        group["lr"] = published.lr_at(step, config) * group["lr_multiplier"]


for step in range(5):
    set_rates(step)
    before = {name: weight.detach().clone() for name, weight in first.items()}
    batch = published.get_batch(data.train, config, step)
    published.loss(model(batch.inputs), batch.targets, batch.mask).backward()
    optimizer.step()
    optimizer.zero_grad()
set_rates(5)
print(f"{'':16}{t('in-the-group'):>18}{t('seen-by-weights'):>22}")
for group in optimizer.param_groups:
    weight = first[group["name"]]
    rate = effective_lr(before[group["name"]], weight.detach(), optimizer.state[weight], group)
    print(f"{group['name']:16}{group['lr']:18.1e}{rate:22.1e}")

# %% [markdown] id="one-late" lang="en"
# The group is one step ahead of the weights: five steps were taken, at the rates of the ramp's steps 1 to 5, and the
# group already holds the sixth. At this point of the warm-up that is a difference of a fifth, and every screen that
# prints after `scheduler.step()` has it. The weights also know every factor between the groups.
#
# Now the estimate. From the first 40 steps of “both repaired” alone: when will the loss be down to 5.8? On the left
# is the straight line that the guide drew, in the middle yours, on the right what the run did.

# %% [markdown] id="one-late" lang="es" of="879dc30d4b79"
# El grupo va un paso por delante de los pesos: se dieron cinco pasos, con los valores 1 a 5 de la rampa, y en
# el grupo ya está el sexto. En este punto del warm-up eso es una diferencia de un quinto, y la tiene toda pantalla que
# imprime después de `scheduler.step()`. Y los pesos conocen también cada factor entre los grupos.
#
# Ahora, el cálculo. Solo con los primeros 40 pasos de «ambos reparados»: ¿cuándo habrá bajado el loss a 5.8?
# A la izquierda, la recta que trazó la guía; en el centro, la tuya; a la derecha, lo que hizo el run.

# %% id="when"
both = attempts["both-repaired"]
losses = np.array([record["loss"] for record in both.metrics])
rates = np.array([top * (step + 1) / (planned // 10 // k) for step in range(400)])
smooth = np.convolve(losses, np.ones(5) / 5, "valid")
guide = steps_to_target(losses[:40], np.ones(400), 5.8)
mine = steps_to_target(losses[:40], rates, 5.8)
really = int(np.flatnonzero(smooth <= 5.8)[0]) + 2
print(f"{t('straight-line')}: {guide}   {t('by-rates')}: {mine}   {t('really')}: {really}")

# %% id="which-is-nearer" compare=true
print(f"{t('mine-is-nearer')}: {t(str(abs(mine - really) < abs(guide - really)))}")

# %% id="curves" folded=true
figure = Figure(figsize=(7.2, 2.6), layout="constrained")
left, right = figure.subplots(1, 2, sharey=True)
for name, run in attempts.items():
    values = np.convolve([record["loss"] for record in run.metrics], np.ones(5) / 5, "valid")
    paid = np.cumsum([record["lr"]["decay"] for record in run.metrics])[4:]
    left.plot(values, label=t(name), linewidth=1.3)
    right.plot(paid, values, linewidth=1.3)
left.set(xlabel=t("step"), ylabel=t("loss"))
right.set(xlabel=t("sum-of-rates"), xscale="log")
left.legend(fontsize=7)
Picture().show(figure, t("curves-alt"))

# %% [markdown] id="walk-text" lang="en"
# And the tree? Question 2.1 compares the rate of each group with the schedule that was asked for. These runs have
# theirs from a function, so tell the tree what was asked for, with all lengths in steps.

# %% [markdown] id="walk-text" lang="es" of="190585af89cd"
# ¿Y el árbol? La pregunta 2.1 compara el learning rate de cada grupo con el schedule que se pidió. Estos runs lo
# reciben de una función, así que dile al árbol qué se pidió, con todas las duraciones en pasos.

# %% id="walk"
asked_for = {
    "published": (top, planned // 10 // k),
    "cured": (4 * top, planned // 2 // 20 // k),
    "both-repaired": (top, planned // 10 // k),
    "warm-up-chosen": (top, 20),
    "16-on-top": (16 * top, 20),
}
as_asked, walks = [question for question in diagnosis.QUESTIONS if question.id == "2.1"], {}
for name, (highest, length) in asked_for.items():
    evidence = diagnosis.evidence_of(attempts[name].path)
    declared = evidence.config.replace(steps=planned // k, lr_max=highest, warmup_steps=length)
    walks[name] = diagnosis.walk(dataclasses.replace(evidence, config=declared), as_asked)
show(walks["cured"], Console(width=88))

# %% id="walk-leaves" compare=true
for name, walk in walks.items():
    print(f"{t(name):24} {walk.leaf or t('no-fault')}")

# %% [markdown] id="explain" lang="en"
# The cured run still has the fault of the broken one. And the last run has none: it got exactly what was asked for.
# Whether anybody should have asked for it, no schedule can tell.
#
# ## 7 · Explain
#
# The guide closes with: *“Your learning rate was effectively 1,818x too small due to parameter group scaling and
# warmup. The new scripts fix this!”* The new scripts ask for 1e-4 to 5e-4, and the schedule still counts in
# micro-batches.
#
# Answer in four to eight sentences. (1) Which part of the 1,818 is a fault, which was asked for, and for
# which group does the number hold? (2) The loss does fall faster with the new scripts. Why does that prove
# neither the diagnosis nor the repair? Use an experiment of this lesson. (3) Name one thing that nobody can
# know from the published record. (One point each.)

# %% [markdown] id="explain" lang="es" of="14521242bc97"
# El run curado todavía tiene el fallo del roto. Y el último run no tiene ninguno: recibió exactamente lo que se
# pidió. Si convenía pedirlo, no lo puede decir ningún schedule.
#
# ## 7 · Explica
#
# La guía termina así: *«En la práctica, tu learning rate era 1,818 veces más pequeño de lo debido por la escala de
# los grupos de parámetros y el warm-up. ¡Los nuevos scripts lo arreglan!»*. Los nuevos scripts piden de 1e-4
# a 5e-4, y el schedule sigue contando micro-batches.
#
# Responde en entre cuatro y ocho oraciones. (1) ¿Qué parte del 1,818 es un fallo, qué parte se pidió y para qué
# grupo vale el número? (2) Con los nuevos scripts, el loss sí baja más rápido. ¿Por qué eso no demuestra ni
# el diagnóstico ni la reparación? Usa un experimento de esta lección. (3) Nombra una cosa que nadie puede
# saber a partir de lo publicado. (Un punto por cada parte).

# %% [markdown] answer="read-the-guide-again" points=3 lang="en"
# (1) 1,818 holds for the memory group alone: 61 of ramp, which was asked for, times 3 for lengths counted in
# micro-batches, times 10 for the group's multiplier; the core was 182 below. Of these only the 3 is plainly a
# fault; the 10 stands in the code, but nobody was shown it. (2) Any higher rate makes a run at the foot of a
# ramp fall faster, so a faster fall is what both a right and a wrong diagnosis predict. Here the cured run
# fell faster than the published one, and yet the run with both faults repaired and the *old* lr_max did
# better still; and the cure's sixteenfold rate harms the run once it is repaired. (3) Unknown: which rate
# those groups needed, whether the model would have learnt with the schedule as it was after 28,331 steps, or
# whether the multipliers were meant.
#
# ---
# **Rubric.** One point each. (1) Ramp 61 asked for, unit 3 a fault, group 10, and that the number holds for
# one group. (2) Says that a higher rate lowers the loss whatever the cause, **and** names a run of this
# lesson that tells the two apart (both repaired, or 16 × on top). “It was only short” alone does not count.
# (3) Something that the record indeed does not tell: the right rates, whether multipliers were intended, what
# the run would have done later, speed-ups promised without a run. Not: the cause of the 3.

# %% [markdown] answer="read-the-guide-again" points=3 lang="es" of="db9284fea24c"
# (1) 1,818 vale solo para el grupo *memory*: 61 de rampa, que se pidió, por 3 de duraciones contadas en
# micro-batches, por 10 del multiplicador del grupo; el núcleo iba 182 veces por debajo. De esos factores, solo
# el 3 es un fallo sin discusión; el 10 está en el código, pero nadie lo veía. (2) Al pie de una rampa,
# cualquier valor más alto hace que el loss baje más rápido, así que bajar más rápido es lo que predicen tanto
# el diagnóstico correcto como el equivocado. Aquí, el run curado bajó más rápido que el publicado y, sin
# embargo, el run con los dos fallos reparados y el lr_max *de antes* llegó todavía más abajo; y el aumento
# por dieciséis daña al run una vez reparado. (3) No se sabe qué learning rate necesitaban esos grupos, si el
# modelo habría aprendido con aquel schedule después de 28,331 pasos ni si los multiplicadores se pusieron a
# propósito.
#
# ---
# **Rúbrica.** Un punto por cada parte. (1) Rampa 61, pedida; unidad 3, un fallo; grupo 10; y que el número
# vale para un solo grupo. (2) Dice que un valor más alto baja el loss sea cual sea la causa **y** nombra un
# run de esta lección que distingue los dos casos (ambos reparados, o 16 × encima). «Fueron pocos pasos» por
# sí solo no cuenta. (3) Algo que de verdad no consta: los valores correctos, si los multiplicadores se
# pusieron a propósito, qué habría hecho el run más tarde, las aceleraciones prometidas sin ningún run. No
# cuenta la causa del 3.

# %% [markdown] id="card" lang="en"
# ## 8 · A card to keep
#
# | symptom | measure | threshold | first action |
# |---|---|---|---|
# | loss stays at ln V, no NaN | rate of **every** group ÷ lr_max, at a step where you know what it should be | 1 after the warm-up | find the factor: ramp, unit, group |
# | the schedule looks right | `effective_lr` from one step's weights | equals the rate asked for to 1 % | find what writes `group["lr"]`, and when |
# | “x % of warm-up” on a screen | calls of the scheduler ÷ its length, both in steps | – | divide every length by `accumulation` |
# | “days to go” from a straight line | loss against the sum of the rates | – | `steps_to_target` with the planned rates |
# | a higher rate helps | the same rate with the faults repaired | – | repair first, raise later |
#
# Leaves: `schedule-step-unit`, `lr-group-scale`. The next lesson, 19-06, has a plateau that no rate cures.

# %% [markdown] id="card" lang="es" of="d1e33582bee3"
# ## 8 · Una tarjeta para guardar
#
# | síntoma | medida | umbral | primera acción |
# |---|---|---|---|
# | el loss se queda en ln V, sin NaN | valor de **cada** grupo ÷ lr_max, en un paso donde sepas cuánto debe valer | 1 después del warm-up | busca el factor: rampa, unidad, grupo |
# | el schedule parece correcto | `effective_lr` con los pesos de un solo paso | es el que se pidió, con 1 % de margen | busca qué escribe `group["lr"]`, y cuándo |
# | «x % del warm-up» en una pantalla | llamadas al scheduler ÷ su duración, ambas en pasos | – | divide toda duración entre `accumulation` |
# | «faltan tantos días» según una recta | loss frente a la suma de los learning rates | – | `steps_to_target` con los valores previstos |
# | un valor más alto ayuda | el mismo valor con los fallos reparados | – | primero repara, después sube |
#
# Hojas: `schedule-step-unit`, `lr-group-scale`. La próxima lección, 19-06, tiene una meseta que ningún
# learning rate cura.

# %% [markdown] id="own-run" lang="en"
# ## 9 · On your own run
#
# Somebody else's loop: PyTorch's own scheduler was told its length in micro-batches, and is called once for every
# three of them. The monitor needs the rate that you *asked* for, written down by hand, in steps.

# %% [markdown] id="own-run" lang="es" of="6bfc9d1042d7"
# ## 9 · En tu propio run
#
# Un bucle que no es nuestro: al scheduler de PyTorch se le dijo la duración en micro-batches, y se le llama una vez
# por cada tres. Al monitor hay que darle el learning rate que *pediste*, escrito a mano, en pasos.

# %% id="own-loop" compare=true
shutil.rmtree(runs / "own", ignore_errors=True)
own = nn.Sequential(nn.Embedding(512, 32), nn.Linear(32, 512))
adam = torch.optim.AdamW(own.parameters(), lr=3e-3)
scheduler = torch.optim.lr_scheduler.LambdaLR(adam, lambda call: min((call + 1) / 18, 1))


def asked_for(step):
    return 3e-3 * min((step + 1) / 6, 1)


with Monitor(own, adam, vocab_size=512, run_dir=runs / "own", schedule=asked_for) as monitor:
    for step in range(60):
        for micro in range(3):
            batch = plain.get_batch(data.train, small, step, micro)
            loss = nn.functional.cross_entropy(own(batch.inputs).flatten(0, 1), batch.targets.flatten())
            (loss / 3).backward()
        adam.step()
        scheduler.step()
        adam.zero_grad()
        monitor.step(loss)
    print(monitor.check().leaf)

# %% [markdown] id="sources" lang="en"
# ## 10 · Where this comes from
#
# * The guide: [`LEARNING_RATE_FIX.md` of
#   comsa33/brain-inspired-gpt](https://github.com/comsa33/brain-inspired-gpt/blob/main/docs/guides/LEARNING_RATE_FIX.md).
#   Its figures are quoted here; its table of speed-ups (30, 75 and 150 times) has no run behind it.
# * [“Scheduler always steps when training with gradient
#   accumulation”](https://github.com/huggingface/accelerate/issues/963), Hugging Face accelerate, 2023: the same two
#   units, in a library that thousands use.
# * Loshchilov & Hutter, [Decoupled Weight Decay Regularization](https://arxiv.org/abs/1711.05101): the formula
#   of exercise 2.
# * Smith, [Cyclical Learning Rates](https://arxiv.org/abs/1506.01186), section 3.3: the range test. On your own
#   config: `minigpt lr-find`.
#
# **A true story.** In January 2023 accelerate's issue 963 reported that, with accumulated gradients, the scheduler
# moved at every micro-batch; it was labelled a *bug*. One participant did the sums for 100 batches, 10 epochs and 4
# accumulated. A scheduler that is told 1,000 steps with a warm-up of 100, and is moved four times as often, gives
# the same rates as one that is told 250 with a warm-up of 25. Another found that approach “completely incorrect”.
# Both had a point: a length is right or wrong only *together with* how often the scheduler is moved, and whoever
# reads one file alone cannot see both.
#
# **A hard bonus task.** `effective_lr` needs the moments. Write a version that needs nothing but three successive
# copies of a weight and the two gradients between them, for plain SGD with momentum. Can you tell the rate and the
# momentum apart, and from how many steps?
#
# <details><summary>Hint</summary>
#
# Write down two moves in a row. The second holds the first, times the momentum.
# </details>
#
# <details><summary>Show one solution</summary>
#
# ```python
# def rate_and_momentum(copies, gradients):
#     first, second = copies[1] - copies[0], copies[2] - copies[1]
#     sides = torch.stack([first.flatten(), -gradients[1].flatten()], dim=1)
#     momentum, rate = torch.linalg.lstsq(sides, second.flatten()[:, None]).solution.flatten().tolist()
#     return rate, momentum
# ```
#
# The second move is momentum · the first move − rate · the second gradient: one equation for each weight, and two
# unknowns. So three copies tell both, if there are at least two weights and the first move does not happen to point
# along the second gradient. One weight alone cannot tell them apart.
# </details>

# %% [markdown] id="sources" lang="es" of="820141db5105"
# ## 10 · De dónde viene esto
#
# * La guía: [`LEARNING_RATE_FIX.md` de
#   comsa33/brain-inspired-gpt](https://github.com/comsa33/brain-inspired-gpt/blob/main/docs/guides/LEARNING_RATE_FIX.md).
#   Aquí se citan sus cifras; su tabla de aceleraciones (30, 75 y 150 veces) no tiene detrás ningún run.
# * El [issue 963 de accelerate](https://github.com/huggingface/accelerate/issues/963), de Hugging Face, 2023: las mismas dos unidades, en una biblioteca que usan miles de personas.
# * Loshchilov y Hutter, [Decoupled Weight Decay Regularization](https://arxiv.org/abs/1711.05101): la fórmula
#   del ejercicio 2.
# * Smith, [Cyclical Learning Rates](https://arxiv.org/abs/1506.01186), sección 3.3: la prueba de rango. Con tu
#   propia configuración: `minigpt lr-find`.
#
# **Una historia real.** En enero de 2023, el issue 963 de accelerate reportó que, al acumular gradientes, el
# scheduler avanzaba en cada micro-batch; le pusieron la etiqueta *bug*. Un participante hizo la cuenta con 100
# batches, 10 épocas y 4 acumulados. Un scheduler al que se le dicen 1,000 pasos con un warm-up de 100, y que avanza
# cuatro veces más seguido, da los mismos valores que uno al que se le dicen 250 con un warm-up de 25. Otro opinó
# que ese enfoque era «completamente incorrecto». Los dos tenían algo de razón: una duración solo está bien o mal
# *junto con* la frecuencia con que avanza el scheduler, y quien lee un solo archivo no puede ver las dos cosas.
#
# **Un reto extra, difícil.** `effective_lr` necesita los momentos. Escribe una versión que solo necesite tres
# copias sucesivas de un peso y los dos gradientes intermedios, para SGD con momentum. ¿Puedes distinguir el
# learning rate del momentum, y con cuántos pasos?
#
# <details><summary>Pista</summary>
#
# Escribe dos movimientos seguidos. El segundo contiene el primero, multiplicado por el momentum.
# </details>
#
# <details><summary>Mostrar una solución</summary>
#
# ```python
# def rate_and_momentum(copies, gradients):
#     first, second = copies[1] - copies[0], copies[2] - copies[1]
#     sides = torch.stack([first.flatten(), -gradients[1].flatten()], dim=1)
#     momentum, rate = torch.linalg.lstsq(sides, second.flatten()[:, None]).solution.flatten().tolist()
#     return rate, momentum
# ```
#
# El segundo movimiento es momentum · el primero − learning rate · el segundo gradiente: una ecuación por cada peso y
# dos incógnitas. Así que tres copias revelan los dos, si hay al menos dos pesos y el primer movimiento no apunta, por
# casualidad, en la dirección del segundo gradiente. Un solo peso no los distingue.
# </details>
