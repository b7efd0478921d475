"""Lesson 18-08: six runs, nobody says what is wrong with them, and one of them is fine."""

# %% [markdown] id="why" lang="en"
# Until now every lesson told you its subject. A real run does not. Somebody says “it does not look right”, or
# nobody says anything, and you have a folder with a manifest, a log and some measurements.
#
# Here are six runs. They were chosen at random for you alone, from your name, out of all the faults of this
# course: four have one fault, one has two, **and one is healthy**. Their folders do not say which. You will
#
# * read their evidence and walk the tree, question by question;
# * write a chart for each: diagnosis, the figure that proves it, and a repair;
# * have every repaired run trained again and the tree walked again. That is the only verdict that counts here.
#
# There is nothing new to learn in this lesson, and that is the point. Everything you need is on the cards of
# the earlier lessons. Run the cells in order with **Shift + Enter**.

# %% [markdown] id="why" lang="es" of="9c98fcd3c547"
# Hasta ahora cada lección te decía su tema. Un run de verdad no lo dice. Alguien comenta «no se ve bien», o
# nadie dice nada, y tú tienes una carpeta con un manifest, un log y unas medidas.
#
# Aquí hay seis runs. Se eligieron al azar solo para ti, con tu nombre, de entre todos los fallos del curso: cuatro
# tienen un fallo, uno tiene dos **y uno está sano**. Sus carpetas no dicen cuál es cuál. Vas a
#
# * leer su evidencia y recorrer el árbol, pregunta por pregunta;
# * escribir una ficha de cada uno: el diagnóstico, el número que lo demuestra y una reparación;
# * hacer que cada run reparado se entrene otra vez y que se recorra otra vez el árbol. Es el único veredicto
#   que cuenta aquí.
#
# En esta lección no hay nada nuevo que aprender, y de eso se trata. Todo lo que necesitas está en las tarjetas
# de las lecciones anteriores. Ejecuta las celdas en orden con **Shift + Enter**.

# %% id="setup" setup=true
import math
import shutil
import textwrap
import time
from pathlib import Path

import matplotlib
import torch
from matplotlib.figure import Figure
from rich.console import Console

from course.bedside import Bedside
from course.notebook import check, lesson, t
from course.patients import LETTERS, ward
from course.picture import Picture
from course.predictions import compare, predict
from minigpt import Monitor, diagnosis
from minigpt.diagnosis.report import seen, show

lesson("18-08")
globals().setdefault("MY_NAME", ...)
runs = Path("experiments") / "18-08"
torch.set_num_threads(1)
matplotlib.rcParams["font.size"] = 9

# %% [markdown] id="name" lang="en"
# ## 1 · Six runs that may misbehave
#
# Write your name as it appears on your class list, in quotes: `MY_NAME = "Ada Lovelace"`. Capitals, accents and
# the order of the names do not matter: the same name always draws the same six patients. If you hand this in, charts
# drawn from a name other than yours on the class list get no points.

# %% [markdown] id="name" lang="es" of="64f91dc8dea8"
# ## 1 · Seis runs que quizá se porten mal
#
# Escribe tu nombre como aparece en la lista de tu clase, entre comillas: `MY_NAME = "Ada Lovelace"`. No importan las
# mayúsculas, los acentos ni el orden: con el mismo nombre salen siempre los mismos seis pacientes. Si entregas la
# lección, las fichas que salen de un nombre distinto del tuyo en la lista no dan puntos.

# %% solution="my-name"
### BEGIN SOLUTION
MY_NAME = "Emmy Noether"
### END SOLUTION

# %% check="my-name/given" points=1
check("my-name/given", MY_NAME)

# %% [markdown] id="rounds" lang="en"
# Each patient is a small mini-GPT, 60 steps long: two layers of width 32, and two micro-batches per step.
# Their seeds differ, too, so not even two healthy curves would be the same. Train all six:

# %% [markdown] id="rounds" lang="es" of="c3cd07f0b16f"
# Cada paciente es un mini-GPT pequeño de 60 pasos: dos capas de ancho 32 y dos micro-batches por paso. También
# difieren en la semilla, así que ni siquiera dos curvas sanas serían iguales. Entrena a los seis:

# %% id="train-the-ward"
patients = ward(MY_NAME)
started = time.monotonic()
trained = {letter: patient.train(runs / letter) for letter, patient in patients.items()}
print(t("in-time", seconds=time.monotonic() - started))

# %% id="asked-for" compare=true
config = patients["A"].config
chance = math.log(config.vocab_size)
for name in ("steps", "warmup_steps", "batch_size", "accumulation", "init_std", "weight_decay"):
    print(f"{name:14} {getattr(config, name)}")

