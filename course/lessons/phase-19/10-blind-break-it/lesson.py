"""Lesson 19-10: six runs that broke while they went, drawn by name; charts, repairs and one post-mortem."""

# %% [markdown] id="why" lang="en"
# The configuration looks right. The first hundred steps look good. Then something happens, or seems to: somebody
# points at a spike, somebody says that the memory “does not do anything”, and somebody is sure that it is the data.
# You have a folder with a manifest, a log and some measurements.
#
# Here are six runs, drawn for you alone from your name. Four of them have faults from the dynamics tree, that of this
# phase: three have one each, and the fourth has two. One has a fault of Phase 18, because a run that breaks late may
# have been wrong from its first step. **And one is healthy.** You will
#
# * walk both trees and write a chart for each run: diagnosis, evidence, repair;
# * tell a repair from a remedy that only silences the alarm;
# * have every repaired run trained again and walked again;
# * write the post-mortem of one of them, by a template that you can take with you.
#
# Run the cells in order with **Shift + Enter**.

# %% [markdown] id="why" lang="es" of="af826fae9455"
# La configuración parece correcta. Los primeros cien pasos se ven bien. Después pasa algo, o parece que pasa: alguien
# señala un pico, alguien dice que la memoria «no hace nada» y alguien está seguro de que son los datos. Tú tienes una
# carpeta con un manifest, un log y unas medidas.
#
# Aquí hay seis runs, elegidos al azar solo para ti, a partir de tu nombre. Cuatro tienen fallos del árbol de la
# dinámica, el de esta fase: tres tienen uno cada uno, y el cuarto, dos. Otro tiene un fallo de la fase 18, porque un
# run que se rompe tarde puede haber estado mal desde el primer paso. **Y uno está sano.** Vas a
#
# * recorrer los dos árboles y escribir una ficha de cada run: diagnóstico, evidencia, reparación;
# * distinguir una reparación de un remedio que solo apaga la alarma;
# * hacer que cada run reparado se entrene otra vez y que se recorra otra vez;
# * escribir el informe post mortem de uno de ellos, con una plantilla que te puedes llevar.
#
# Ejecuta las celdas en orden con **Shift + Enter**.

# %% id="setup" setup=true
import dataclasses
import math
import shutil
import textwrap
import time
from pathlib import Path

import matplotlib
import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from rich.console import Console

from course.bedside import Bedside
from course.notebook import check, lesson, t
from course.patients import LETTERS, ward
from course.picture import Picture
from course.predictions import compare, predict
from minigpt import Monitor, diagnosis, train
from minigpt.diagnosis.report import seen, show

lesson("19-10")
globals().setdefault("MY_NAME", ...)
runs = Path("experiments") / "19-10"
torch.set_num_threads(1)
matplotlib.rcParams["font.size"] = 9

# %% [markdown] id="name" lang="en"
# ## 1 · Six runs that may misbehave
#
# Write your name as it appears on your class list, in quotes: `MY_NAME = "Ada Lovelace"`. As in lesson 18-08, the
# same name always draws the same six patients, and charts drawn from a name other than yours on the list get no
# points. These six are not those of 18-08. (Florence Nightingale is the one name that is refused: the lesson treats
# one of her patients with you.)

# %% [markdown] id="name" lang="es" of="b31fde31883f"
# ## 1 · Seis runs que quizá se porten mal
#
# Escribe tu nombre como aparece en la lista de tu clase, entre comillas: `MY_NAME = "Ada Lovelace"`. Como en la
# lección 18-08, con el mismo nombre salen siempre los mismos seis pacientes, y las fichas que salen de un nombre
# distinto del tuyo en la lista no dan puntos. Estos seis no son los de la 18-08. (Solo se rechaza a Florence
# Nightingale: a uno de sus pacientes lo vas a tratar paso a paso en esta lección).

# %% solution="my-name"
### BEGIN SOLUTION
MY_NAME = "Emmy Noether"
### END SOLUTION

# %% check="my-name/text" points=1
check("my-name/text", MY_NAME)

# %% check="my-name/given" points=1
check("my-name/given", MY_NAME)

# %% check="my-name/own" points=1
check("my-name/own", MY_NAME)

# %% [markdown] id="rounds" lang="en"
# Every patient is a small mini-GPT with two layers of width 32. There are three kinds: a plain one, one with a
# memory beside the attention, regulated by homeostasis, and one that trains in fp16. The kind is not a hint: the
# healthy run may be of any of them. Train all six.

# %% [markdown] id="rounds" lang="es" of="b355e5215717"
# Cada paciente es un mini-GPT pequeño, con dos capas de ancho 32. Los hay de tres tipos: uno simple, uno con memoria
# junto a la atención, regulada por homeostasis, y uno que se entrena en fp16. El tipo no es una pista: el run sano
# puede ser de cualquiera de los tres. Entrena a los seis.

# %% id="train-the-ward"
patients = ward(MY_NAME, "19-10")
started, trained = time.monotonic(), {}
for letter, patient in patients.items():
    trained[letter] = patient.train(runs / letter)
    print(letter, end=" ", flush=True)
print(t("in-time", seconds=time.monotonic() - started))

# %% id="asked-for" compare=true
chance = math.log(patients["A"].config.vocab_size)
settings = ("mixer", "precision", "steps", "warmup_steps", "lr_max", "lr_min", "loss_scale")
print("   ", *(f"{name:>12}" for name in settings))
for letter, patient in patients.items():
    print(f"{letter}   ", *(f"{getattr(patient.config, name)!s:>12}" for name in settings))

# %% [markdown] id="predict" lang="en"
# ## 2 · Predict
#
# Five of the six are broken. **How many of the six learn**, so that the last loss is at least half a nat below the
# first? **And in how many does the loss leap**, by more than one nat above the median of the 16 losses before it?

# %% [markdown] id="predict" lang="es" of="9cd90729065c"
# ## 2 · Predice
#
# Cinco de los seis están rotos. **¿Cuántos de los seis aprenden**, es decir, terminan con un loss al menos medio nat
# por debajo del primero? **¿Y en cuántos da un salto el loss**, de más de un nat por encima de la mediana de los 16
# losses anteriores?

# %% id="my-prediction"
predict("curves", learning=..., leaping=...)

# %% [markdown] id="look" lang="en"
# ## 3 · Look at them
#
# Above, the loss, with ln V as a dashed line; below, the gradient norm, and in grey the norms that section 3 of the
# configuration tree calls healthy.

