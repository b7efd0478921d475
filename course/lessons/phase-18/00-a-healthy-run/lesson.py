"""Lesson 18-00: a healthy run. What it leaves behind, and what to expect of it before it starts."""

# %% [markdown] id="why" lang="en"
# This course is about training runs that are broken and look fine. To notice that something is wrong you have
# to know what a healthy run looks like. So, after one surprise, nothing more breaks in this first lesson: you
# train one small GPT, and get to know it the way a doctor gets to know a healthy body.
#
# A *run* is one training of one model, with everything that it writes down. Afterwards you can
#
# * predict three numbers of a run before it starts: its first loss, its parameters, its tokens per step;
# * read what a run leaves behind: the manifest, the log, the dashboard;
# * walk the *stability check* by hand, the list of questions that every later lesson uses.
#
# Run the cells in order with **Shift + Enter**. The code is there to be read, and you may change it: nothing
# here can break your computer.

# %% [markdown] id="why" lang="es" of="29eaaa5b419a"
# Este curso trata de entrenamientos que están rotos y parecen estar bien. Para notar que algo va mal hay que
# saber cómo se ve un run sano. Por eso, después de una sorpresa, en esta primera lección no se rompe nada más:
# entrenas un pequeño GPT y lo conoces como un médico conoce un cuerpo sano.
#
# Un *run* es un entrenamiento de un modelo, con todo lo que deja escrito. Al terminar sabrás
#
# * decir tres números de un run antes de que empiece: su primer loss, cuántos parámetros tiene y cuántos
#   tokens ve por paso;
# * leer lo que un run deja: el manifest, el log, el dashboard;
# * recorrer a mano la *revisión de estabilidad*, la lista de preguntas que usan todas las demás lecciones.
#
# Ejecuta las celdas en orden con **Shift + Enter**. El código está para leerlo, y puedes cambiarlo: aquí nada
# puede dañar tu computadora.

# %% id="setup" setup=true
import json
import math
from pathlib import Path

import matplotlib
import torch
from matplotlib.figure import Figure
from rich.console import Console

from course.live_plot import LivePlot
from course.notebook import check, lesson, lesson_file, t
from course.picture import Picture
from course.predictions import compare, predict
from course.widgets import Choice, Slider, playground
from minigpt import Config, Recipe, dashboard, diagnosis, train
from minigpt.diagnosis.report import show
from minigpt.model.gpt import build_model
from minigpt.runs.run import Run
from minigpt.training.sampling import Sampler

lesson("18-00")
runs = Path("experiments") / "18-00"
torch.set_num_threads(1)
matplotlib.rcParams["font.size"] = 9

# %% [markdown] id="overnight" lang="en"
# ## Two runs, one night
#
# Before anything is explained, a question. Here are two runs of the same small GPT on the same text, recorded
# before. The *loss* says how wrong the model's guesses are, so lower is better. The dots are the loss on text
# that the model never trains on.
#
# You have one computer and one night. **Which of the two would you let run until the morning?**

# %% [markdown] id="overnight" lang="es" of="f343c19e166e"
# ## Dos runs, una noche
#
# Antes de explicar nada, una pregunta. Aquí hay dos runs del mismo GPT pequeño con el mismo texto, registrados
# de antemano. El *loss* dice cuánto se equivoca el modelo al adivinar: cuanto más bajo, mejor. Los puntos son el
# loss sobre texto con el que el modelo nunca entrena.
#
# Tienes una computadora y una noche. **¿Cuál de los dos dejarías correr hasta la mañana?**

# %% id="two-runs" folded=true
pair = json.loads(lesson_file("pair.json").read_text(encoding="utf-8"))
figure = Figure(figsize=(7.2, 2.7), layout="constrained")
for axes, (name, recorded) in zip(figure.subplots(1, 2, sharey=True), pair.items(), strict=True):
    axes.plot(recorded["step"], recorded["loss"], color="#0072b2", linewidth=1.3, label=t("training"))
    axes.plot(recorded["val_step"], recorded["val_loss"], "o", color="#d55e00", label=t("validation"))
    axes.set(title=name, xlabel=t("step"), ylabel="loss")
    axes.legend()
Picture().show(figure, t("two-runs-alt"))

# %% [markdown] id="choose" lang="en"
# Write `"A"` or `"B"` in place of the `...`, and run the cell.

# %% [markdown] id="choose" lang="es" of="19cd0c025154"
# Escribe `"A"` o `"B"` en lugar de los `...` y ejecuta la celda.

# %% id="my-choice"
predict("overnight", let_run=...)

# %% [markdown] id="what-they-write" lang="en"
# Now let both of them write. Each gets the same three beginnings:

# %% [markdown] id="what-they-write" lang="es" of="a45967a9aaf3"
# Ahora deja que los dos escriban. Cada uno recibe los mismos tres comienzos:

# %% id="reveal" compare=true
for name, recorded in pair.items():
    print(name, *recorded["writes"], sep="\n    ")
print()
compare("overnight", let_run="B")

# %% [markdown] id="break-one" lang="en"
# Run A has learnt nothing that it can use, and neither curve gives that away. Make a run like A yourself: the
# next cell trains for 60 steps, some seconds, with a single fault. Then the *stability check* looks at it.

# %% [markdown] id="break-one" lang="es" of="115e9bb194ab"
# El run A no aprendió nada que le sirva, y ninguna de las curvas lo delata. Haz tú un run como A: la celda
# siguiente entrena 60 pasos, unos segundos, con un solo fallo. Después lo mira la *revisión de estabilidad*.

# %% id="break-it"
short = Config(steps=60, warmup_steps=6, lr_max=5e-3, lr_min=5e-4, batch_size=16, accumulation=2)
broken = train(
    Recipe(short).with_fault("future-leak"), runs / "broken", callbacks=[LivePlot()], overwrite=True
)
show(diagnosis.walk(diagnosis.evidence_of(broken)), Console(width=88), whole=False)

# %% [markdown] id="why-it-fooled-you" lang="en"
# The attention of run A has no causal mask: while it trains, each token sees the ones after it, so the answer
# lies open on the table. When it writes there is no future to look at, and it is lost. The loss was honest
# about the wrong task. The check did not look at the curve at all. It asked whether a guess depends on later
# tokens, and one look at a fresh model was enough.
#
# That is what this course is about: **questions that find in seconds what a curve hides all night.** You have
# just broken your first model. From here on you learn what a healthy one looks like.