# %% [markdown] id="predict" lang="en"
# ## 2 · Predict
#
# Before you see anything: five of the six are broken. **How many of the six start at chance**, with a first loss
# within 0.5 of ln V? **And how many end below it**, by more than 0.5, as a run that learns should?

# %% [markdown] id="predict" lang="es" of="b9891a12bf91"
# ## 2 · Predice
#
# Antes de ver nada: cinco de los seis están rotos. **¿Cuántos de los seis arrancan al nivel del azar**, con un primer
# loss a menos de 0.5 de ln V? **¿Y cuántos terminan por debajo**, por más de 0.5, como corresponde a un run que
# aprende?

# %% id="my-prediction"
predict("curves", at_chance=..., below=...)

# %% [markdown] id="look" lang="en"
# ## 3 · Look at them
#
# The dashed line is ln V, the grey band the gradient norms that section 3 of the tree calls healthy.

# %% [markdown] id="look" lang="es" of="744270aa8643"
# ## 3 · Míralos
#
# La línea discontinua es ln V; la banda gris, las normas del gradiente que la sección 3 del árbol llama sanas.

# %% id="six-curves" folded=true
figure = Figure(figsize=(9.4, 3.2), layout="constrained")
rows = figure.subplots(2, 6, sharex=True)
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
first = [run.metrics[0]["loss"] for run in trained.values()]
last = [run.metrics[-1]["loss"] for run in trained.values()]
at_chance = sum(abs(loss - chance) < 0.5 for loss in first)
compare("curves", at_chance=at_chance, below=sum(loss < chance - 0.5 for loss in last))

# %% [markdown] id="first-look" lang="en"
# Decide once more, from the curves alone: **which one is healthy?** Put its letter in quotes.

# %% [markdown] id="first-look" lang="es" of="6ce7e3413db3"
# Decídete otra vez, solo con las curvas: **¿cuál está sano?** Escribe su letra entre comillas.

# %% id="my-first-look"
predict("first-look", healthy=...)

# %% [markdown] id="rounds-together" lang="en"
# ## 4 · Inspect
#
# ### One patient together
#
# A run that is not one of your six, so that it gives nothing away. It is the difficult kind: two faults.
# Walk the tree, as `minigpt check` does.

# %% [markdown] id="rounds-together" lang="es" of="7e084d54aba2"
# ## 4 · Inspecciona
#
# ### Un paciente, juntos
#
# Un run que no es de tus seis, para no revelar nada. Es de los difíciles: dos fallos. Recorre el árbol,
# como hace `minigpt check`.

# %% id="practice-walk"
practice = ward("Florence Nightingale")["E"]
untreated = practice.train(runs / "practice")
first_walk = diagnosis.check(untreated.path)
show(first_walk, Console(width=88))

# %% [markdown] id="which-part" lang="en"
# You have a diagnosis and its figure: question 1.1 ends the walk. The head starts with a bias, before it has
# seen a single token. Who does such a thing? A training loop here is made of eleven parts, and a fault sits
# in one of them, or in a setting:
#
# | part | what it does |
# |---|---|
# | `load_data` | reads the text, splits training from validation |
# | `get_batch` | cuts the inputs, targets and mask of a step |
# | `build_model` | builds the modules: blocks, norms, attention and its mask |
# | `init_weights` | fills every parameter, and may add or freeze some |
# | `build_optimizer` | builds AdamW and its groups: decay, multipliers, sign |
# | `lr_at` | the learning rate of a step |
# | `loss` | from logits, targets and mask to one number |
# | `seed_step` | seeds dropout |
# | `accumulate` | adds up the gradients of the micro-batches |
# | `clip` | cuts the gradient to a norm |
# | `step` | sets the rate, updates the weights, clears the gradients |
# | *settings* | `clip_norm`, `lr_max`, `weight_decay`, … as the manifest says |
#
# A head bias comes from the initialisation. So put the healthy `init_weights` back in, and nothing else.
# Train again, and walk again.

# %% [markdown] id="which-part" lang="es" of="3938c739594b"
# Ya tienes un diagnóstico y su número: el recorrido termina en la pregunta 1.1. La cabeza empieza con un
# bias, antes de haber visto un solo token. ¿Quién hace algo así? Aquí un bucle de entrenamiento se compone de
# once partes, y un fallo está en una de ellas, o en un ajuste:
#
# | parte | qué hace |
# |---|---|
# | `load_data` | lee el texto y lo divide en entrenamiento y validación |
# | `get_batch` | corta las entradas, los targets y la máscara de un paso |
# | `build_model` | construye los módulos: bloques, capas de normalización, atención y su máscara |
# | `init_weights` | llena cada parámetro, y puede agregar o congelar alguno |
# | `build_optimizer` | construye AdamW y sus grupos: decay, multiplicadores, signo |
# | `lr_at` | el learning rate (tasa de aprendizaje) de un paso |
# | `loss` | de los logits, los targets y la máscara a un solo número |
# | `seed_step` | pone la semilla del dropout |
# | `accumulate` | suma los gradientes de los micro-batches |
# | `clip` | recorta el gradiente a una norma |
# | `step` | pone el learning rate, actualiza los pesos, borra los gradientes |
# | *ajustes* | `clip_norm`, `lr_max`, `weight_decay`, … como dice el manifest |
#
# Un bias en la cabeza viene de la inicialización. Así que vuelve a poner el `init_weights` sano, y nada más.
# Entrena otra vez y recorre otra vez.