# %% [markdown] id="look" lang="es" of="58af3e4f782c"
# ## 3 · Míralos
#
# Arriba, el loss, con ln V como línea discontinua; abajo, la norma del gradiente y, en gris, las normas que la
# sección 3 del árbol de la configuración llama sanas.

# %% id="six-curves" folded=true
figure = Figure(figsize=(9.4, 3.2), layout="constrained")
rows = figure.subplots(2, 6)
for column, (letter, run) in enumerate(trained.items()):
    top, bottom = rows[0][column], rows[1][column]
    top.axhline(chance, color="black", linestyle="--", linewidth=1)
    top.plot(*run.columns.column("loss"), color="#0072b2")
    top.set_title(letter, weight="bold", fontsize=10)
    top.set_ylim(0, 1.1 * top.get_ylim()[1])
    bottom.axhspan(0.01, 5, color="0.9")
    bottom.plot(*run.columns.column("grad_norm"), color="#d55e00")
    bottom.set_yscale("symlog", linthresh=0.01)
    bottom.set_ylim(bottom=0)
    bottom.set_xlabel(t("step"), fontsize=8)
    for axes in (top, bottom):
        axes.tick_params(labelsize=7)
rows[0][0].set_ylabel(t("loss"))
rows[1][0].set_ylabel(t("gradient"))
Picture().show(figure, t("curves-alt"))


# %% id="compare-curves" compare=true
def leaps(losses):
    return any(losses[n] > np.median(losses[n - 16 : n]) + 1 for n in range(16, len(losses)))


curves = [run.columns.column("loss")[1] for run in trained.values()]
compare(
    "curves",
    learning=sum(bool(losses[-1] < losses[0] - 0.5) for losses in curves),
    leaping=sum(map(leaps, curves)),
)

# %% [markdown] id="first-look" lang="en"
# Decide from the curves alone: **which one is healthy?** Put its letter in quotes.

# %% [markdown] id="first-look" lang="es" of="69068808efa1"
# Decídete solo con las curvas: **¿cuál está sano?** Escribe su letra entre comillas.

# %% id="my-first-look"
predict("first-look", healthy=...)

# %% [markdown] id="rounds-together" lang="en"
# ## 4 · Inspect
# ### One patient, together
#
# A run that is not one of your six, so that it gives nothing away. Its manifest is in order, and so is the
# configuration tree. Continue into the dynamics tree.

# %% [markdown] id="rounds-together" lang="es" of="cd76bfce3c42"
# ## 4 · Inspecciona
# ### Un paciente, para hacerlo juntos
#
# Un run que no es de tus seis, para no revelar nada. Su manifest está en orden, y el árbol de la configuración también.
# Sigue el recorrido por el árbol de la dinámica.

# %% id="practice-walk"
practice = ward("Florence Nightingale", "19-10")["B"]
untreated = practice.train(runs / "practice")
show(diagnosis.check(untreated.path), Console(width=88))

# %% [markdown] id="silenced" lang="en"
# In the middle of the run the rate leaps, though nobody asked for it, and the loss follows. The report offers a
# guard that holds back such a rate, `guard_rate`. Try it before you repair anything: the same broken run, with the
# guard on.

# %% [markdown] id="silenced" lang="es" of="ecb8c889e89e"
# El learning rate (tasa de aprendizaje) salta a mitad del run, nadie lo pidió, y el loss lo sigue. El informe propone
# un guard que frena un learning rate que salta, `guard_rate`. Pruébalo antes de reparar nada: el mismo run roto, con
# el guard encendido.

# %% id="guarded" compare=true
sick = practice.recipe()
with_guard = dataclasses.replace(sick, config=sick.config.replace(guard_rate=True))
guarded_run = train(with_guard, runs / "guarded", overwrite=True)
walk = diagnosis.check(guarded_run.path, whole=True)
print("8.1:", textwrap.fill(seen(next(each for each in walk.findings if each.question == "8.1")), 88))
print(f"{t('leaf')}: {walk.leaf}")

# %% [markdown] id="behind-it" lang="en"
# Two things happened. The guard held the rate back, and question 8.1 only warns now: **the alarm is silent, and
# whatever wrote that rate is still in the loop.** A guard is a seat belt. Wear one, but do not call it a repair; in
# this lesson it does not count as one.
#
# And with 8.1 out of the way the walk continued and ended at another leaf: there is a second fault. Now repair the
# first one properly, and look again.

# %% [markdown] id="behind-it" lang="es" of="8ed7ecda0dd3"
# Pasaron dos cosas. El guard frenó el learning rate, y ahora la pregunta 8.1 solo advierte: **la alarma se apagó, y lo
# que escribió ese learning rate sigue en el bucle.** Un guard es un cinturón de seguridad. Llévalo puesto, pero
# no lo llames reparación; en esta lección no cuenta como tal.
#
# Además, sin la 8.1 de por medio, el recorrido siguió y terminó en otra hoja: hay un segundo fallo. Ahora repara el
# primero como es debido y mira otra vez.

# %% id="practice-again" compare=true
half_treated = practice.train(runs / "practice", parts=["lr_at"])
second_walk = diagnosis.check(half_treated.path)
print(second_walk.end.question, second_walk.leaf)
print(textwrap.fill(seen(second_walk.end), 88))
treated = practice.train(runs / "practice", parts=["lr_at", "build_model"])
print(diagnosis.check(treated.path).leaf or t("healthy"))

# %% [markdown] id="causes-first" lang="en"
# The second fault made no noise at all: a gate that no gradient reaches. No curve shows it, and no guard stops it.
#
# **Causes before symptoms.** Some questions test one part by itself: a checksum between two updates, the same batch
# twice, the order of the calls. Where such a question fails, that is a cause. Others read how the run went: a
# spike, a loss that does not move. Those name symptoms, and there many causes look alike. So a walk asks all
# questions and ends at a cause, if there is one, even if a symptom came up before it. If two questions break in one
# of your six, ask which of the two is a test. (8.1 and 7.4 count as causes as well: a rate that nobody asked for, and
# gradients that became 0.)
#
# The parts of the loop are those of lesson 18-08. With the faults of this phase in mind:
#
# | part | ask of it |
# |---|---|
# | `load_data`, `get_batch` | are these batches like the others, targets included? |
# | `build_model` | does every path get a gradient? does anything stay from one batch to the next? |
# | `init_weights` | does every tensor start as its role asks? |
# | `build_optimizer`, `lr_at` | which tensors decay, and with which learning rate, at every step? |
# | `loss`, `accumulate` | does a micro-batch count as it should? does anything else write weights? |
# | `clip`, `step` | in which order are scale, clipping, update and clearing? |
# | *settings* | `lr_max`, `warmup_steps`, `loss_scale`, … as the manifest says |