# %% [markdown] id="why-it-fooled-you" lang="es" of="ed7b16a82e4c"
# La atención del run A no tiene máscara causal: mientras entrena, cada token ve los que vienen después, así que
# tiene la respuesta sobre la mesa. Cuando escribe, no hay futuro que mirar y se pierde. El loss decía la verdad
# sobre la tarea equivocada. La revisión no miró la curva. Preguntó si lo que el modelo adivina depende de tokens
# posteriores, y le bastó una mirada a un modelo nuevo.
#
# De eso trata este curso: **de preguntas que encuentran en segundos lo que una curva esconde toda la noche.**
# Acabas de romper tu primer modelo. A partir de aquí aprendes cómo se ve uno sano.

# %% [markdown] id="meet" lang="en"
# ## 1 · Meet the model
#
# The model learns to conjugate verbs. Its text has one sentence a line, in Spanish and in English. It does
# not see letters but *tokens*, short pieces of text, each with a number: V of them make up the *vocabulary*.
# All a GPT does is guess, after each token, which one comes next.

# %% [markdown] id="meet" lang="es" of="40cb4e1974d6"
# ## 1 · Conoce el modelo
#
# El modelo aprende a conjugar verbos. Su texto tiene una oración por línea, en español y en inglés. No ve
# letras sino *tokens*, trozos cortos de texto, cada uno con un número: los V que hay forman el *vocabulario*.
# Lo único que hace un GPT es adivinar, después de cada token, cuál viene.

# %% id="the-text" compare=true
config = Config(
    steps=240, warmup_steps=24, lr_max=5e-3, lr_min=5e-4, batch_size=16, accumulation=2, eval_every=40
)
recipe = Recipe(config)
data = recipe.load_data(config)
V = config.vocab_size

first_tokens = data.train[:64]
print(*data.tokenizer.decode(first_tokens).splitlines()[:3], sep="\n")
print()
print("|".join(data.tokenizer.decode([token]) for token in first_tokens[:16]))

# %% [markdown] id="the-config" lang="en"
# The *config* says everything about the run before it starts. These are the lines that matter today:
#
# | setting | meaning |
# |---|---|
# | `vocab_size` | V, the number of different tokens |
# | `context` | T, how many tokens the model sees at once: one *sequence* |
# | `n_layer`, `n_embd` | L blocks, one after the other, each C numbers wide |
# | `batch_size` | sequences that go through the model together |
# | `accumulation` | how many such portions are added up before the weights change once |
# | `steps` | how often the weights change |

# %% [markdown] id="the-config" lang="es" of="67d00e408366"
# La configuración (*config*) dice todo sobre el run antes de que empiece. Estas son las líneas que importan
# hoy:
#
# | ajuste | significado |
# |---|---|
# | `vocab_size` | V, cuántos tokens distintos hay |
# | `context` | T, cuántos tokens ve el modelo a la vez: una *secuencia* |
# | `n_layer`, `n_embd` | L bloques, uno tras otro, cada uno de C números de ancho |
# | `batch_size` | secuencias que pasan juntas por el modelo |
# | `accumulation` | cuántas de esas porciones se suman antes de que los pesos cambien una vez |
# | `steps` | cuántas veces cambian los pesos |

# %% id="print-the-config" compare=true
for name in ("vocab_size", "context", "n_layer", "n_embd", "batch_size", "accumulation", "steps", "lr_max"):
    print(f"{name:14} {getattr(config, name)}")

# %% [markdown] id="predict" lang="en"
# ## 2 · Predict
#
# In this course you always guess before you look. A wrong guess that you wrote down teaches more than a right
# one that you read, and nobody grades it. Put a number in place of each `...`:
#
# * **The loss at step 0.** The *loss* is the mean of −ln p, where p is the probability that the model gave to
#   the token that really came next. A fresh model knows nothing, so it has no reason to prefer any of its V
#   tokens. Which p does each get, and what is −ln p? (`math.log` is the natural logarithm.)
# * **The number of parameters**, the numbers that training may change. The right order of magnitude is a good
#   answer: 10 thousand, 100 thousand, a million?
# * **The tokens per step.** How many tokens has the model seen before its weights change once?

# %% [markdown] id="predict" lang="es" of="c69bae746adb"
# ## 2 · Predice
#
# En este curso siempre adivinas antes de mirar. Una respuesta equivocada que anotaste te enseña más que una
# correcta que leíste, y nadie la califica. Escribe un número en lugar de cada `...`:
#
# * **El loss en el paso 0.** El *loss* es la media de −ln p, donde p es la probabilidad que el modelo le dio
#   al token que de verdad venía. Un modelo nuevo no sabe nada, así que no tiene por qué preferir ninguno de
#   sus V tokens. ¿Qué p le toca a cada uno, y cuánto es −ln p? (`math.log` es el logaritmo natural).
# * **El número de parámetros**, los números que el entrenamiento puede cambiar. Acertar el orden de magnitud
#   ya es una buena respuesta: ¿10 mil, 100 mil, un millón?
# * **Los tokens por paso.** ¿Cuántos tokens ha visto el modelo antes de que sus pesos cambien una vez?

# %% id="my-prediction"
predict("first-numbers", first_loss=..., parameters=..., tokens_a_step=...)

# %% [markdown] id="train" lang="en"
# ## 3 · Train it
#
# On the left the loss, on the right the *gradient norm*: how hard the data pull at the weights. The dashed
# line is ln V, the loss of a model that knows nothing.

# %% [markdown] id="train" lang="es" of="ccb44bfbbc3c"
# ## 3 · Entrénalo
#
# A la izquierda, el loss; a la derecha, la *norma del gradiente*: con cuánta fuerza tiran los datos de los
# pesos. La línea discontinua es ln V, el loss de un modelo que no sabe nada.

# %% id="train-healthy"
healthy = train(recipe, runs / "healthy", callbacks=[LivePlot()], overwrite=True)

# %% id="compare-prediction" compare=true
first = healthy.metrics[0]
compare(
    "first-numbers",
    first_loss=round(first["loss"], 2),
    parameters=f"{healthy.manifest['parameters']:,}",
    tokens_a_step=first["tokens"],
)
print(f"\nln {V} = {math.log(V):.2f}")

# %% [markdown] id="the-curve" lang="en"
# The first loss was no accident: every model that spreads its probability evenly over the vocabulary starts at
# ln V, large or small, today or in ten years. That makes it the cheapest check there is.
#
# And what do the numbers further down mean? They are easier to read beside models that know little. The dots
# are the loss on the *validation* text, which the model never trains on.