# %% id="practice-again" compare=true
half_treated = practice.train(runs / "practice", parts=["init_weights"])
second_walk = diagnosis.check(half_treated.path)
print(second_walk.end.question, second_walk.leaf)
print(textwrap.fill(seen(second_walk.end), 92))
print("clip_norm:", practice.config.clip_norm)

# %% [markdown] id="behind-it" lang="en"
# There was a second fault behind it. Every step is clipped, and hard: the limit lies far below the usual
# gradient norm. The first walk could not say so, because it stops at the first leaf, and rightly: a gradient
# norm measured on a model that starts wrong is no evidence about anything else. **Repair, train again, walk
# again, until nothing fails.** The limit is a setting, so the repair is one too. The usual value is 1.

# %% [markdown] id="behind-it" lang="es" of="88a3d3b14b9a"
# Detrás había un segundo fallo. Todos los pasos se recortan, y mucho: el límite está muy por debajo de la
# norma habitual del gradiente. El primer recorrido no podía decirlo, porque se detiene en la primera hoja, y
# con razón: una norma medida en un modelo que arranca mal no demuestra nada de lo demás. **Repara, entrena
# otra vez, recorre otra vez, hasta que no falle nada.** El límite es un ajuste, así que la reparación
# también. Lo habitual es 1.

# %% id="practice-healthy" compare=true
treated = practice.train(runs / "practice", parts=["init_weights"], settings={"clip_norm": 1.0})
print(diagnosis.check(treated.path).leaf or t("healthy"))

# %% [markdown] id="a-chart" lang="en"
# And this is its chart, in the same form as yours will be:
#
# | key | what goes there | where you find it |
# |---|---|---|
# | `name` | your `MY_NAME` | above |
# | `leaves` | the name of each fault; `[]` for the healthy one | a leaf is where a walk ends, such as `head-bias` in the red box above; section “Your six, question by question” below lists the leaves of each question |
# | `evidence` | a question and one figure that it showed | the question at which the walk of the *untreated* run ends, and a figure from its line, as it is printed there: 12.93 is in the report above. For the healthy one, any question. A figure that your other runs show as well, such as ln V, proves nothing |
# | `parts` | the parts to put back to their healthy form; `[]` if none | the table of parts above |
# | `settings` | settings to change, each with its new value; `{}` if none | the manifest, and the usual values on the cards |
#
# `parts` and `settings` together are the repaired recipe: with them the run is trained again. Write every value out, as
# above: a chart is read, not run, so a call that computes a value counts for nothing.

# %% [markdown] id="a-chart" lang="es" of="5d3068a0e447"
# Y esta es su ficha, con la forma que tendrán las tuyas:
#
# | clave | qué va ahí | dónde lo encuentras |
# |---|---|---|
# | `name` | tu `MY_NAME` | arriba |
# | `leaves` | el nombre de cada fallo; `[]` para el sano | una hoja es donde termina un recorrido, como `head-bias` en el recuadro rojo de arriba; más abajo, en «Tus seis, pregunta por pregunta», ves las hojas de cada una |
# | `evidence` | una pregunta y un número que mostró | la pregunta en la que termina el recorrido del run *sin tratar* y un número de su línea, tal como está impreso: 12.93 está en el informe de arriba. Para el sano, cualquier pregunta. Un número que también muestran tus otros runs, como ln V, no demuestra nada |
# | `parts` | las partes que hay que devolver a su forma sana; `[]` si ninguna | la tabla de partes de arriba |
# | `settings` | los ajustes que cambian, cada uno con su valor nuevo; `{}` si ninguno | el manifest, y los valores habituales de las tarjetas |
#
# `parts` y `settings` juntos son la receta reparada: con ellos se entrena otra vez el run. Escribe cada valor tal cual,
# como arriba: la ficha se lee, no se ejecuta, así que una llamada que calcule un valor no cuenta.

# %% id="example-chart"
example = {
    "name": "Florence Nightingale",
    "leaves": ["head-bias", "always-clipping"],
    "evidence": ["1.1", 12.93],
    "parts": ["init_weights"],
    "settings": {"clip_norm": 1.0},
}
print(example)