# %% [markdown] id="causes-first" lang="es" of="f191fa451620"
# El segundo fallo no hizo ningún ruido: un gate al que no llega ningún gradiente. No se ve en ninguna curva y no lo
# detiene ningún guard.
#
# **Primero las causas, después los síntomas.** Algunas preguntas ponen a prueba una sola parte: una suma de control
# entre dos actualizaciones, el mismo batch dos veces, el orden de las llamadas. Cuando falla una de esas, hay una
# causa. Otras leen cómo fue el run: un pico, un loss que no se mueve. Esas nombran síntomas, y ahí muchas causas se
# parecen. Por eso un recorrido hace todas las preguntas y termina en una causa, si la hay, aunque antes haya
# aparecido un síntoma. Si en uno de tus seis se rompen dos preguntas, fíjate en cuál de las dos es una prueba. (La
# 8.1 y la 7.4 también cuentan como causas: un learning rate que nadie pidió y unos gradientes que se volvieron 0.)
#
# Las partes del bucle son las de la lección 18-08. Pensando en los fallos de esta fase:
#
# | parte | pregúntale |
# |---|---|
# | `load_data`, `get_batch` | ¿estos batches son como los demás, también sus targets? |
# | `build_model` | ¿llega gradiente a todos los caminos? ¿queda algo de un batch para el siguiente? |
# | `init_weights` | ¿empieza cada tensor como pide su papel? |
# | `build_optimizer`, `lr_at` | ¿qué tensores tienen decay, y con qué learning rate, en cada paso? |
# | `loss`, `accumulate` | ¿cuenta cada micro-batch lo que debe? ¿algo más escribe pesos? |
# | `clip`, `step` | ¿en qué orden van la escala, el clipping, la actualización y el borrado? |
# | *ajustes* | `lr_max`, `warmup_steps`, `loss_scale`, … como dice el manifest |

# %% [markdown] id="a-chart" lang="en"
# And this is its chart. The keys are those of 18-08:
#
# | key | what goes there |
# |---|---|
# | `name` | your `MY_NAME` |
# | `leaves` | the name of each fault; `[]` for the healthy one |
# | `evidence` | the question at which the walk of the *untreated* run ends, and one value that it showed, as you read it: a figure, a word, a ✗. Where you can choose, take one that another machine would show too: a rate, a step or a count rather than the height of a spike. For the healthy one, any question with an answer. A value that your other runs show as well proves nothing |
# | `parts` | the parts to put back to their healthy form; `[]` if none |
# | `settings` | settings to change, each with its new value; `{}` if none. A setting counts as broken only where the manifest has it wrong |
#
# Write every value out, as below: a chart is read, not run, so a call that computes a value counts for nothing.

# %% [markdown] id="a-chart" lang="es" of="d477e7258e38"
# Y esta es su ficha. Las claves son las de la 18-08:
#
# | clave | qué va ahí |
# |---|---|
# | `name` | tu `MY_NAME` |
# | `leaves` | el nombre de cada fallo; `[]` para el sano |
# | `evidence` | la pregunta en la que termina el recorrido del run *sin tratar* y un valor que mostró, tal como lo lees: un número, una palabra, una ✗. Si puedes elegir, toma uno que también mostraría otra máquina: un learning rate, un paso o un conteo, y no la altura de un pico. Para el sano, cualquier pregunta con respuesta. Un valor que también muestran tus otros runs no demuestra nada |
# | `parts` | las partes que hay que devolver a su forma sana; `[]` si ninguna |
# | `settings` | los ajustes que cambian, cada uno con su valor nuevo; `{}` si ninguno. Un ajuste está roto solo si el manifest lo tiene mal |
#
# Escribe cada valor tal cual, como abajo: la ficha se lee, no se ejecuta, así que una llamada que calcule un valor no
# cuenta.

# %% id="example-chart"
example = {
    "name": "Florence Nightingale",
    "leaves": ["loss-spike-lr", "dead-gate"],
    "evidence": ["8.1", 0.092],
    "parts": ["lr_at", "build_model"],
    "settings": {},
}
print(example)

# %% [markdown] id="bedside" lang="en"
# ### Your six, question by question
#
# You see the measurements and the limits, never the verdict: you say whether it is fine or whether it breaks here.
# Below each leaf you read what it means, what to change, and which part of the loop can cause it. Choose the way at
# the top: *in order, for free*, or any questions that you like with five credits, as in 18-08. It works with the
# mouse and with the keyboard. Walk each patient to the end before you ask the machine, and ask only where you are
# not sure: `show(diagnosis.check(trained["A"].path, whole=True), Console(width=88))`.

# %% [markdown] id="bedside" lang="es" of="4aafd49a4e7e"
# ### Tus seis, pregunta por pregunta
#
# Ves las medidas y los límites, nunca el veredicto: tú dices si está bien o si aquí se rompe. Debajo de cada hoja
# se explica qué significa, qué hay que cambiar y qué parte del bucle puede causarlo. Arriba eliges el modo: *en
# orden, gratis*, o las preguntas que quieras con cinco créditos, como en la 18-08. Funciona con el mouse y con el
# teclado. Recorre a cada paciente hasta el final antes de preguntarle a la máquina, y pregúntale solo donde tengas
# dudas: `show(diagnosis.check(trained["A"].path, whole=True), Console(width=88))`.

# %% id="at-the-bedside"
Bedside(trained).show()