# %% [markdown] id="the-curve" lang="es" of="88721221ae89"
# El primer loss no fue casualidad: todo modelo que reparte su probabilidad por igual entre todo el vocabulario
# empieza en ln V, sea grande o pequeño, hoy o dentro de diez años. Por eso es la comprobación más barata que
# existe.
#
# ¿Y qué significan los números de más abajo? Se leen mejor al lado de modelos que saben poco. Los puntos son
# el loss sobre el texto de *validación*, con el que el modelo nunca entrena.

# %% id="anatomy" folded=true
baselines = next(probe for probe in healthy.probes if probe["kind"] == "baselines")
levels = {
    "knows-nothing": math.log(V),
    "knows-frequencies": baselines["unigram_entropy"],
    "knows-four-tokens": baselines["ngram_loss"],
}
figure = Figure(figsize=(7.2, 2.9), layout="constrained")
axes = figure.subplots()
axes.plot(*healthy.column("loss"), color="#0072b2", linewidth=1.3, label=t("training"))
axes.plot(*healthy.column("val_loss"), "o", color="#d55e00", label=t("validation"))
for name, level in levels.items():
    axes.axhline(level, color="black", linestyle="--", linewidth=0.8)
    axes.text(config.steps, level + 0.08, f"{t(name)}: {level:.2f}", ha="right")
axes.set(xlabel=t("step"), ylabel="loss", ylim=(1, 6.9))
axes.legend(loc="center right")
Picture().show(figure, t("anatomy-alt"))

# %% [markdown] id="read-the-curve" lang="en"
# A healthy curve, in three parts. First it falls steeply: within a few steps the model finds out which tokens
# are frequent. Then it drops below the line of those frequencies, which it can only do by looking at what
# came *before*. From there on it falls more and more slowly. The dots lie on the curve, so what the model
# learns holds for text that it has never seen. The lowest line, a simple count of what follows four tokens,
# is still ahead: 240 steps are not much.
#
# What does a model with such a loss write? Look:

# %% [markdown] id="read-the-curve" lang="es" of="a0dfcf335767"
# Una curva sana, en tres partes. Primero cae de golpe: en pocos pasos el modelo averigua qué tokens son
# frecuentes. Después baja de la línea de esas frecuencias, y eso solo lo puede lograr mirando lo que vino
# *antes*. Y luego baja cada vez más despacio. Los puntos caen sobre la curva: lo que el modelo aprende vale
# para texto que nunca ha visto. La línea de más abajo, que solo cuenta qué sigue a cuatro tokens, todavía queda
# lejos: 240 pasos no son muchos.
#
# ¿Qué escribe un modelo con ese loss? Mira:

# %% id="sample"
for line in Sampler.load(healthy.path).lines(["yo ", "ella ", "mañana "], temperature=0.5, seed=1):
    print(line)

# %% [markdown] id="read" lang="en"
# It has learnt what a line looks like, Spanish, a slash, English, and many words; the grammar will take longer.
#
# ## 4 · Read what it left behind
#
# A run that leaves nothing behind cannot be examined. This one left a folder:

# %% [markdown] id="read" lang="es" of="4edb18a95bc6"
# Aprendió cómo es una línea (español, una barra, inglés) y muchas palabras; la gramática tardará más.
#
# ## 4 · Lee lo que dejó
#
# Un run que no deja nada no se puede examinar. Este dejó una carpeta:

# %% id="folder" compare=true
print(*sorted(file.name for file in healthy.path.iterdir()), sep="\n")

# %% [markdown] id="manifest-first" lang="en"
# **`manifest.json`: what was asked for.** The whole config, the seed, the versions, the fingerprints of the
# data. Open it first in anybody's run: without knowing what was asked for, nobody can say whether a number is
# right.

# %% [markdown] id="manifest-first" lang="es" of="a4a18e554a39"
# **`manifest.json`: lo que se pidió.** La configuración entera, la semilla, las versiones, las huellas de los
# datos. Es lo primero que se abre en el run de cualquiera: sin saber qué se pidió, nadie puede decir si un
# número está bien.

# %% id="manifest" compare=true
for name in ("seed", "parameters", "processes", "starts_from", "faults"):
    print(f"{name:14} {healthy.manifest[name]}")
print(f"{'data':14} {healthy.manifest['data']['name']}")

# %% [markdown] id="metrics" lang="en"
# **`metrics.jsonl`: what happened.** One line a step, written at once, so that you can read it while the run
# is still training. Each line is a small JSON object. This is the first one:

# %% [markdown] id="metrics" lang="es" of="b8f55b6bc4c8"
# **`metrics.jsonl`: lo que pasó.** Una línea por paso, escrita al momento, para que puedas leerla mientras el
# run sigue entrenando. Cada línea es un pequeño objeto JSON. Esta es la primera:

# %% id="first-line"
log = (healthy.path / "metrics.jsonl").read_text()
print(log.splitlines()[0])

# %% [markdown] id="fields" lang="en"
# `grad_norm` is the gradient norm; `clipped` says whether it was cut down to `clip_norm`; `lr` is the learning
# rate of every group of parameters, as the optimizer used it. Some lines have more, such as `val_loss`.
#
# **`dashboard.html`: all of this in charts.** One file that needs no network. This cell makes it:

# %% [markdown] id="fields" lang="es" of="af964461ac0c"
# `grad_norm` es la norma del gradiente; `clipped` dice si se recortó hasta `clip_norm`; `lr` es el learning
# rate (tasa de aprendizaje) de cada grupo de parámetros, tal como lo usó el optimizador. Algunas líneas traen
# algo más, como `val_loss`.
#
# **`dashboard.html`: todo eso en gráficas.** Un solo archivo que no necesita red. Esta celda lo hace:

# %% id="dashboard" compare=true
page = healthy.path / "dashboard.html"
dashboard.write(page, dashboard.page([dashboard.from_run(healthy.path)]))
print(page)

# %% [markdown] id="open-the-dashboard" lang="en"
# Open it: in the list of files on the left, open the folders `experiments`, `18-00` and `healthy`,
# right-click `dashboard.html` and choose `Open in New Browser Tab`. Move the mouse over a curve, read the
# verdict at the top, and come back.
#
# ## 5 · Walk the tree by hand
#
# The *stability check* is a tree of questions, from the cheapest to the most expensive. You ask them in order
# and stop at the first that fails; its *leaf* is the name of the fault. A question can be answered in four
# ways:
#
# * **`pass`**: as it should be;
# * **`warn`**: odd, but no proof of a fault; keep an eye on it;
# * **`fail`**: broken;
# * **`not measured`**: the run did not record the data that the question needs. That is an honest answer, and
#   often the most useful one.
#
# Here are four of its questions.
#
# | question | what to look at | `pass` | `warn` | `fail` |
# |---|---|---|---|---|
# | **1.1** Did it start at chance? | Δ = loss at step 0 − ln V | −0.5 to 0.5 | 0.5 to 1.76 | above 1.76, below −0.5 |
# | **1.2** Is the first gradient of a sane size? | gradient norm at step 0 | 0.1 to 10 | 10 to 100, 0.001 to 0.1 | above 100, below 0.001 |
# | **2.2** Does the warm-up end at the top? | learning rate at the last step of the warm-up ÷ `lr_max` | 0.95 or more | | less |
# | **4.2** Does validation keep step with training? | validation loss − training loss | up to 0.5 | 0.5 to 1 | more than 1 |
#
# (Where does 1.76 come from? With this vocabulary ln V is 6.24, and 6.24 + 1.76 = 8: a first loss above 8 is no
# longer chance with some noise.)
#
# And this is what the log says. **What is your verdict on each?**