# %% [markdown] id="bedside" lang="en"
# ### Your six, question by question
#
# Now your own six. You have **five credits** for each of them, and the curves are free. Choose any question, pay
# for it, read the figure and its limits (“right: …”): 1 credit for what the log answers, 2 for what has to open the
# model. The verdict is never shown; it is yours to give. Afterwards you read what your leaf means and how to tell it
# from the leaves that look like it. Can you do all six?
#
# If you would rather take your time, *in order, for free* walks the whole tree: you say whether each figure is
# fine or whether it breaks here. *It breaks here* opens the list of the leaves in which this question can end. If
# two of them would fit, go back, call it fine for now, and see what the later questions show.
#
# It works with the mouse and with the keyboard: **Tab** goes from control to control, **Enter** presses a button,
# the arrow keys choose in a list.
#
# Walk every patient to its end before you hand in. Only then ask the machine, and only where you are not sure:
# `show(diagnosis.check(trained["A"].path), Console(width=88))`. If you ask first and look afterwards, you
# learn to trust a tool; the other way round, you learn when not to.

# %% [markdown] id="bedside" lang="es" of="2c829a26c9e3"
# ### Tus seis, pregunta por pregunta
#
# Ahora, tus propios seis. Tienes **cinco créditos** para cada uno, y las curvas son gratis. Elige cualquier
# pregunta, págala y lee la cifra con sus límites («bien: …»): 1 crédito por lo que responde el log, 2 por lo que exige
# abrir el modelo. El veredicto nunca aparece: te toca darlo a ti. Después lees qué significa tu hoja y cómo
# distinguirla de las que se le parecen. ¿Puedes con los seis?
#
# Si prefieres ir con calma, *en orden, gratis* recorre el árbol entero: tú dices si cada cifra está bien o si aquí
# se rompe. *Aquí se rompe* abre la lista de hojas en las que puede terminar esa pregunta. Si te cuadran dos, vuelve
# atrás, dala por buena de momento y mira qué muestran las preguntas siguientes.
#
# Funciona con el mouse y con el teclado: **Tab** va de un control a otro, **Enter** presiona un botón y las flechas
# eligen en una lista.
#
# Antes de entregar, recorre a cada paciente hasta el final. Solo después pregúntale a la máquina, y solo donde tengas
# dudas: `show(diagnosis.check(trained["A"].path), Console(width=88))`. Si preguntas primero y miras después, aprendes
# a fiarte de una herramienta; al revés, aprendes cuándo no hacerlo.

# %% id="at-the-bedside"
Bedside(trained).show()

# %% [markdown] id="fix" lang="en"
# ## 5 · Fix
#
# > Difficulty ●●●●● · Importance ●●●●● · 60 minutes
#
# A chart for each of the six. Three checks below each: the **diagnosis** (the right leaves, all of them and no
# other; an empty list for the healthy one), the **evidence**, and the **repair**: the run is trained again, with
# your parts and settings, and walked again. Replace only the broken parts.
#
# Below the hints are two cells for you. One is a blank chart: copy it into the cell of each patient, call it
# `patient_a`, `patient_b`, … and fill it in. The other is for trying a repair before you write it down, as often as
# you like: put `patients["A"]` in place of `practice`, and it prints the leaf at which the walk now ends.
#
# <details><summary>Hint 1: from the leaf to the part</summary>
#
# Once you choose a leaf, the same box says what to change, as the report does. Ask: at what moment does this
# happen? Before the first step, when data, model or weights are made? At every step, between batch and
# gradient? When the weights move? The table above is in that order.
# </details>
# <details><summary>Hint 2: two parts could do it</summary>
#
# Then try one; the walk will tell. A multiplier on one group of parameters is the optimizer's, not the
# schedule's: the other groups have the rate that was asked for. A target two tokens ahead may come from the
# batch or from the loss: decode a batch, `patients["A"].recipe().get_batch`, and see.
# </details>
# <details><summary>Hint 3: the one with two</summary>
#
# It is the one in which your repair helps and another leaf comes up. Both leaves go into the chart, and both
# parts; the evidence is that of the first walk.
# </details>