# %% [markdown] id="fix" lang="en"
# ## 5 · Fix
#
# > Difficulty ●●●●● · Importance ●●●●● · 75 minutes
#
# A chart for each of the six, with three checks each: the **diagnosis** (all leaves and no other), the **evidence**,
# and the **repair**: the run is trained again with your parts and settings, and both trees are walked again. Replace
# only what is broken.
#
# Below the hints are a blank chart to copy, and a cell to try a repair in: put `patients["A"]` in place of `practice`.
#
# <details><summary>Hint 1: which kind of fault can it be?</summary>
#
# Look at the kind of run first. Section 10 has answers only where there is a memory, questions 7.2 and 7.4 only in
# fp16. Then look at *when*: something wrong before the first step (section 1, the rehearsal) cannot be a spike.
# </details>
# <details><summary>Hint 2: two parts could do it</summary>
#
# Try one; the walk will tell. If a batch is bad, the rate of that step is the ordinary one; if the rate is wrong,
# the log shows it. A gradient that never arrives is the model's doing; a weight that changes between two updates is
# written by something that runs between them.
# </details>
# <details><summary>Hint 3: the one with two</summary>
#
# It is the one in which your repair helps and another leaf comes up. Both leaves and both parts go into the chart; the
# evidence is that of the first walk. It may be that the first walk ended at a cause, and what you repair next is the
# symptom that it had to leave aside.
# </details>
# <details><summary>Hint 4: a setting</summary>
#
# If all parts are right, the manifest is wrong. Compare with another run of the same kind, or with these usual
# values: a warm-up over a tenth of the steps, `lr_max` from 3e-3 to 5e-3 for models as small as these, `lr_min` a
# tenth of that, `clip_norm` 1, `loss_scale` 65536, `loss_scale_backoff` 0.5. One fault may have moved two settings.
# </details>

# %% [markdown] id="fix" lang="es" of="344344369fca"
# ## 5 · Arregla
#
# > Dificultad ●●●●● · Importancia ●●●●● · 75 minutos
#
# Una ficha para cada uno de los seis, con tres comprobaciones cada una: el **diagnóstico** (todas las hojas y ninguna
# más), la **evidencia** y la **reparación**: el run se entrena otra vez con tus partes y ajustes, y se recorren otra
# vez los dos árboles. Cambia solo lo que está roto.
#
# Debajo de las pistas hay una ficha en blanco para copiar y una celda para probar una reparación: pon `patients["A"]`
# en lugar de `practice`.
#
# <details><summary>Pista 1: ¿qué tipo de fallo puede ser?</summary>
#
# Mira primero el tipo de run. La sección 10 solo tiene respuestas donde hay memoria; las preguntas 7.2 y 7.4, solo en
# fp16. Después mira *cuándo*: algo que está mal antes del primer paso (la sección 1, el ensayo) no puede ser un pico.
# </details>
# <details><summary>Pista 2: podrían ser dos partes</summary>
#
# Prueba una; el recorrido lo dirá. Si el batch es malo, el learning rate de ese paso es el de siempre; si el
# learning rate está mal, queda en el log. Un gradiente que nunca llega es cosa del modelo; un peso que cambia entre
# dos actualizaciones lo escribe algo que se ejecuta entre ellas.
# </details>
# <details><summary>Pista 3: el que tiene dos</summary>
#
# Es aquel en el que tu reparación ayuda y aparece otra hoja. Las dos hojas y las dos partes van en la ficha; la
# evidencia es la del primer recorrido. Puede que el primer recorrido terminara en una causa, y que lo siguiente que
# reparas sea el síntoma que tuvo que dejar de lado.
# </details>
# <details><summary>Pista 4: un ajuste</summary>
#
# Si todas las partes están bien, el manifest está mal. Compara con otro run del mismo tipo o con estos valores
# habituales: un warm-up en la décima parte de los pasos, `lr_max` entre 3e-3 y 5e-3 para modelos tan pequeños como
# estos, `lr_min` de una décima parte, `clip_norm` 1, `loss_scale` 65536, `loss_scale_backoff` 0.5. Un mismo fallo
# puede haber movido dos ajustes.
# </details>

# %% id="blank-chart"
blank = {
    "name": MY_NAME,
    "leaves": ["..."],
    "evidence": ["...", ...],
    "parts": ["..."],
    "settings": {},
}

# %% id="scratch"
attempt = practice.train(runs / "attempt", parts=["lr_at"], settings={})
print(diagnosis.check(attempt.path).leaf or t("healthy"))

# %% [markdown] id="chart-a" lang="en"
# ### Patient A
#
# Its chart, `patient_a`.

# %% [markdown] id="chart-a" lang="es" of="7e6584def1b4"
# ### Paciente A
#
# Su ficha, `patient_a`.

# %% solution="patient-a"
### BEGIN SOLUTION
patient_a = {
    "name": MY_NAME,
    "leaves": ["memory-feedback"],
    "evidence": ["10.3", 1.75],
    "parts": ["build_model"],
    "settings": {},
}
### END SOLUTION

# %% check="patient-a/leaf" points=2
check("patient-a/leaf", patient_a)

# %% check="patient-a/evidence" points=1
check("patient-a/evidence", patient_a)

# %% check="patient-a/repair" points=2
check("patient-a/repair", patient_a)

# %% [markdown] id="chart-b" lang="en"
# ### Patient B
#
# Its chart, `patient_b`.

# %% [markdown] id="chart-b" lang="es" of="4a80dcd6ab53"
# ### Paciente B
#
# Su ficha, `patient_b`.

# %% solution="patient-b"
### BEGIN SOLUTION
patient_b = {
    "name": MY_NAME,
    "leaves": ["clip-before-unscale"],
    "evidence": ["7.3", 1024],
    "parts": ["clip"],
    "settings": {},
}
### END SOLUTION

# %% check="patient-b/leaf" points=2
check("patient-b/leaf", patient_b)

# %% check="patient-b/evidence" points=1
check("patient-b/evidence", patient_b)

# %% check="patient-b/repair" points=2
check("patient-b/repair", patient_b)

# %% [markdown] id="chart-c" lang="en"
# ### Patient C
#
# Its chart, `patient_c`.

# %% [markdown] id="chart-c" lang="es" of="c00aeb095c57"
# ### Paciente C
#
# Su ficha, `patient_c`.

# %% solution="patient-c"
### BEGIN SOLUTION
patient_c = {
    "name": MY_NAME,
    "leaves": ["target-shift"],
    "evidence": ["1.4", 2],
    "parts": ["loss"],
    "settings": {},
}
### END SOLUTION

# %% check="patient-c/leaf" points=2
check("patient-c/leaf", patient_c)

# %% check="patient-c/evidence" points=1
check("patient-c/evidence", patient_c)

# %% check="patient-c/repair" points=2
check("patient-c/repair", patient_c)