# %% [markdown] id="open-the-dashboard" lang="es" of="ee0a25be5288"
# Ábrelo: en la lista de archivos de la izquierda entra en las carpetas `experiments`, `18-00` y `healthy`, haz
# clic en `dashboard.html` con el botón derecho y elige `Abrir en una Nueva Pestaña del Navegador` (en inglés,
# `Open in New Browser Tab`). Pasa el cursor por una curva; lee el veredicto de arriba. Después vuelve.
#
# ## 5 · Recorre el árbol a mano
#
# La *revisión de estabilidad* es un árbol de preguntas, de la más barata a la más cara. Las haces en orden y te
# detienes en la primera que falla; su *hoja* es el nombre del fallo. Una pregunta tiene cuatro respuestas
# posibles:
#
# * **`pass`**: está como debe;
# * **`warn`**: es raro, pero no prueba un fallo; no lo pierdas de vista;
# * **`fail`**: está roto;
# * **`not measured`** (no se midió): el run no registró los datos que la pregunta necesita. Es una respuesta
#   honesta, y a menudo la más útil.
#
# Aquí tienes cuatro de sus preguntas.
#
# | pregunta | qué mirar | `pass` | `warn` | `fail` |
# |---|---|---|---|---|
# | **1.1** ¿Arrancó al nivel del azar (ln V)? | Δ = loss en el paso 0 − ln V | de −0.5 a 0.5 | de 0.5 a 1.76 | más de 1.76, menos de −0.5 |
# | **1.2** ¿Tiene el primer gradiente un tamaño razonable? | norma del gradiente en el paso 0 | de 0.1 a 10 | de 10 a 100, de 0.001 a 0.1 | más de 100, menos de 0.001 |
# | **2.2** ¿Termina el warm-up en lo más alto? | learning rate en el último paso del warm-up ÷ `lr_max` | 0.95 o más | | menos |
# | **4.2** ¿Va la validación a la par del entrenamiento? | loss de validación − loss de entrenamiento | hasta 0.5 | de 0.5 a 1 | más de 1 |
#
# (¿De dónde sale 1.76? Con este vocabulario ln V es 6.24, y 6.24 + 1.76 = 8: un primer loss de más de 8 ya no es
# azar con un poco de ruido.)
#
# Y esto es lo que dice el log. **¿Cuál es tu veredicto en cada una?**

# %% id="evidence" compare=true
records = healthy.metrics
end_of_warm_up = records[config.warmup_steps - 1]
recent = [record["loss"] for record in records[-10:]]
print("1.1", f"{first['loss']:.2f} - {math.log(V):.2f} = {first['loss'] - math.log(V):+.2f}")
print("1.2", f"{first['grad_norm']:.2f}")
print("2.2", f"{end_of_warm_up['lr']['decay']} / {config.lr_max}")
print("4.2", f"{records[-1]['val_loss']:.1f} - {sum(recent) / 10:.1f}")

# %% id="my-verdicts"
predict("by-hand", q1_1=..., q1_2=..., q2_2=..., q4_2=...)

# %% [markdown] id="walker" lang="en"
# The program `minigpt check` asks all of the questions. The list is long, and you need not understand all of
# it today: every section has its own lesson. Find your four questions, and those that it could not answer.

# %% [markdown] id="walker" lang="es" of="164e12626403"
# El programa `minigpt check` hace todas las preguntas. Es una lista larga, y hoy no hace falta entenderlas
# todas: cada sección tiene su propia lección. Busca tus cuatro preguntas y las que no pudo responder.

# %% id="walk"
walk = diagnosis.check(healthy.path)
show(walk, Console(width=88))

# %% id="compare-verdicts" compare=true
verdicts = {finding.question: finding.verdict.value for finding in walk.findings}
compare(
    "by-hand",
    **{f"q{question.replace('.', '_')}": verdicts[question] for question in ("1.1", "1.2", "2.2", "4.2")},
)

# %% [markdown] id="play" lang="en"
# ### Where are all the parameters? Turn the knobs
#
# Each time you move something, a model of that shape is set up and its parameters are counted, part by part.
# The percentages say how much of the model a part is. Drag a slider, or click it and use the arrow keys; or
# click the number beside it, type another and press Enter. Four things to find:
#
# 1. Double the width C from 64 to 128. By which factor do attention and MLP grow? And the token embedding?
# 2. Put C back to 64 and double the number of blocks L instead.
# 3. Put L back to 2 and take the vocabulary of GPT-2, 50,257 tokens. What is most of the model now? What
#    happens to ln V?
# 4. Now the rest of GPT-2: 12 blocks, 768 wide. How many parameters does the model known as “124M” have?

# %% [markdown] id="play" lang="es" of="ba8714341363"
# ### ¿Dónde están todos los parámetros? Gira las perillas
#
# Cada vez que mueves algo se arma un modelo de esa forma y se cuentan sus parámetros, parte por parte. Los
# porcentajes dicen cuánto del modelo es cada parte. Arrastra un control, o haz clic en él y usa las flechas
# del teclado; o haz clic en el número de al lado, escribe otro y presiona Enter. Cuatro cosas por descubrir:
#
# 1. Duplica el ancho C, de 64 a 128. ¿Por cuánto se multiplican la atención y el MLP? ¿Y el embedding de
#    tokens?
# 2. Vuelve a poner C en 64 y duplica el número de bloques L.
# 3. Vuelve a poner L en 2 y toma el vocabulario de GPT-2, 50,257 tokens. ¿Qué es ahora casi todo el modelo?
#    ¿Qué le pasa a ln V?
# 4. Ahora el resto de GPT-2: 12 bloques, 768 de ancho. ¿Cuántos parámetros tiene el modelo conocido como
#    «124M»?