# %% [markdown] id="fix" lang="es" of="a3d1fe4603bd"
# ## 5 · Arregla
#
# > Dificultad ●●●●● · Importancia ●●●●● · 60 minutos
#
# Una ficha para cada uno de los seis. Debajo de cada una, tres comprobaciones: el **diagnóstico** (las hojas
# correctas, todas y ninguna más; una lista vacía para el sano), la **evidencia** y la **reparación**: el run se
# entrena otra vez con tus partes y ajustes, y se recorre otra vez. Cambia solo las partes rotas.
#
# Debajo de las pistas tienes dos celdas. Una es una ficha en blanco: cópiala en la celda de cada paciente, llámala
# `patient_a`, `patient_b`, … y complétala. La otra es para probar una reparación antes de anotarla, cuantas veces
# quieras: pon `patients["A"]` en lugar de `practice` e imprime la hoja en la que ahora termina el recorrido.
#
# <details><summary>Pista 1: de la hoja a la parte</summary>
#
# Una vez elegida la hoja, ahí mismo dice qué hay que cambiar, igual que en el informe. Pregúntate: ¿en qué
# momento ocurre esto? ¿Antes del primer paso, cuando se hacen los datos, el modelo o los pesos? ¿En cada
# paso, entre el batch y el gradiente? ¿Cuando se mueven los pesos? La tabla de arriba está en ese orden.
# </details>
# <details><summary>Pista 2: podrían ser dos partes</summary>
#
# Entonces prueba una; el recorrido lo dirá. El multiplicador de un solo grupo de parámetros es cosa del
# optimizador, no del schedule: los demás grupos tienen el learning rate que se pidió. Un target dos tokens
# más adelante puede venir del batch o del loss: decodifica un batch, `patients["A"].recipe().get_batch`, y
# mira.
# </details>
# <details><summary>Pista 3: el que tiene dos</summary>
#
# Es aquel en el que tu reparación ayuda y aparece otra hoja. Las dos hojas van en la ficha, y las dos partes; la
# evidencia es la del primer recorrido.
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
trial = practice.train(runs / "trial", parts=["init_weights"], settings={})
print(diagnosis.check(trial.path).leaf or t("healthy"))

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
    "leaves": [],
    "evidence": ["1.1", 6.25],
    "parts": [],
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
    "leaves": ["target-shift", "diverging"],
    "evidence": ["1.4", 2],
    "parts": ["loss", "build_optimizer"],
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
    "leaves": ["degenerate-data"],
    "evidence": ["1.6", 1],
    "parts": ["get_batch"],
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
    "leaves": ["missing-zero-grad"],
    "evidence": ["3.3", 0.866],
    "parts": ["step"],
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
    "leaves": ["always-clipping"],
    "evidence": ["3.1", 1.0],
    "parts": [],
    "settings": {"clip_norm": 1.0},
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
    "leaves": ["lr-group-scale"],
    "evidence": ["2.1", 0.0003],
    "parts": ["build_optimizer"],
    "settings": {},
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
# All six again, each as your chart asks; in grey, how they were. Then the tree, from top to bottom.

# %% [markdown] id="verify" lang="es" of="4e63f9e584bd"
# ## 6 · Comprueba
#
# Otra vez los seis, cada uno como pide tu ficha; en gris, como estaban. Después el árbol, de arriba abajo.


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
    after[letter] = patients[letter].train(runs / f"{letter}-treated", **repair)
    before_leaf, after_leaf = (diagnosis.check(run.path).leaf for run in (trained[letter], after[letter]))
    what = ", ".join([*repair["parts"], *repair["settings"]])
    print(f"{letter:4}{before_leaf or t('healthy'):30} {after_leaf or t('healthy'):14} {what}")

# %% id="before-after" folded=true
figure = Figure(figsize=(9.4, 1.9), layout="constrained")
for axes, letter in zip(figure.subplots(1, 6, sharey=True), LETTERS, strict=True):
    axes.axhline(chance, color="black", linestyle="--", linewidth=1)
    axes.plot(*trained[letter].columns.column("loss"), color="0.65", linewidth=1)
    if letter in after:
        axes.plot(*after[letter].columns.column("loss"), color="#0072b2")
    axes.set_title(letter, weight="bold", fontsize=10)
    axes.set(ylim=(0, 12), xlabel=t("step"))
    axes.tick_params(labelsize=7)
Picture().show(figure, t("before-after-alt"))

# %% [markdown] id="look-back" lang="en"
# Now look back: what had the curves alone told you?

# %% [markdown] id="look-back" lang="es" of="28e21a8b2024"
# Ahora mira atrás: ¿qué te habían dicho las curvas por sí solas?

# %% id="compare-first-look" compare=true
sound = [letter for letter, chart in charts.items() if not chart.get("leaves")]
compare("first-look", healthy=sound[0] if len(sound) == 1 else "?")