# %% [markdown] id="chart-d" lang="en"
# ### Patient D
#
# Its chart, `patient_d`.

# %% [markdown] id="chart-d" lang="es" of="8e15e4c1a709"
# ### Paciente D
#
# Su ficha, `patient_d`.

# %% solution="patient-d"
### BEGIN SOLUTION
patient_d = {
    "name": MY_NAME,
    "leaves": ["scaler-not-updated", "dead-gate"],
    "evidence": ["7.3", "✗"],
    "parts": ["step", "build_model"],
    "settings": {},
}
### END SOLUTION

# %% check="patient-d/leaf" points=2
check("patient-d/leaf", patient_d)

# %% check="patient-d/evidence" points=1
check("patient-d/evidence", patient_d)

# %% check="patient-d/repair" points=2
check("patient-d/repair", patient_d)

# %% [markdown] id="chart-e" lang="en"
# ### Patient E
#
# Its chart, `patient_e`.

# %% [markdown] id="chart-e" lang="es" of="b2b77d2d4118"
# ### Paciente E
#
# Su ficha, `patient_e`.

# %% solution="patient-e"
### BEGIN SOLUTION
patient_e = {
    "name": MY_NAME,
    "leaves": [],
    "evidence": ["1.2", 0.615],
    "parts": [],
    "settings": {},
}
### END SOLUTION

# %% check="patient-e/leaf" points=2
check("patient-e/leaf", patient_e)

# %% check="patient-e/evidence" points=1
check("patient-e/evidence", patient_e)

# %% check="patient-e/repair" points=2
check("patient-e/repair", patient_e)

# %% [markdown] id="chart-f" lang="en"
# ### Patient F
#
# Its chart, `patient_f`.

# %% [markdown] id="chart-f" lang="es" of="faa396d49ead"
# ### Paciente F
#
# Su ficha, `patient_f`.

# %% solution="patient-f"
### BEGIN SOLUTION
patient_f = {
    "name": MY_NAME,
    "leaves": ["warmup-missing"],
    "evidence": ["8.3", "100 %"],
    "parts": [],
    "settings": {"warmup_steps": 15, "lr_max": 0.005, "lr_min": 0.0005},
}
### END SOLUTION

# %% check="patient-f/leaf" points=2
check("patient-f/leaf", patient_f)

# %% check="patient-f/evidence" points=1
check("patient-f/evidence", patient_f)

# %% check="patient-f/repair" points=2
check("patient-f/repair", patient_f)

# %% [markdown] id="verify" lang="en"
# ## 6 · Verify
#
# All six again, each as your chart asks; in grey, how they were. Then both trees, from top to bottom.

# %% [markdown] id="verify" lang="es" of="13325f3f5ce2"
# ## 6 · Comprueba
#
# Otra vez los seis, cada uno como pide tu ficha; en gris, como estaban. Después los dos árboles, de arriba abajo.


# %% id="treat" compare=true
written = [patient_a, patient_b, patient_c, patient_d, patient_e, patient_f]
charts = {letter: chart for letter, chart in zip(LETTERS, written, strict=True) if isinstance(chart, dict)}
after = {}
print(f"{'':4}{t('before'):30} {t('after'):14} {t('parts')}")
for letter in LETTERS:
    chart = charts.get(letter)
    if not chart:
        print(f"{letter:4}{t('no-chart')}")
        continue
    repair = {"parts": chart.get("parts", []), "settings": chart.get("settings", {})}
    touched = any(repair.values())
    after[letter] = (
        patients[letter].train(runs / f"{letter}-treated", **repair) if touched else trained[letter]
    )
    before_leaf, after_leaf = (diagnosis.check(run.path).leaf for run in (trained[letter], after[letter]))
    what = ", ".join([*repair["parts"], *repair["settings"]])
    print(f"{letter:4}{before_leaf or t('healthy'):30} {after_leaf or t('healthy'):14} {what}")

# %% id="before-after" folded=true
figure = Figure(figsize=(9.4, 1.9), layout="constrained")
row = figure.subplots(1, 6, sharey=True)
row[0].set_ylabel(t("loss"))
for axes, letter in zip(row, LETTERS, strict=True):
    axes.axhline(chance, color="black", linestyle="--", linewidth=1)
    axes.plot(*trained[letter].columns.column("loss"), color="0.65", linewidth=1)
    if letter in after:
        axes.plot(*after[letter].columns.column("loss"), color="#0072b2")
    axes.set_title(letter, weight="bold", fontsize=10)
    axes.set(ylim=(0, 10), xlabel=t("step"))
    axes.tick_params(labelsize=7)
Picture().show(figure, t("before-after-alt"))

# %% [markdown] id="look-back" lang="en"
# Now look back: what had the curves alone told you?

# %% [markdown] id="look-back" lang="es" of="28e21a8b2024"
# Ahora mira atrás: ¿qué te habían dicho las curvas por sí solas?

# %% id="compare-first-look" compare=true
sound = [letter for letter, chart in charts.items() if not chart.get("leaves")]
compare("first-look", healthy=sound[0] if len(sound) == 1 else "?")

# %% [markdown] id="explain" lang="en"
# Where the blue curve lies on the grey one, the repair changed nothing that a curve shows. Those faults cost nothing
# in so short a run. They cost later, or elsewhere: in a validation that writes to the memory, in a run that cannot be
# repeated, in a gate that was paid for and never learnt.
#
# ## 7 · Explain: the post-mortem
#
# Write the post-mortem of your patient with **two** faults, for somebody who was not there and has to decide
# whether the next run may start. Copy this template into the cell below and fill in every line, with two sentences
# each at most. A post-mortem blames nobody: it says what the system let happen.
#
# ```text
# Summary. One sentence: what broke, what it cost, whether it is over.
# Symptom. What could be seen before the diagnosis, with figures.
# Timeline. From which step on; what the log showed of it, and when somebody could have known.
# Evidence. The question and its value, of both walks.
# Ruled out. One wrong explanation that fits the symptom, and the figure or the control that excludes it.
# Causes. Both, with the part of the loop; why the first walk could not end at the second.
# Repair. What was replaced, and a figure from after it. What was not touched.
# Unknown. What this does not prove.
# Prevention. One cheap check, and the step at which it would have rung.
# ```
#
# (Eight points: one for each line but the summary. A person grades it, by this list.)