# %% id="playground" folded=true
PARTS = {"tokens": "wte", "positions": "wpe", "attention": ".attn.", "mlp": ".mlp.", "norms": "ln_"}


def draw(figure, n_layer, n_embd, vocab_size):
    shape = Config(n_layer=n_layer, n_embd=n_embd, n_head=1, vocab_size=vocab_size)
    with torch.device("meta"):
        weights = dict(build_model(shape).named_parameters())
    counts = [sum(w.numel() for name, w in weights.items() if key in name) for key in PARTS.values()]
    total = sum(counts)
    axes = figure.subplots()
    bars = axes.barh([t(part) for part in PARTS], counts, color="#0072b2")
    axes.bar_label(bars, [f" {count:,}  ({count / total:.0%})" for count in counts])
    axes.set_xlim(0, 1.35 * max(counts))
    axes.invert_yaxis()
    axes.set_xticks([])
    axes.set_title(f"{t('parameters')}: {total:,}      ln V = {math.log(vocab_size):.2f}", fontsize=10)


playground(
    draw,
    n_layer=Slider(t("blocks"), 1, 12, 2),
    n_embd=Slider(t("width"), 16, 768, 64, step=16),
    vocab_size=Choice(t("vocabulary"), {str(size): size for size in (512, 8192, 50_257)}),
)

# %% [markdown] id="play-answers" lang="en"
# <details><summary>What you should have found</summary>
#
# 1. Attention and MLP by 4: their matrices have C rows *and* C columns (or 3C, or 4C). The embedding only by 2:
#    it has C numbers for each token.
# 2. By 2, of course: twice as many blocks. Width is expensive, depth is cheap.
# 3. The embedding is nearly all of it. Small models with large vocabularies are mostly dictionary. And ln V
#    grows only from 6.24 to 10.82: a first loss of 10.8 means a vocabulary of GPT-2's size.
# 4. Nearly 124 million. (The rest of the way is 1,024 positions in place of 64, and biases.)
# </details>

# %% [markdown] id="play-answers" lang="es" of="990211383bab"
# <details><summary>Lo que deberías haber encontrado</summary>
#
# 1. La atención y el MLP, por 4: sus matrices tienen C filas *y* C columnas (o 3C, o 4C). El embedding, solo
#    por 2: tiene C números por cada token.
# 2. Por 2, claro: el doble de bloques. El ancho sale caro; la profundidad, barata.
# 3. El embedding es casi todo. Los modelos pequeños con vocabularios grandes son sobre todo diccionario. Y ln
#    V solo sube de 6.24 a 10.82: un primer loss de 10.8 delata un vocabulario como el de GPT-2.
# 4. Casi 124 millones. (Lo que falta son 1,024 posiciones en lugar de 64, y los biases).
# </details>

# %% [markdown] id="write" lang="en"
# ## 6 · Now you
#
# Four small functions. Below each one there are *checks*: small questions, from coarse to fine. Run them as
# often as you like; one that fails tells you what it thinks went wrong. Stuck? Open a hint. There is no
# penalty.
#
# Write your code in place of `raise NotImplementedError`, run that cell, then the checks below it.
#
# ### Exercise 1 · Tokens
#
# > Difficulty ●○○○○ · Importance ●●●●○ · 5 minutes
#
# Write `tokens(config)`. It returns two whole numbers: the tokens that the model sees **in one step**, and the
# tokens that it sees **in the whole run**. A step is one change of the weights; `config.accumulation` portions
# of `config.batch_size` sequences of `config.context` tokens go into it.
#
# <details><summary>Hint</summary>
#
# `return a, b` returns two numbers. The second is the first times the number of steps.
# </details>

# %% [markdown] id="write" lang="es" of="fed8347b7ff0"
# ## 6 · Ahora tú
#
# Cuatro funciones pequeñas. Debajo de cada una hay *comprobaciones*: preguntas pequeñas, de lo grueso a lo
# fino. Ejecútalas cuantas veces quieras; la que falla te dice qué cree que salió mal. ¿Te atascaste? Abre una
# pista. No cuesta puntos.
#
# Escribe tu código en lugar de `raise NotImplementedError`, ejecuta esa celda y después las comprobaciones que
# la siguen.
#
# ### Ejercicio 1 · Tokens
#
# > Dificultad ●○○○○ · Importancia ●●●●○ · 5 minutos
#
# Escribe `tokens(config)`. Devuelve dos números enteros: los tokens que el modelo ve **en un paso** y los que
# ve **en todo el run**. Un paso es un cambio de los pesos; en él entran `config.accumulation` porciones de
# `config.batch_size` secuencias de `config.context` tokens.
#
# <details><summary>Pista</summary>
#
# `return a, b` devuelve dos números. El segundo es el primero por el número de pasos.
# </details>


# %% solution="tokens"
def tokens(config):
    ### BEGIN SOLUTION
    a_step = config.batch_size * config.accumulation * config.context
    return a_step, a_step * config.steps
    ### END SOLUTION


# %% check="tokens/step" points=1
check("tokens/step", tokens)

# %% check="tokens/accumulation" points=1
check("tokens/accumulation", tokens)

# %% check="tokens/run" points=1
check("tokens/run", tokens)

# %% [markdown] id="task-parameters" lang="en"
# ### Exercise 2 · Parameters
#
# > Difficulty ●●○○○ · Importance ●●●●○ · 10 minutes
#
# Every parameter of the model, with its shape (h.0 is the first block, h.1 the second):

# %% [markdown] id="task-parameters" lang="es" of="d2913c0096db"
# ### Ejercicio 2 · Parámetros
#
# > Dificultad ●●○○○ · Importancia ●●●●○ · 10 minutos
#
# Todos los parámetros del modelo, con su forma (h.0 es el primer bloque; h.1, el segundo):

# %% id="shapes" compare=true
for name, weight in build_model(config).named_parameters():
    print(f"{name:22} {tuple(weight.shape)}")

# %% [markdown] id="task-parameters-2" lang="en"
# Write `count_parameters(config)`: how many numbers is that, for any V = `config.vocab_size`, T =
# `config.context`, L = `config.n_layer` and C = `config.n_embd`? There are no biases.
#
# One thing is missing from the list: the *head*, the matrix (V, C) that turns the last block's output into a
# score for each token. Here it **is** the token embedding, one tensor with two names (`tied_head`), and a
# tensor counts once. Where `config.tied_head` is False it is a matrix of its own.
#
# <details><summary>Hint 1: one block</summary>
#
# Attention: 3C · C and C · C. MLP: 4C · C and C · 4C. Two norms with C numbers each.
# </details>
# <details><summary>Hint 2: outside the blocks</summary>
#
# Token embedding V · C, position embedding T · C, one last norm C, and the head if it stands alone.
# </details>