# %% [markdown] id="what-it-says" lang="en"
# Compare the grey and the blue curves. Some repairs change nothing that you can see in a curve: weight decay
# on the wrong tensors, first updates of the wrong size, an accumulation that weights all micro-batches
# equally. Those runs learn, and nobody would have looked at them twice. A model with a hundred layers,
# trained for a month, would have paid for it. That is what a check of conformance is for: it does not ask
# whether the loss falls; it asks whether each part does what its name says.
#
# ## 7 · Explain: the report
#
# The owner of the run with **two** faults was not there. In the cell below, write them the report that an
# engineer would want to read, in eight to twelve sentences: the symptom, as it looked before you knew; the
# evidence, with figures; both causes, and why the second could not be seen (or not be trusted) before the
# first was repaired; the repair, and the figure that proves it; and one measure that would have caught it on
# the first day. (Five points, one for each.)

# %% [markdown] id="what-it-says" lang="es" of="6db021ed55b4"
# Compara las curvas grises y las azules. Algunas reparaciones no cambian nada que se vea en una curva: weight
# decay en los tensores equivocados, unas primeras actualizaciones de otro tamaño, una acumulación que pondera
# igual todos los micro-batches. Esos runs aprenden, y nadie los habría mirado dos veces. Un modelo de cien
# capas entrenado durante un mes lo habría pagado. Para eso sirve una prueba de conformidad: no pregunta si el
# loss baja; pregunta si cada parte hace lo que dice su nombre.
#
# ## 7 · Explica: el informe
#
# La persona dueña del run con **dos** fallos no estaba presente. Escríbele, en la celda de abajo, el informe
# que querría leer alguien de ingeniería, en ocho a doce oraciones: el síntoma, como se veía antes de saber
# nada; la evidencia, con números; las dos causas, y por qué la segunda no se podía ver (o no era de fiar)
# antes de reparar la primera; la reparación y el número que la demuestra; y una medida que lo habría
# descubierto el primer día. (Cinco puntos, uno por cada parte.)

# %% [markdown] answer="post-mortem" points=5 lang="en"
# *Symptom.* The loss of the run rises, from ln V to about 11, while the log shows no NaN and no warning.
# *Evidence.* At question 1.4 all targets were the token two places ahead, and none was the next one. After
# that was repaired, question 2.3 showed that the optimizer moved nearly every weight up the gradient instead
# of down. *Causes.* The loss shifts targets that the loader has shifted already, so the model is taught to
# predict t + 2; and the optimizer was built to climb. As long as the targets were wrong, a loss that does not
# fall was to be expected and could be blamed on them: the second fault had an alibi. *Repair.* `loss` and
# `build_optimizer` put back; trained again, the run passes the whole tree, and its loss falls to about 5.
# *Prevention.* A rehearsal before each long run: decode one batch beside its targets, and take one step
# on a copy to see that the loss of that batch falls.
#
# ---
# **Rubric.** One point each, for the learner's own patient. (1) Symptom: what could be seen before the diagnosis,
# without naming the cause. (2) Evidence: the question and its figure, for both walks. (3) Both causes, with the part
# of the loop, and why the first hides or discredits the second. Two leaf names alone: half a point. (4) Repair, and
# a figure after it (the tree passes, a loss, a ratio). “It works now” earns nothing. (5) A measure that is specific
# to these faults and cheap: a probe at step 0, a test in CI, a rehearsal. “Be more careful” earns nothing.

# %% [markdown] answer="post-mortem" points=5 lang="es" of="75bd2625925f"
# *Síntoma.* El loss del run sube, de ln V a cerca de 11, y en el log no hay NaN ni advertencias. *Evidencia.* En la
# pregunta 1.4, todos los targets eran el token de dos posiciones más adelante y ninguno el siguiente. Reparado eso,
# la pregunta 2.3 mostró que el optimizador movía casi todos los pesos cuesta arriba, a favor del gradiente, y no
# cuesta abajo. *Causas.* El loss desplaza unos targets que el loader ya había desplazado, así que al modelo se le
# enseña a predecir t + 2; y el optimizador se construyó para maximizar. Mientras los targets estaban mal, un loss que
# no baja era lo esperable y se les podía achacar: el segundo fallo tenía coartada. *Reparación.* Se repusieron `loss`
# y `build_optimizer`; entrenado otra vez, el run pasa todo el árbol y su loss baja hasta cerca de 5. *Prevención.* Un
# ensayo antes de cada run largo: decodificar un batch junto a sus targets y dar un paso sobre una copia para ver que
# el loss de ese batch baja.
#
# ---
# **Rúbrica.** Un punto por cada parte, sobre el paciente propio. (1) Síntoma: lo que se podía ver antes del
# diagnóstico, sin nombrar la causa. (2) Evidencia: la pregunta y su número, en los dos recorridos. (3) Las dos
# causas, con la parte del bucle, y por qué la primera esconde o desacredita la segunda. Solo los nombres de dos
# hojas: medio punto. (4) Reparación, y un número posterior (el árbol pasa, un loss, un cociente). «Ya funciona» no da
# puntos. (5) Una medida propia de estos fallos y barata: una medida en el paso 0, una prueba en CI, un ensayo. «Tener
# más cuidado» no da puntos.