# %% [markdown] id="explain" lang="es" of="e80c1b07c2e1"
# Donde la curva azul queda encima de la gris, la reparación no cambió nada que se vea en una curva. Esos fallos no
# cuestan nada en un run tan corto. Cuestan después, o en otra parte: en una validación que escribe en la memoria, en un
# run que no se puede repetir, en un gate que se pagó y nunca aprendió.
#
# ## 7 · Explica: el informe post mortem
#
# Escribe el informe de tu paciente con **dos** fallos, para alguien que no estuvo y tiene que decidir si puede
# empezar el próximo run. Copia esta plantilla en la celda de abajo y completa cada línea, con dos oraciones como
# máximo. Un informe post mortem no culpa a nadie: dice qué permitió el sistema.
#
# ```text
# Resumen. Una oración: qué se rompió, cuánto costó, si ya terminó.
# Síntoma. Lo que se podía ver antes del diagnóstico, con números.
# Cronología. Desde qué paso; qué mostraba el log y cuándo alguien podía haberlo sabido.
# Evidencia. La pregunta y su valor, en los dos recorridos.
# Descartado. Una explicación equivocada que encaja con el síntoma, y el número o el control que la excluye.
# Causas. Las dos, con la parte del bucle; por qué el primer recorrido no podía terminar en la segunda.
# Reparación. Qué se cambió, y un número posterior. Qué no se tocó.
# No se sabe. Lo que esto no demuestra.
# Prevención. Una comprobación barata, y en qué paso habría avisado.
# ```
#
# (Ocho puntos: uno por cada línea, menos el resumen. Lo califica una persona, con esta lista.)

# %% [markdown] answer="post-mortem" points=8 lang="en"
# **Summary.** An fp16 run trained with a gate that never learnt, and with a loss scale that could not have reacted to
# an overflow. Nothing was lost yet; both are repaired.
#
# **Symptom.** None in the curves: the loss falls from 6.2 as that of the healthy fp16 run does, and the gradient norm
# stays below 1. The manifest is in order.
#
# **Timeline.** Both were there from the first step. The rehearsal before step 0 showed the first. The second could have
# been known as soon as the optimizer had made a few steps, when the moments of the gate were still 0.
#
# **Evidence.** First walk, question 7.3: after an overflow the scale does not react (✗). Second walk, question 11.2: 2
# trainable tensors never had a gradient, h.0.drop.gate first.
#
# **Ruled out.** A clipping before `unscale_`, which fails at the same question: clipping saw 1.0 times the true norm,
# where that fault shows 1024.
#
# **Causes.** `step` puts the old scale back after `scaler.update()`; `build_model` cuts a gate off from the loss. Both
# are tests of single parts, and a walk ends at the first cause, so 11.2 had to wait.
#
# **Repair.** `step` and `build_model` replaced: 7.3 shows ✓, 11.2 counts 0 tensors, both trees pass. `clip`,
# `accumulate` and all settings were left alone.
#
# **Unknown.** Whether this run would ever have needed another scale: question 7.2 counts 0 skipped steps. And what the
# gate is worth, now that it can learn: 40 steps do not tell.
#
# **Prevention.** Rehearse the scaler with one overflow before step 0, and after 10 steps list the trainable tensors
# whose moments are still 0. The first would have rung at step 0, the second at step 10.
#
# ---
# **Rubric.** One point each, for the learner's own patient with two faults. (1) Symptom: what could be seen before the
# diagnosis, with a figure and without the cause; “none” is right where it is true. (2) Timeline: the step from which
# on, and when it could have been known. (3) Evidence: question and value of **both** walks. (4) Ruled out: a wrong
# explanation that fits, and the figure or control that excludes it; “we checked the data” earns nothing. (5) Causes:
# both, with their parts, and why the first walk ended where it did. Two leaf names alone: half a point. (6) Repair: a
# figure from after it, and what was left alone. “It works now” earns nothing. (7) Unknown: something that the repair
# does not prove. (8) Prevention: a check that a machine can run, and the step at which it rings. A guard that only
# silences the alarm earns half. Blaming a person costs the point of that line.

# %% [markdown] answer="post-mortem" points=8 lang="es" of="5d0b4db017fd"
# **Resumen.** Un run en fp16 se entrenó con un gate que nunca aprendió y con una escala del loss que no habría podido
# reaccionar a un overflow. Todavía no se perdió nada; las dos cosas están reparadas.
#
# **Síntoma.** Ninguno en las curvas: el loss baja desde 6.2 igual que el del run sano en fp16, y la norma del gradiente
# se queda por debajo de 1. El manifest está en orden.
#
# **Cronología.** Los dos fallos estaban ahí desde el primer paso. El ensayo anterior al paso 0 mostró el primero. El
# segundo se habría podido saber en cuanto el optimizador dio unos pocos pasos, cuando los momentos del gate seguían
# en 0.
#
# **Evidencia.** Primer recorrido, pregunta 7.3: después de un overflow, la escala no reacciona (✗). Segundo recorrido,
# pregunta 11.2: 2 tensores entrenables nunca tuvieron gradiente, el primero h.0.drop.gate.
#
# **Descartado.** Un clipping antes de `unscale_`, que falla en la misma pregunta: el clipping vio 1.0 veces la norma
# verdadera, y con ese fallo se ven 1024.
#
# **Causas.** `step` vuelve a poner la escala vieja después de `scaler.update()`; `build_model` deja un gate
# desconectado del loss. Las dos preguntas ponen a prueba una sola parte, y un recorrido termina en la primera causa,
# así que la 11.2 tuvo que esperar.
#
# **Reparación.** Se cambiaron `step` y `build_model`: la 7.3 muestra ✓, la 11.2 cuenta 0 tensores y el run pasa los dos
# árboles. No se tocaron `clip`, `accumulate` ni ningún ajuste.
#
# **No se sabe.** Si este run habría necesitado alguna vez otra escala: la pregunta 7.2 cuenta 0 pasos omitidos. Y
# cuánto vale el gate, ahora que puede aprender: 40 pasos no lo dicen.
#
# **Prevención.** Ensayar la escala con un overflow antes del paso 0 y, después de 10 pasos, listar los tensores
# entrenables cuyos momentos siguen en 0. Lo primero habría avisado en el paso 0; lo segundo, en el paso 10.
#
# ---
# **Rúbrica.** Un punto por cada parte, sobre el paciente propio con dos fallos. (1) Síntoma: lo que se podía ver
# antes del diagnóstico, con un número y sin la causa; «ninguno» es correcto cuando es verdad. (2) Cronología: desde
# qué paso, y cuándo se habría podido saber. (3) Evidencia: pregunta y valor de los **dos** recorridos. (4)
# Descartado: una explicación equivocada que encaja, y el número o el control que la excluye; «revisamos los datos» no
# da puntos. (5) Causas: las dos, con sus partes, y por qué el primer recorrido terminó donde terminó. Solo los
# nombres de dos hojas: medio punto. (6) Reparación: un número posterior, y qué no se tocó. «Ya funciona» no da
# puntos. (7) No se sabe: algo que la reparación no demuestra. (8) Prevención: una comprobación que una máquina pueda
# ejecutar, y el paso en el que avisa. Un guard que solo apaga la alarma da la mitad. Culpar a una persona cuesta el
# punto de esa línea.