# %% [markdown] id="task-parameters-2" lang="es" of="ecf2804816c5"
# Escribe `count_parameters(config)`: ¿cuántos números son, con cualquier V = `config.vocab_size`, T =
# `config.context`, L = `config.n_layer` y C = `config.n_embd`? No hay biases.
#
# En la lista falta algo: la *cabeza*, la matriz (V, C) que convierte la salida del último bloque en una
# puntuación para cada token. Aquí **es** el embedding de tokens, un tensor con dos nombres (`tied_head`), y un
# tensor se cuenta una vez. Donde `config.tied_head` es False, es una matriz aparte.
#
# <details><summary>Pista 1: un bloque</summary>
#
# Atención: 3C · C y C · C. MLP: 4C · C y C · 4C. Dos capas de normalización con C números cada una.
# </details>
# <details><summary>Pista 2: fuera de los bloques</summary>
#
# Embedding de tokens V · C, embedding de posiciones T · C, una última capa de normalización C, y la cabeza si
# va aparte.
# </details>


# %% solution="parameters"
def count_parameters(config):
    ### BEGIN SOLUTION
    V, T, L, C = config.vocab_size, config.context, config.n_layer, config.n_embd
    block = 4 * C * C + 8 * C * C + 2 * C
    head = 0 if config.tied_head else V * C
    return V * C + T * C + L * block + C + head
    ### END SOLUTION


# %% check="parameters/course" points=1
check("parameters/course", count_parameters)

# %% check="parameters/any-shape" points=1
check("parameters/any-shape", count_parameters)

# %% check="parameters/head" points=1
check("parameters/head", count_parameters)

# %% [markdown] id="task-log" lang="en"
# ### Exercise 3 · A log with a torn end
#
# > Difficulty ●●○○○ · Importance ●●●○○ · 10 minutes
#
# A run writes its log as it trains, and somebody may pull the plug in the middle of a line:

# %% [markdown] id="task-log" lang="es" of="958b1174d7a1"
# ### Ejercicio 3 · Un log con el final roto
#
# > Dificultad ●●○○○ · Importancia ●●●○○ · 10 minutos
#
# Un run escribe su log mientras entrena, y alguien puede desconectar la máquina a la mitad de una línea:

# %% id="torn" compare=true
torn = "".join(f'{{"step": {step}, "loss": {6.25 - 0.02 * step:.2f}}}\n' for step in range(3))[:-9]
print(torn)

# %% [markdown] id="task-log-2" lang="en"
# Write `read_log(text)`: a list with one dict for each line. `json.loads(line)` makes a dict of a line, and
# raises a `ValueError` where the line is not JSON.
#
# * A **last line that is torn** is left out: the run did nothing wrong, it only ended there.
# * A last line that is whole stays, even without a line break after it.
# * A **broken line before the last** is another matter: something has damaged the file. Let the `ValueError`
#   through, so that somebody notices.
# * An empty text has no lines.
#
# <details><summary>Hint</summary>
#
# `text.splitlines()` gives the lines. Go through them with `enumerate`, and put `json.loads` into a
# `try … except ValueError`. In the `except`: if it is not the last line, `raise`.
# </details>

# %% [markdown] id="task-log-2" lang="es" of="0d05240a8454"
# Escribe `read_log(text)`: una lista con un diccionario por línea. `json.loads(line)` convierte una línea en
# un diccionario, y lanza un `ValueError` si la línea no es JSON.
#
# * Una **última línea rota** se deja fuera: el run no hizo nada mal, solo terminó ahí.
# * Una última línea entera se queda, aunque después de ella no haya salto de línea.
# * Una **línea rota antes de la última** es otra cosa: algo dañó el archivo. Deja pasar el `ValueError`, para
#   que alguien se entere.
# * Un texto vacío no tiene líneas.
#
# <details><summary>Pista</summary>
#
# `text.splitlines()` da las líneas. Recórrelas con `enumerate` y pon `json.loads` dentro de un `try … except
# ValueError`. En el `except`: si no es la última línea, `raise`.
# </details>


# %% solution="read-log"
def read_log(text):
    ### BEGIN SOLUTION
    lines, found = text.splitlines(), []
    for number, line in enumerate(lines, start=1):
        try:
            found.append(json.loads(line))
        except ValueError:
            if number < len(lines):
                raise
    return found
    ### END SOLUTION


# %% check="read-log/whole" points=1
check("read-log/whole", read_log)

# %% check="read-log/torn" points=1
check("read-log/torn", read_log)

# %% check="read-log/last-line" points=1
check("read-log/last-line", read_log)

# %% check="read-log/damaged" points=1
check("read-log/damaged", read_log)

# %% [markdown] id="task-question" lang="en"
# ### Exercise 4 · One question of the tree
#
# > Difficulty ●●○○○ · Importance ●●●●● · 10 minutes
#
# Question 1.2 as code. Write `first_gradient(records)`: it takes the records of a log, a list of dicts as
# `read_log` returns it, and gives the verdict on the gradient norm **of step 0**.
#
# | `grad_norm` of step 0 | returns |
# |---|---|
# | 0.1 to 10 | `"pass"` |
# | 10 to 100, or 0.001 to 0.1 | `"warn"` |
# | above 100, or below 0.001 | `"fail"` |
# | there is no record of step 0, or it has no `grad_norm` | `"not measured"` |
#
# <details><summary>Hint</summary>
#
# A log may begin later than at step 0, so look for the record whose `"step"` is 0. `record.get("grad_norm")`
# gives None where a record has none.
# </details>

# %% [markdown] id="task-question" lang="es" of="f2e67269a8e9"
# ### Ejercicio 4 · Una pregunta del árbol
#
# > Dificultad ●●○○○ · Importancia ●●●●● · 10 minutos
#
# La pregunta 1.2 hecha código. Escribe `first_gradient(records)`: recibe los registros de un log, una lista de
# diccionarios como la que devuelve `read_log`, y da el veredicto sobre la norma del gradiente **del paso 0**.
#
# | `grad_norm` del paso 0 | devuelve |
# |---|---|
# | de 0.1 a 10 | `"pass"` |
# | de 10 a 100, o de 0.001 a 0.1 | `"warn"` |
# | más de 100, o menos de 0.001 | `"fail"` |
# | no hay registro del paso 0, o no tiene `grad_norm` | `"not measured"` |
#
# <details><summary>Pista</summary>
#
# Un log puede empezar después del paso 0, así que busca el registro cuyo `"step"` es 0.
# `record.get("grad_norm")` da None si el registro no lo tiene.
# </details>