# %% [markdown] id="card" lang="en"
# ## 8 · A card to keep: the whole phase
#
# | ask, in this order | figure | a first suspect |
# |---|---|---|
# | **1** did it start? | loss₀ − ln V within 0.5; ‖g‖ from 0.1 to 10; batch twice ÷ once = 1 | `init_weights`, `loss`, `get_batch` |
# | **1** does it see only the past, and the next token? | targets shifted by one; no gradient from later tokens | `loss`, `build_model` |
# | **2** is the schedule applying? | the rate of *every* group, at every step, against the one asked for | `lr_at`, `build_optimizer` |
# | **3** are gradients sane? | usual ‖g‖ from 0.01 to 5; not every step clipped; nothing left over after a step | `clip_norm`, `step` |
# | **4** do the losses move together? | falls; validation within 1 nat; no line of it in training | `load_data`, `lr_max` |
# | **5** is the model sound? | std of each tensor ÷ the one that its role asks for; norms in every block | `init_weights`, `build_model` |
# | **6** is the optimizer coherent? | who decays; steps counted; each of the first five updates ÷ rate = 1; k micro-batches = one batch | `build_optimizer`, `step`, `accumulate` |
# | resume | bit for bit the run that nobody killed | the checkpoint |
#
# One leaf at a time: repair, train again, walk again from the top. And remember: **some runs are healthy.**
# Leave those alone.
#
# The last lesson of the phase, 18-09, does the same on loops that are not ours. Phase 19, from lesson 19-00 on, is
# about runs whose configuration is right and that break all the same.

# %% [markdown] id="card" lang="es" of="cfb7894e9814"
# ## 8 · Una tarjeta para guardar: toda la fase
#
# | pregunta, en este orden | número | primer sospechoso |
# |---|---|---|
# | **1** ¿arrancó? | loss₀ − ln V dentro de 0.5; ‖g‖ de 0.1 a 10; batch doble ÷ simple = 1 | `init_weights`, `loss`, `get_batch` |
# | **1** ¿ve solo el pasado, y el token siguiente? | targets desplazados en uno; ningún gradiente desde tokens posteriores | `loss`, `build_model` |
# | **2** ¿se aplica el schedule? | el learning rate de *cada* grupo, en cada paso, frente al que se pidió | `lr_at`, `build_optimizer` |
# | **3** ¿son razonables los gradientes? | ‖g‖ habitual de 0.01 a 5; no se recortan todos los pasos; no sobra nada después de un paso | `clip_norm`, `step` |
# | **4** ¿se mueven juntos los losses? | baja; validación a menos de 1 nat; ninguna línea suya en el entrenamiento | `load_data`, `lr_max` |
# | **5** ¿está bien hecho el modelo? | desviación estándar de cada tensor ÷ la que pide su papel; capas de normalización en cada bloque | `init_weights`, `build_model` |
# | **6** ¿es coherente el optimizador? | quién tiene decay; pasos contados; cada una de las cinco primeras actualizaciones ÷ learning rate = 1; k micro-batches = un batch | `build_optimizer`, `step`, `accumulate` |
# | reanudar | bit por bit, el run que nadie mató | el checkpoint |
#
# Una hoja a la vez: repara, entrena otra vez, recorre otra vez desde arriba. Y recuerda: **hay runs sanos.**
# A esos no los toques.
#
# La última lección de la fase, 18-09, hace lo mismo con bucles que no son nuestros. La fase 19, desde la lección
# 19-00, trata de runs cuya configuración es correcta y que se rompen de todos modos.

# %% [markdown] id="own-run" lang="en"
# ## 9 · On your own run
#
# Another loop, with nothing of this course in it but `Monitor`. A small network learns to go through the alphabet in
# steps of three, and somebody forgot one line. Walk it, put the line back, walk it again.

# %% [markdown] id="own-run" lang="es" of="566d86f72e62"
# ## 9 · En tu propio run
#
# Otro bucle, que de este curso solo tiene `Monitor`. Una red pequeña aprende a avanzar de tres en tres por el alfabeto,
# y alguien olvidó una línea. Recórrelo, vuelve a poner la línea y recórrelo otra vez.


# %% id="another-loop" compare=true
def train_letters(clears):
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Embedding(26, 24), torch.nn.Linear(24, 26))
    adam = torch.optim.AdamW(net.parameters(), lr=3e-3)
    shutil.rmtree(runs / "letters", ignore_errors=True)
    with Monitor(net, adam, vocab_size=26, run_dir=runs / "letters") as monitor:
        for _ in range(40):
            text = (torch.randint(0, 26, (16, 1)) + 3 * torch.arange(17)) % 26
            logits = net(text[:, :-1])
            loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), text[:, 1:].flatten())
            loss.backward()
            adam.step()
            if clears:
                adam.zero_grad()
            monitor.step(loss)
        return monitor.check()