# %% [markdown] id="card" lang="en"
# ## 8 · A card to keep: the dynamics
#
# | leaf | it fails at | first action |
# |---|---|---|
# | `loss-spike-lr` | a rate that leaps to 3 times its value, and a loss 6 robust deviations up | find what wrote the rate |
# | `loss-spike-batch` | 3 such losses within 20 steps, at an ordinary rate | decode those batches |
# | `warmup-missing` | within 20 steps, 0.5 nats above ln V, or a norm of 100 | let the rate rise bit by bit |
# | `attention-logit-growth` | \|q·k/√d\| above 1000 at an entropy below 0.05 | lower `lr_max`, go back |
# | `fp16-overflow`, `fp16-underflow` | a scale that never settles; gradients that become 0 | `loss_scale` |
# | `clip-before-unscale`, `scaler-not-updated`, `partial-window` | the rehearsal of the scaler | the order of the calls |
# | `memory-leak-across-batches` | the same batch twice, different logits | reset the state |
# | `memory-gate-collapse` | an entropy of the gate below 0.1, or one source on 90 % of the tokens | raise the temperature |
# | `memory-feedback` | a norm 4 times as large after 20 writes | write the input, not what was read |
# | `memory-saturation` | more than 50 % of the slots are duplicates | merge near ones |
# | `homeostasis-windup` | more than 50 % of the scales at their limit | exponent 1/τ |
# | `random-consolidation` | two random seeds, a different memory | a fixed interval |
# | `writes-outside-optimizer` | a checksum between two updates | find who writes |
# | `dead-gate` | a tensor that never had a gradient | look for a `detach()` |
#
# Walk the configuration first. Causes before symptoms. A guard is not a repair. And remember: **some runs are
# healthy.**

# %% [markdown] id="card" lang="es" of="8cb7bda40984"
# ## 8 · Una tarjeta para guardar: la dinámica
#
# | hoja | falla con | primera acción |
# |---|---|---|
# | `loss-spike-lr` | un learning rate que salta a 3 veces, y un loss 6 desviaciones robustas más alto | busca qué lo escribió |
# | `loss-spike-batch` | 3 losses así en 20 pasos, con el learning rate de siempre | decodifica esos batches |
# | `warmup-missing` | en 20 pasos, 0.5 nats por encima de ln V, o una norma de 100 | deja que el learning rate suba poco a poco |
# | `attention-logit-growth` | \|q·k/√d\| mayor que 1000 con una entropía menor que 0.05 | baja `lr_max`, vuelve atrás |
# | `fp16-overflow`, `fp16-underflow` | una escala que no se asienta; gradientes que se vuelven 0 | `loss_scale` |
# | `clip-before-unscale`, `scaler-not-updated`, `partial-window` | el ensayo de la escala | el orden de las llamadas |
# | `memory-leak-across-batches` | el mismo batch dos veces, logits distintos | reinicia el estado |
# | `memory-gate-collapse` | una entropía del gate menor que 0.1, o una sola fuente en el 90 % de los tokens | sube la temperatura |
# | `memory-feedback` | una norma 4 veces mayor después de 20 escrituras | escribe la entrada, no lo leído |
# | `memory-saturation` | más del 50 % de las casillas, repetidas | une las parecidas |
# | `homeostasis-windup` | más del 50 % de las escalas en su límite | exponente 1/τ |
# | `random-consolidation` | dos semillas aleatorias, una memoria distinta | un intervalo fijo |
# | `writes-outside-optimizer` | una suma de control entre dos actualizaciones | busca quién escribe |
# | `dead-gate` | un tensor que nunca tuvo gradiente | busca un `detach()` |
#
# Recorre primero la configuración. Primero las causas, después los síntomas. Un guard no es una reparación. Y recuerda:
# **hay runs sanos.**

# %% [markdown] id="own-run" lang="en"
# ## 9 · On your own run
#
# Another loop, with nothing of this course in it but `Monitor`. A small recurrent network learns to go through the
# alphabet in steps of three; one letter in five is wrong, and for five steps somebody has set the rate a hundred
# times too high. Walk it, repair that one line, walk it again.

# %% [markdown] id="own-run" lang="es" of="bcfc3880582c"
# ## 9 · En tu propio run
#
# Otro bucle, que de este curso solo tiene `Monitor`. Una red recurrente pequeña aprende a avanzar de tres en tres
# por el alfabeto; una de cada cinco letras está mal, y durante cinco pasos alguien puso un learning rate cien veces
# mayor. Recórrelo, repara esa única línea y recórrelo otra vez.