# %% solution="first-gradient"
def first_gradient(records):
    ### BEGIN SOLUTION
    norms = [record.get("grad_norm") for record in records if record["step"] == 0]
    if not norms or norms[0] is None:
        return "not measured"
    if 0.1 <= norms[0] <= 10:
        return "pass"
    return "warn" if 0.001 <= norms[0] <= 100 else "fail"
    ### END SOLUTION


# %% check="first-gradient/healthy" points=1
check("first-gradient/healthy", first_gradient)

# %% check="first-gradient/odd" points=1
check("first-gradient/odd", first_gradient)

# %% check="first-gradient/broken" points=1
check("first-gradient/broken", first_gradient)

# %% check="first-gradient/not-measured" points=1
check("first-gradient/not-measured", first_gradient)

# %% [markdown] id="verify" lang="en"
# ## 7 · Verify
#
# Your functions against the run. First the two counts, then the log with its last line torn off in the middle,
# read by you and by the trainer's own reader, and last your verdict beside the walker's.

# %% [markdown] id="verify" lang="es" of="e7facbbd2205"
# ## 7 · Comprueba
#
# Tus funciones frente al run. Primero, las dos cuentas; después, el log con su última línea cortada a la
# mitad, leído por ti y por el lector del propio trainer; y al final, tu veredicto junto al del árbol.

# %% id="verify-counts" compare=true
logged = [record["tokens"] for record in healthy.metrics]
print(f"{'':16}{t('yours'):>12}{t('the-run'):>12}")
print(f"{t('parameters'):16}{count_parameters(config):12,}{healthy.manifest['parameters']:12,}")
for name, yours, said in zip(
    ("tokens_a_step", "tokens-in-all"), tokens(config), (logged[0], sum(logged)), strict=True
):
    print(f"{t(name):16}{yours:12,}{said:12,}")
print(f"{t('times-through'):16}{tokens(config)[1] / len(data.train):12.1f}")

# %% id="verify-log" compare=true
killed = runs / "killed"
killed.mkdir(exist_ok=True)
for name in ("manifest.json", "metrics.jsonl"):
    text = (healthy.path / name).read_text()
    (killed / name).write_text(text if name == "manifest.json" else text[:-20])
print(len(read_log((killed / "metrics.jsonl").read_text())), len(Run(killed).metrics))

# %% id="verify-question" compare=true
print("1.2", first_gradient(read_log(log)), verdicts["1.2"])
print("1.2", first_gradient(read_log(log)[100:]))

# %% [markdown] id="explain" lang="en"
# ## 8 · Explain
#
# A colleague sends you the picture of a loss curve, nothing else. It falls nicely. *“Is my run healthy?”*
#
# Answer in three to six sentences, in the cell below. Name **three things** that you ask to see, each from
# another place: one that says what was *asked for*, one that says how the run *started*, and one that says
# how it *continued*. For each, say what you would compare it with. (Three points, one for each.)

# %% [markdown] id="explain" lang="es" of="eac13981a28a"
# ## 8 · Explica
#
# Un colega te manda la imagen de una curva de loss, y nada más. Baja de maravilla. *«¿Está sano mi run?»*
#
# Responde en tres a seis oraciones, en la celda de abajo. Nombra **tres cosas** que le pides ver, cada una de
# un lugar distinto: una que diga qué se *pidió*, una que diga cómo *arrancó* el run y una que diga cómo
# *siguió*. Para cada una, di con qué la compararías. (Tres puntos, uno por cada una).

# %% [markdown] answer="explain-to-a-colleague" points=3 lang="en"
# I cannot tell from a curve alone. First I ask for the manifest or the config: the size of the vocabulary, the
# schedule, and the batch, because without them no number can be right or wrong. Then the first line of the
# log: its loss should lie within half a nat of ln V, and its gradient norm between 0.1 and 10. Then what was
# measured along the way: the validation loss, which should stay within half a nat of the training loss, and
# the learning rate of every group, which should be the one that the config asks for.
#
# ---
# **Rubric.** One point each. (1) Asked for: manifest or config, with a setting that a number is compared with
# (V for ln V, the schedule, the batch). (2) Start: the loss of step 0 against ln V, or the first gradient norm
# against its band. (3) Later: something measured besides the training loss, against what it should be:
# validation against training, learning rate against the config, gradient norm against its band. “Train
# longer and see” earns nothing.

# %% [markdown] answer="explain-to-a-colleague" points=3 lang="es" of="d0671dffe3b0"
# Con una curva sola no lo puedo saber. Primero le pido el manifest o la configuración: el tamaño del
# vocabulario, el schedule y el batch, porque sin eso ningún número puede estar bien o mal. Después, la primera
# línea del log: su loss debe estar a menos de medio nat de ln V, y su norma del gradiente, entre 0.1 y 10.
# Después, lo que se midió por el camino: el loss de validación, que debe seguir a menos de medio nat del de
# entrenamiento, y el learning rate de cada grupo, que debe ser el que pide la configuración.
#
# ---
# **Rúbrica.** Un punto por cada una. (1) Lo que se pidió: el manifest o la configuración, con un ajuste con el
# que se compara algún número (V para ln V, el schedule, el batch). (2) El arranque: el loss del paso 0 frente
# a ln V, o la primera norma del gradiente frente a su banda. (3) Lo que siguió: algo que se midió además del
# loss de entrenamiento, frente a lo que debería ser: validación frente a entrenamiento, learning rate frente a
# la configuración, norma del gradiente frente a su banda. «Entrenar más y ver» no da puntos.

# %% [markdown] id="card" lang="en"
# ## 9 · A card to keep
#
# What a healthy run looks like, and where it is written.
#
# | what | healthy | where |
# |---|---|---|
# | loss at step 0 | ln V ± 0.5 | first line of `metrics.jsonl`; V in `manifest.json` |
# | gradient norm at step 0 | 0.1 to 10 | first line of `metrics.jsonl` |
# | learning rate of every group | what the config asks for, at every step | `lr` in every line |
# | validation loss | within 0.5 of the training loss | `val_loss`, now and then |
# | parameters | the number you counted from the config | `manifest.json` |
# | tokens per step | batch size × accumulation × context | `tokens` in every line |
#
# The verdict of all questions: `!minigpt check experiments/18-00/healthy`, in a new cell of this notebook (the
# `!` hands the line to the shell). In the next lesson, 18-01, something breaks.