for clears in (False, True):
    print(f"zero_grad={clears!s:7}{train_letters(clears).leaf or t('healthy')}")

# %% [markdown] id="sources" lang="en"
# ## 10 · Where this comes from
#
# **A true story.** When OpenAI reproduced a known algorithm in 2017, its program played the game *Seaquest* poorly.
# The cause was in no curve. The screen is turned into grey first, the factor for green was wrong, and the fish had
# disappeared from the picture. They found it by [looking at what the program
# sees](https://openai.com/index/openai-baselines-dqn/), wrote a tool that lets everybody do that, and put their order
# of work into four words: *fix bugs, then hyperparameters*.
#
# * A diary of such a search, month by month: Matthew Rahtz, 2018, [Lessons Learned Reproducing a Deep Reinforcement
#   Learning Paper](http://amid.fish/reproducing-deep-rl).
# * The two qualities that help most, by Karpathy: patience and attention to detail ([recipe](https://karpathy.github.io/2019/04/25/recipe/)).
# * The questions of all sections on one sheet, to print: `minigpt card`.
#
# **A hard bonus task.** You had five credits. Which five questions would you ask if you had to choose them **before**
# seeing the patient? Choose them so that the leaves that they leave together are as few as possible.
#
# <details><summary>Hint</summary>
#
# A question parts the leaves in which it can end from all the others. Take the one that leaves the smallest groups, again and again.
# </details>
#
# <details><summary>Show one solution</summary>
#
# ```python
# ends = {question.id: set(question.leaves) for question in diagnosis.QUESTIONS}
# groups = [set().union(*ends.values())]
#
# def split(groups, id):
#     return [part for group in groups for part in (group & ends[id], group - ends[id]) if part]
#
# for _ in range(5):
#     best = min(ends, key=lambda id: sum(len(part) ** 2 for part in split(groups, id)))
#     groups = split(groups, best)
#     print(best, len(groups), max(map(len, groups)))
# ```
#
# It prints the question, the number of groups, and the size of the largest one. After five questions most leaves are still together: what was chosen beforehand tells little, and so each answer should choose the next question.
# </details>

# %% [markdown] id="sources" lang="es" of="9fa96a70d397"
# ## 10 · De dónde viene esto
#
# **Una historia real.** Cuando OpenAI reprodujo en 2017 un algoritmo conocido, su programa jugaba mal a *Seaquest*.
# La causa no estaba en ninguna curva. La pantalla se pasa primero a grises, el factor del verde era incorrecto y los
# peces habían desaparecido de la imagen. Lo encontraron [mirando lo que ve el
# programa](https://openai.com/index/openai-baselines-dqn/), escribieron una herramienta para que cualquiera pueda
# hacerlo y resumieron su orden de trabajo: *primero los errores, después los hiperparámetros*.
#
# * El diario de una búsqueda así, mes a mes: Matthew Rahtz, 2018, [lo que
#   aprendió](http://amid.fish/reproducing-deep-rl).
# * Las dos cualidades que más ayudan, según Karpathy: paciencia y atención al detalle ([receta](https://karpathy.github.io/2019/04/25/recipe/)).
# * Las preguntas de todas las secciones en una hoja, para imprimir: `minigpt card`.
#
# **Un reto extra, difícil.** Tenías cinco créditos. ¿Qué cinco preguntas harías si tuvieras que elegirlas **antes**
# de ver al paciente? Elígelas de modo que las hojas que quedan juntas sean lo menos posible.
#
# <details><summary>Pista</summary>
#
# Una pregunta separa las hojas en las que puede terminar de todas las demás. Toma la que deje los grupos más pequeños, una y otra vez.
# </details>
#
# <details><summary>Mostrar una solución</summary>
#
# ```python
# ends = {question.id: set(question.leaves) for question in diagnosis.QUESTIONS}
# groups = [set().union(*ends.values())]
#
# def split(groups, id):
#     return [part for group in groups for part in (group & ends[id], group - ends[id]) if part]
#
# for _ in range(5):
#     best = min(ends, key=lambda id: sum(len(part) ** 2 for part in split(groups, id)))
#     groups = split(groups, best)
#     print(best, len(groups), max(map(len, groups)))
# ```
#
# Muestra la pregunta, cuántos grupos hay y el tamaño del mayor. Después de cinco preguntas, casi todas las hojas siguen juntas: lo que se elige de antemano dice poco, y por eso cada respuesta debería elegir la pregunta siguiente.
# </details>