# %% id="another-loop" compare=true
class Letters(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding, self.memory = torch.nn.Embedding(26, 24), torch.nn.GRU(24, 32, batch_first=True)
        self.head = torch.nn.Linear(32, 26)

    def forward(self, letters):
        return self.head(self.memory(self.embedding(letters))[0])


def train_letters(times):
    torch.manual_seed(0)
    net = Letters()
    adam = torch.optim.AdamW(net.parameters(), lr=3e-3)
    shutil.rmtree(runs / "letters", ignore_errors=True)
    with Monitor(net, adam, vocab_size=26, run_dir=runs / "letters") as monitor:
        for step in range(100):
            adam.param_groups[0]["lr"] = 3e-3 * (times if 60 <= step < 65 else 1)
            text = (torch.randint(0, 26, (16, 1)) + 3 * torch.arange(17)) % 26
            text = torch.where(torch.rand(text.shape) < 0.2, torch.randint(0, 26, text.shape), text)
            loss = F.cross_entropy(net(text[:, :-1]).flatten(0, 1), text[:, 1:].flatten())
            loss.backward()
            adam.step()
            adam.zero_grad()
            monitor.step(loss)
        return monitor.check()


for times in (100, 1):
    print(f"{times:4} ×  {train_letters(times).leaf or t('healthy')}")

# %% [markdown] id="sources" lang="en"
# ## 10 · Where this comes from
#
# **A true story.** The team of SmolLM3, a model of 3 billion parameters, stopped a run on 384 GPUs after a trillion
# tokens and started again. The cause was a subtle bug in tensor parallelism, where each matrix is split over
# several GPUs; it had spoilt the run for days before anybody noticed. They wrote it down for others to read, in
# [`The Smol Training Playbook`](https://huggingface.co/spaces/HuggingFaceTB/smol-training-playbook), 2025, in the
# part called “Launch, Take Two”. Read it as a post-mortem: look for the symptom in figures, for the control that
# decides, for the cause, and for what it cost.
#
# * The practice of a post-mortem that blames nobody: [Site Reliability Engineering, chapter 15](https://sre.google/sre-book/postmortem-culture/).
# * A diary of a run that broke often, day by day: [the chronicles of OPT-175B](https://github.com/facebookresearch/metaseq/tree/main/projects/OPT/chronicles).
#
# **A hard bonus task.** Break a seventh patient for somebody else: choose two faults of the dynamics for
# `Recipe().with_fault(...)`, in two parts of the loop, so that the walk ends at the one that costs less. Then write
# down why the tree is right to name it first, or why it is not.
#
# <details><summary>Hint</summary>
#
# Which faults cost nothing in so short a run and are found by a test of one part? Which cost a lot and are read off
# how the run went? To see what each costs, train it alone as well.
# </details>
#
# <details><summary>Show one solution</summary>
#
# ```python
# from minigpt import Recipe
#
# for faults in ((), ("dead-gate",), ("attention-logit-growth",), ("dead-gate", "attention-logit-growth")):
#     recipe = Recipe(practice.config)
#     for fault in faults:
#         recipe = recipe.with_fault(fault)
#     seventh = train(recipe, runs / "seventh", overwrite=True)
#     loss = np.mean([record["loss"] for record in seventh.metrics[-10:]])
#     print(faults, diagnosis.check(seventh.path).leaf, f"{loss:.2f}")
# ```
#
# The last losses are 3.62, 3.62, 5.08 and 5.08: the gate costs nothing, the rate behind the attention logits a nat and
# a half. And with both, the walk ends at `dead-gate`.
#
# For the tree: that no gradient ever reached a tensor is certain, whatever the run did, and the repair is one part.
# A large logit is a symptom, and it is read in a model that was already wrong. Nothing is lost: after that repair,
# the next walk ends at `attention-logit-growth`. Against it: that costs one more run, and here the run was lost for
# the other reason. Where a run takes a week, read the *whole* walk (`whole=True`) before you repair: question 9.1
# fails in it too.
# </details>
#
# This is the end of the phase. What is left is a run of your own.

# %% [markdown] id="sources" lang="es" of="c5f4beccae12"
# ## 10 · De dónde viene esto
#
# **Una historia real.** El equipo de SmolLM3, un modelo de 3 mil millones de parámetros, detuvo un run en 384 GPU
# después de un billón de tokens (10¹²) y empezó de nuevo. La causa era un error sutil en el paralelismo de
# tensores, donde cada matriz se divide entre varias GPU; llevaba días arruinando el run cuando alguien lo notó. Lo
# escribieron para que otros lo lean, en [`The Smol Training
# Playbook`](https://huggingface.co/spaces/HuggingFaceTB/smol-training-playbook), 2025, en el apartado del segundo
# lanzamiento (`Launch, Take Two`). Léelo como un informe post mortem: busca el síntoma en cifras, el control que
# decide, la causa y lo que costó.
#
# * La costumbre de un informe post mortem que no culpa a nadie: [`Site Reliability Engineering`, capítulo 15](https://sre.google/sre-book/postmortem-culture/).
# * El diario de un run que se rompió muchas veces, día por día: [las crónicas de OPT-175B](https://github.com/facebookresearch/metaseq/tree/main/projects/OPT/chronicles).
#
# **Un reto extra, difícil.** Rompe un séptimo paciente para otra persona: elige dos fallos de la dinámica para
# `Recipe().with_fault(...)`, en dos partes del bucle, de modo que el recorrido termine en el que menos cuesta. Después
# escribe por qué hace bien el árbol en nombrarlo primero, o por qué no.
#
# <details><summary>Pista</summary>
#
# ¿Qué fallos no cuestan nada en un run tan corto y se encuentran probando una sola parte? ¿Cuáles cuestan mucho y se
# leen en cómo fue el run? Para ver cuánto cuesta cada uno, entrénalo también solo.
# </details>
#
# <details><summary>Mostrar una solución</summary>
#
# ```python
# from minigpt import Recipe
#
# for faults in ((), ("dead-gate",), ("attention-logit-growth",), ("dead-gate", "attention-logit-growth")):
#     recipe = Recipe(practice.config)
#     for fault in faults:
#         recipe = recipe.with_fault(fault)
#     seventh = train(recipe, runs / "seventh", overwrite=True)
#     loss = np.mean([record["loss"] for record in seventh.metrics[-10:]])
#     print(faults, diagnosis.check(seventh.path).leaf, f"{loss:.2f}")
# ```
#
# Los últimos losses son 3.62, 3.62, 5.08 y 5.08: el gate no cuesta nada, y el learning rate que hace crecer los logits
# de atención cuesta un nat y medio. Y con los dos, el recorrido termina en `dead-gate`.
#
# A favor del árbol: que a un tensor nunca le llegó un gradiente es seguro, sin importar cómo fue el run, y se repara
# en una sola parte. Un logit grande es un síntoma, y se lee en un modelo que ya estaba mal. No se pierde nada: después
# de esa reparación, el siguiente recorrido termina en `attention-logit-growth`. En contra: eso cuesta un run más, y
# aquí el run se perdió por la otra razón. Si un run tarda una semana, lee el recorrido *entero* (`whole=True`) antes de
# reparar: ahí también falla la pregunta 9.1.
# </details>
#
# Aquí termina la fase. Lo que queda es un run tuyo.