# %% [markdown] id="card" lang="es" of="413160237214"
# ## 9 · Una tarjeta para guardar
#
# Cómo se ve un run sano, y dónde está escrito.
#
# | qué | sano | dónde |
# |---|---|---|
# | loss en el paso 0 | ln V ± 0.5 | primera línea de `metrics.jsonl`; V está en `manifest.json` |
# | norma del gradiente en el paso 0 | de 0.1 a 10 | primera línea de `metrics.jsonl` |
# | learning rate de cada grupo | el que pide la configuración, en todos los pasos | `lr`, en todas las líneas |
# | loss de validación | a menos de 0.5 del de entrenamiento | `val_loss`, de vez en cuando |
# | parámetros | los que contaste a partir de la configuración | `manifest.json` |
# | tokens por paso | tamaño del batch × acumulación × contexto | `tokens`, en todas las líneas |
#
# El veredicto de todas las preguntas: `!minigpt check experiments/18-00/healthy`, en una celda nueva de este
# cuaderno (el `!` le pasa la línea a la terminal). En la próxima lección, 18-01, algo se rompe.

# %% [markdown] id="own-run" lang="en"
# ## 10 · On your own run
#
# Your functions read any log that has a step, a loss and a gradient norm in each line. Here it is that of another
# loop: a tiny network learns which of 20 letters comes next, and its log breaks off in the middle of the last line.

# %% [markdown] id="own-run" lang="es" of="29bc2dbd8e13"
# ## 10 · En tu propio run
#
# Tus funciones leen cualquier log que tenga en cada línea un paso, un loss y una norma del gradiente. Aquí es el de
# otro bucle: una red diminuta aprende cuál de 20 letras viene después, y su log se corta en medio de la última línea.

# %% id="another-loop" compare=true
torch.manual_seed(0)
net = torch.nn.Sequential(torch.nn.Embedding(20, 16), torch.nn.Linear(16, 20))
sgd, lines = torch.optim.SGD(net.parameters(), lr=0.5), []
for step in range(30):
    letters = torch.randint(0, 20, (64,))
    loss = torch.nn.functional.cross_entropy(net(letters), (letters + 1) % 20)
    loss.backward()
    norm = torch.nn.utils.clip_grad_norm_(net.parameters(), math.inf)
    lines.append(json.dumps({"step": step, "loss": loss.item(), "grad_norm": norm.item()}))
    sgd.step()
    sgd.zero_grad()
foreign = read_log("\n".join(lines)[:-9])
near = abs(foreign[0]["loss"] - math.log(20)) < 0.5
print(f"{t('whole-lines')}: {len(foreign)}")
print(f"{t('near-chance')}: {t('yes' if near else 'no')}")
print(f"{t('its-gradient')}: {first_gradient(foreign)}")

# %% [markdown] id="sources" lang="en"
# ## 11 · Where this comes from
#
# **A true story.** In May 2017 OpenAI looked through ten popular reimplementations of algorithms that learn by
# reward. Six of them had subtle bugs, found by somebody in the community and confirmed by the author. None of the six
# crashed: [the report](https://openai.com/index/openai-baselines-dqn/) calls them non-breaking. Its first advice is
# that of this lesson: compare with something that knows nothing. There it is a player that acts at random; here it is
# ln V.
#
# * The list that many people start from: Andrej Karpathy, [A Recipe for Training Neural Networks](https://karpathy.github.io/2019/04/25/recipe/), 2019.
# * Counting parameters and tokens from the config: Kaplan et al., 2020, [2001.08361](https://arxiv.org/abs/2001.08361),
#   section 2.1.
# * A GPT of 300 lines to read beside this one: [nanoGPT](https://github.com/karpathy/nanoGPT).
#
# **A hard bonus task.** Between ln V and your model lies another ruler: a model that looks at **one** token and
# guesses the next from how often it followed in the training text. What is its loss on the validation text? Guess
# first, then compute it from counts, without training anything.
#
# <details><summary>Hint</summary>
#
# Count the pairs in a table of V × V. A pair that never occurred must not get probability 0: start every count at 1.
# </details>
#
# <details><summary>Show one solution</summary>
#
# ```python
# seen = torch.as_tensor(data.train).long()
# unseen = torch.as_tensor(data.validation).long()
# counts = torch.ones(V, V)
# counts.index_put_((seen[:-1], seen[1:]), torch.ones(len(seen) - 1), accumulate=True)
# odds = counts / counts.sum(dim=1, keepdim=True)
# print(-odds[unseen[:-1], unseen[1:]].log().mean())
# ```
#
# It prints 2.76, in half a second.
# </details>

# %% [markdown] id="sources" lang="es" of="f1baa8ac6bdc"
# ## 11 · De dónde viene esto
#
# **Una historia real.** En mayo de 2017, OpenAI revisó diez reimplementaciones muy usadas de algoritmos que aprenden
# por recompensa. Seis tenían errores sutiles, que alguien de la comunidad encontró y el autor confirmó. Ninguna de
# las seis fallaba a la vista: [el informe](https://openai.com/index/openai-baselines-dqn/) habla de errores que no
# rompen nada. Su primer consejo es el de esta lección: compara con algo que no sepa nada. Allí es un jugador que
# actúa al azar; aquí es ln V.
#
# * La lista por la que empieza mucha gente: la [receta](https://karpathy.github.io/2019/04/25/recipe/) de Andrej Karpathy, 2019.
# * Contar parámetros y tokens a partir de la configuración: Kaplan et al., 2020,
#   [2001.08361](https://arxiv.org/abs/2001.08361), sección 2.1.
# * Un GPT de 300 líneas para leer al lado de este: [nanoGPT](https://github.com/karpathy/nanoGPT).
#
# **Un reto extra, difícil.** Entre ln V y tu modelo hay otra regla de medir: un modelo que mira **un** solo token y
# adivina el siguiente según cuántas veces le siguió en el texto de entrenamiento. ¿Cuánto vale su loss en el texto de
# validación? Primero adivina y después calcúlalo con conteos, sin entrenar nada.
#
# <details><summary>Pista</summary>
#
# Cuenta los pares en una tabla de V × V. Un par que nunca apareció no debe tener probabilidad 0: empieza todos los conteos en 1.
# </details>
#
# <details><summary>Mostrar una solución</summary>
#
# ```python
# seen = torch.as_tensor(data.train).long()
# unseen = torch.as_tensor(data.validation).long()
# counts = torch.ones(V, V)
# counts.index_put_((seen[:-1], seen[1:]), torch.ones(len(seen) - 1), accumulate=True)
# odds = counts / counts.sum(dim=1, keepdim=True)
# print(-odds[unseen[:-1], unseen[1:]].log().mean())
# ```
#
# Muestra 2.76, en medio segundo.
# </details>
