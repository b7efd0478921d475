"""Lesson 19-00: hooks, activations and moments; what looking costs, and how it can change the run."""

# %% [markdown] id="why" lang="en"
# In Phase 18 the fault was in the configuration, and the log was enough. From here on the configuration is right
# and the run breaks all the same. To see why, you have to look **inside** while it trains: what comes out of the
# layers, how large are Adam's moments?
#
# An instrument has two ways to fail. It can cost so much that somebody switches it off before the night it is
# needed. And it can **change the run** that it watches. Here you meet both. Afterwards you can
#
# * prove that an instrument leaves the run as it is, bit for bit;
# * write an inspector that costs less than 2 %, and measure that it does;
# * read from Adam's moments whether its memory is out of date.
#
# Run the cells in order with **Shift + Enter**.

# %% [markdown] id="why" lang="es" of="3425459b31ff"
# En la fase 18 el fallo estaba en la configuración, y bastaba el log. De aquí en adelante la configuración es
# correcta, y aun así el run se rompe. Para ver por qué, hay que mirar **adentro** mientras se entrena: ¿qué sale de
# las capas, qué tamaño tienen los momentos de Adam?
#
# Un instrumento puede fallar de dos maneras. Puede costar tanto que alguien lo apague antes de la noche en que hace
# falta. Y puede **cambiar el run** que vigila. Aquí te vas a encontrar con las dos. Al terminar sabrás
#
# * demostrar que un instrumento deja el run como está, bit por bit;
# * escribir un inspector que cueste menos del 2 %, y medirlo;
# * leer en los momentos de Adam si su memoria está atrasada.
#
# Ejecuta las celdas en orden con **Shift + Enter**.

# %% id="setup" setup=true
import io
import logging
import time
from collections import Counter
from pathlib import Path

import matplotlib
import numpy as np
import torch
from matplotlib.figure import Figure

from course.live_plot import LivePlot
from course.notebook import check, lesson, t
from course.picture import Picture
from course.predictions import compare, predict
from course.widgets import Slider, playground
from minigpt import Config, Recipe, diagnosis, train
from minigpt.data.batches import get_batch
from minigpt.diagnosis.tree import Verdict

lesson("19-00")
runs = Path("experiments") / "19-00"
torch.set_num_threads(1)
matplotlib.rcParams["font.size"] = 9

# %% [markdown] id="meet" lang="en"
# ## 1 · A run that misbehaves
#
# A small GPT with dropout, in as plain a loop as there can be. A colleague wants to see how large the activations
# are. So every 20 steps he sends the batch through the model once more and looks at the logits. He updates nothing.

# %% [markdown] id="meet" lang="es" of="59b449b61d55"
# ## 1 · Un run que se porta mal
#
# Un GPT pequeño con dropout, en un bucle de lo más simple. Un colega quiere ver qué tamaño tienen las activaciones. Así
# que cada 20 pasos pasa el batch otra vez por el modelo y mira los logits. No actualiza nada.

# %% id="facts" compare=true
config = Config(steps=80, warmup_steps=8, lr_max=3e-3, batch_size=8, dropout=0.1, eval_every=0)
recipe = Recipe(config)
tokens = recipe.load_data(config).train
batches = [get_batch(tokens, config, step) for step in range(config.steps)]


def run(look=None, plot=None, limit=config.clip_norm, weight_of=lambda step: 1):
    torch.manual_seed(config.seed)
    model = recipe.build_model(config)
    recipe.init_weights(model, config)
    optimizer = recipe.build_optimizer(model, config)
    losses = []
    for step, batch in enumerate(batches):
        for group in optimizer.param_groups:
            group["lr"] = recipe.lr_at(step, config)
        loss = recipe.loss(model(batch.inputs), batch.targets, batch.mask)
        (loss * weight_of(step)).backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), limit).item()
        optimizer.step()
        if look:
            look(model, optimizer, step, batch)
        optimizer.zero_grad()
        losses.append(loss.item())
        if plot:
            plot.update(step=step, loss=losses[-1], grad_norm=norm)
    return losses


def colleagues_look(model, optimizer, step, batch):
    if step % 20 == 0:
        with torch.no_grad():
            model(batch.inputs).abs().max()


for name in ("steps", "batch_size", "dropout"):
    print(f"{name:12} {getattr(config, name)}")

# %% [markdown] id="predict" lang="en"
# ## 2 · Predict
#
# He uses `no_grad` and touches no weight. **In how many of the 80 steps** does the loss of his run differ from the
# loss of a run that nobody looks at?

# %% [markdown] id="predict" lang="es" of="6e5f11613c5c"
# ## 2 · Predice
#
# Usa `no_grad` y no toca ningún peso. **¿En cuántos de los 80 pasos** difiere el loss de su run del de un run que nadie
# mira?

# %% id="my-prediction"
predict("looked-at", steps_that_differ=...)

# %% [markdown] id="break" lang="en"
# ## 3 · Break it

# %% [markdown] id="break" lang="es" of="a3e5f61bd7ca"
# ## 3 · Rómpelo

# %% id="train-both"
with LivePlot(steps=config.steps, vocab_size=config.vocab_size) as plot:
    alone = run(plot=plot)
looked_at = run(colleagues_look)

# %% id="compare-prediction" compare=true
differ = [step for step, pair in enumerate(zip(alone, looked_at, strict=True)) if pair[0] != pair[1]]
compare("looked-at", steps_that_differ=len(differ))
print(f"{t('first-that-differs')}: {differ[0]}")

# %% [markdown] id="changed" lang="en"
# Starting with the step after the first look, **every** loss is different. The model was in training mode, so his look
# drew dropout masks, and it drew them from the same generator that the next step draws from. From then on his run
# is another run. It is not a worse one. But the run that broke last night can no longer be repeated with the
# instrument on, and the fault that he is looking for may be gone when he looks.
#
# ## 4 · Inspect
#
# ### Watch the pass that runs anyway
#
# A forward hook sees what happens anyway: no second pass, no random number, no change of mode. What does it cost?
# That depends on what you do in it. Here are three instruments, each with hooks on every layer: one takes the RMS
# of each output at each step; one keeps the outputs in a list, “for later”; one takes the RMS at every 20th step.
# Next to each pass with hooks the cell runs one without them, on the same batch, sometimes before and sometimes
# after it, and takes the median of all those pairs. The number after the ± says how far that median can be trusted;
# a cost below it is no measurement.

# %% [markdown] id="changed" lang="es" of="15c3cad032c6"
# Desde el paso que sigue a la primera mirada, **todos** los losses son otros. El modelo estaba en modo de
# entrenamiento, así que esa mirada generó máscaras de dropout, con los números aleatorios que iba a usar el paso
# siguiente. Desde ahí su run es otro run. No es peor. Pero el run que anoche se rompió ya no se puede repetir con el
# instrumento puesto, y el fallo que busca puede no estar cuando mira.
#
# ## 4 · Inspecciona
#
# ### Mirar la pasada que se hace de todos modos
#
# Un forward hook ve lo que ocurre de todos modos: sin otra pasada, sin números aleatorios, sin cambiar de modo.
# ¿Cuánto cuesta? Depende de lo que hagas en él. Aquí hay tres instrumentos, los tres con hooks en todas las capas:
# uno toma el RMS de cada salida en cada paso; otro guarda las salidas en una lista, «para después»; otro toma el
# RMS cada 20 pasos. Junto a cada pasada con hooks, la celda ejecuta una sin ellos, con el mismo batch, unas veces
# antes y otras después, y toma la mediana de todas esas parejas. El número que sigue al ± dice hasta dónde se puede
# confiar en esa mediana; un costo menor que él no es una medición.


# %% id="costs"
def leaves(model):
    return [(name, module) for name, module in model.named_modules() if not list(module.children())]


def cost_of(hook, every, passes=40):
    torch.manual_seed(config.seed)
    model = recipe.build_model(config)
    recipe.init_weights(model, config)
    more = []
    for number, batch in enumerate(batches[:passes]):
        took = {}
        for looks in (number % 2 == 0, number % 2 == 1):
            started = time.process_time()
            hooks = [module.register_forward_hook(hook) for _, module in leaves(model)] if looks else []
            recipe.loss(model(batch.inputs), batch.targets, batch.mask).backward()
            for each in hooks:
                each.remove()
            took[looks] = time.process_time() - started
        more.append(took[True] / took[False] - 1)
    low, cost, high = np.percentile(more, [25, 50, 75])
    error = 2 * 0.93 * (high - low) / passes**0.5
    return cost / every, error / every


shelf, readings = [], []


def take_rms(module, given, output):
    readings.append(output.detach().square().mean().sqrt().item())


instruments = {
    "each-step": (take_rms, 1),
    "keeps-outputs": (lambda module, given, output: shelf.append(output), 1),
    "now-and-then": (take_rms, 20),
}
for name, (hook, every) in instruments.items():
    shelf.clear()
    cost, error = cost_of(hook, every)
    kept = sum(output.numel() * output.element_size() for output in shelf) / 2**20
    told = t("within-noise", error=error) if cost < error else f"{cost:.1%} ± {error:.1%}"
    print(f"{t(name):34} {told:>26}   {kept:7.0f} MiB")
shelf.clear()

# %% [markdown] id="costs-said" lang="en"
# The percentages are those of your machine at this moment; run the cell twice and see how much they move. Two things to
# take away:
#
# * **The whole trick is to look seldom.** What costs 10 % when done at each step costs 0.5 % at every 20th.
# * **Keeping a tensor keeps its graph**: everything that `backward()` would need, as long as you hold it. The second
#   instrument computes nothing, and it fills the memory. Keep numbers.
#
# ### An instrument that nobody takes off
#
# Two common slips. A hook is registered at every step and never removed. And a handler is added to the log at every
# epoch, in the function that prepares the epoch. Here is a tiny network over three epochs, once without these slips
# and once with them. How many lines does a single step leave in the log in each epoch? And are the last steps more
# than three times as slow as the first?

# %% [markdown] id="costs-said" lang="es" of="277a0997432f"
# Los porcentajes son los de tu máquina en este momento; ejecuta la celda dos veces y mira cuánto se mueven. Dos cosas
# para llevarte:
#
# * **Todo el truco está en mirar pocas veces.** Lo que cuesta un 10 % en cada paso cuesta un 0.5 % cada 20.
# * **Guardar un tensor guarda su grafo**: todo lo que `backward()` necesitaría, mientras lo tengas. El segundo
#   instrumento no calcula nada, y llena la memoria. Guarda números.
#
# ### Un instrumento que nadie quita
#
# Dos descuidos frecuentes. En cada paso se registra un hook y nunca se quita. Y en cada época se le agrega un
# handler al log, en la función que prepara la época. Aquí hay una red diminuta durante tres épocas, una vez sin
# esos descuidos y otra con ellos. ¿Cuántas líneas deja un solo paso en el log en cada época? ¿Y tardan los últimos
# pasos más del triple que los primeros?


# %% id="left-on" compare=true
def three_epochs(tidy):
    log, pages = logging.Logger("loop"), io.StringIO()
    net = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.ReLU(), torch.nn.Linear(8, 1))
    sgd = torch.optim.SGD(net.parameters(), lr=0.1)
    sizes, seconds = [], []
    for step in range(600):
        started = time.process_time()
        if step % 200 == 0 and (step == 0 or not tidy):
            log.addHandler(logging.StreamHandler(pages))
        hook = net[0].register_forward_hook(lambda module, given, output: sizes.append(output.std().item()))
        net(torch.randn(16, 8)).square().mean().backward()
        sgd.step()
        sgd.zero_grad()
        if tidy:
            hook.remove()
        log.info(step)
        seconds.append(time.process_time() - started)
    lines = Counter(pages.getvalue().split())
    slower = np.median(seconds[-50:]) / np.median(seconds[:50])
    return [lines[str(step)] for step in (100, 300, 500)], bool(slower > 3)


for name, tidy in {"tidy": True, "left-on": False}.items():
    lines, slow = three_epochs(tidy)
    print(f"{t(name):16} {t('lines')} {lines}   {t('slow')} {t(str(slow))}")

# %% [markdown] id="stale-memory" lang="en"
# The loss shows neither. The log has each step of the second epoch twice and each of the third three times, so
# every mean, rate and spike that is read from it is wrong: leaf `duplicate-logging`, question 11.3 of the stability
# check. And a late step calls all the hooks that were ever registered: leaf `slow-step`, question 11.6. A list that
# keeps tensors, or a memory that grows, does the same. So look for what **grows with the step**: time one step at
# the start and one at the end, and count the lines that a step leaves.
#
# ### Is Adam's memory up to date? Turn the knob
#
# Adam divides by √v̂, the root of a running mean of the squared gradients. When gradients grow quickly, that mean
# lags behind, and the steps become too long. The measure is RMSₜ = √mean(g² ÷ v̂) for each tensor: 1 means that v̂ is
# up to date, and the authors of StableAdamW speak of a spike at 2.3 and above.
#
# Here the gradients have had size 1 for a long time, and at step 50 they change to size s. On the left, their size
# and √v̂; on the right, RMSₜ.
#
# 1. Set s to 10. How high does RMSₜ go, and how long does it stay above 2.3?
# 2. Move β₂ from 0.99 to 0.9, then to 0.999. What changes: the height or the length?
# 3. Set s to 0.1. Does RMSₜ show the drop?

# %% [markdown] id="stale-memory" lang="es" of="b6db9ea48b3b"
# El loss no muestra ninguno de los dos. El log tiene cada paso de la segunda época dos veces y cada uno de la
# tercera tres veces, así que cualquier media, ritmo o pico que se lea de él está mal: hoja `duplicate-logging`,
# pregunta 11.3 de la revisión de estabilidad. Y un paso tardío llama a todos los hooks que alguna vez se
# registraron: hoja `slow-step`, pregunta 11.6. Una lista que guarda tensores o una memoria que crece hacen lo
# mismo. Así que busca lo que **crece con el paso**: mide cuánto tarda un paso del comienzo y uno del final, y
# cuenta las líneas que deja un paso.
#
# ### ¿Está al día la memoria de Adam? Gira la perilla
#
# Adam divide entre √v̂, la raíz de una media móvil de los gradientes al cuadrado. Cuando los gradientes crecen de
# golpe, esa media se queda atrás y los pasos salen demasiado largos. La medida es RMSₜ = √media(g² ÷ v̂) para cada
# tensor: 1 significa que v̂ está al día, y a partir de 2.3 los autores de StableAdamW hablan de un pico.
#
# Aquí los gradientes han tenido el tamaño 1 durante mucho tiempo, y en el paso 50 pasan al tamaño s. A la
# izquierda, su tamaño y √v̂; a la derecha, RMSₜ.
#
# 1. Pon s en 10. ¿Hasta dónde sube RMSₜ, y cuánto tiempo se queda por encima de 2.3?
# 2. Lleva β₂ de 0.99 a 0.9, y después a 0.999. ¿Qué cambia: la altura o la duración?
# 3. Pon s en 0.1. ¿Muestra RMSₜ la caída?

# %% id="playground" folded=true
noise = torch.randn(150, 256, generator=torch.Generator().manual_seed(0))


def draw(figure, s, beta2):
    sizes = np.where(np.arange(150) < 50, 1.0, s)
    second, roots, ratios = torch.ones(256), [], []
    for step in range(150):
        gradient = float(sizes[step]) * noise[step]
        second = beta2 * second + (1 - beta2) * gradient.square()
        roots.append(second.mean().sqrt().item())
        ratios.append((gradient.square() / second).mean().sqrt().item())
    left, right = figure.subplots(1, 2)
    left.plot(sizes, color="0.5", label="g")
    left.plot(roots, color="#0072b2", label="√v̂")
    left.set(xlabel=t("step"), yscale="log", ylim=(0.02, 50))
    left.legend(fontsize=8)
    right.plot(ratios, color="#d55e00")
    right.axhline(2.3, color="black", linestyle="--", linewidth=1)
    right.set(xlabel=t("step"), title="RMSₜ", ylim=(0, 12))
    right.title.set_fontsize(10)


playground(
    draw,
    size=(8.4, 2.3),
    s=Slider(t("size-after"), 0.1, 30.0, 1.0, log=True),
    beta2=Slider("β₂", 0.9, 0.999, 0.99, step=0.001),
)

# %% [markdown] id="play-answers" lang="en"
# <details><summary>What you should have found</summary>
#
# 1. With β₂ = 0.99 the first large gradient enters v̂ with a weight of only a hundredth, so RMSₜ jumps to about 6,
#    and it is back below 2.3 some 20 steps later.
# 2. Both: the smaller β₂ is, the lower and the shorter. With 0.9 it passes 2.3 for a single step; with 0.999 it
#    goes to about 9 and stays up for a hundred steps and more.
# 3. Yes, but not as a warning: RMSₜ falls *below* 1 for a while. Steps that are too short slow the run down but do
#    not break it. The measure warns of growth only.
# </details>

# %% [markdown] id="play-answers" lang="es" of="cd71ea070317"
# <details><summary>Lo que deberías haber encontrado</summary>
#
# 1. Con β₂ = 0.99, el primer gradiente grande entra en v̂ con una ponderación de solo una centésima, así que RMSₜ
#    salta a cerca de 6 y vuelve a bajar de 2.3 unos 20 pasos después.
# 2. Las dos cosas: cuanto menor es β₂, menos sube y menos dura. Con 0.9 pasa de 2.3 un solo paso; con 0.999 llega a
#    cerca de 9 y se queda arriba cien pasos o más.
# 3. Sí, pero no como aviso: RMSₜ se queda *por debajo* de 1 un tiempo. Los pasos demasiado cortos frenan el run, pero
#    no lo rompen. La medida avisa solo del crecimiento.
# </details>

# %% [markdown] id="task-inspect" lang="en"
# ## 5 · Fix
#
# ### Exercise 1 · An inspector
#
# > Difficulty ●●●○○ · Importance ●●●●● · 15 minutes
#
# Write `inspect_run(model, batches, every)`. It runs `model(batch)` once for each batch, and returns a dict: for
# the steps 0, `every`, 2 · `every`, … the RMS of the output of each **leaf** module (one without children), by its
# name in `named_modules()`: `{0: {"h.0.mlp.c_fc": 0.31, …}, 20: {…}}`.
#
# * RMS is √mean(x²), as a plain number.
# * On every other step **no hook is on the model**, and none is left at the end. The model stays in the mode that it
#   is in.
#
# <details><summary>Hint</summary>
#
# `register_forward_hook` returns a handle; `handle.remove()` takes the hook off. A hook made in a loop needs its own
# name: make it in a function that takes the name.
# </details>

# %% [markdown] id="task-inspect" lang="es" of="b5a8ad4a217c"
# ## 5 · Arregla
#
# ### Ejercicio 1 · Un inspector
#
# > Dificultad ●●●○○ · Importancia ●●●●● · 15 minutos
#
# Escribe `inspect_run(model, batches, every)`. Ejecuta `model(batch)` una vez con cada batch y devuelve un
# diccionario: para los pasos 0, `every`, 2 · `every`, … el RMS de la salida de cada módulo **hoja** (uno sin otros
# dentro), por su nombre en `named_modules()`: `{0: {"h.0.mlp.c_fc": 0.31, …}, 20: {…}}`.
#
# * El RMS es √media(x²), como número de Python, no como tensor.
# * En los demás pasos **no hay ningún hook en el modelo**, y al final no queda ninguno. El modelo sigue en el modo en
#   que está.
#
# <details><summary>Pista</summary>
#
# `register_forward_hook` devuelve un objeto; su `remove()` quita el hook. Un hook creado en un bucle necesita su
# propio nombre: créalo en una función que reciba el nombre.
# </details>


# %% solution="inspect-run"
def inspect_run(model, batches, every):
    ### BEGIN SOLUTION
    records = {}

    def note(name, found):
        def hook(module, given, output):
            found[name] = output.detach().square().mean().sqrt().item()

        return hook

    for step, batch in enumerate(batches):
        placed = []
        if step % every == 0:
            records[step] = {}
            for name, module in model.named_modules():
                if not any(True for _ in module.children()):
                    placed.append(module.register_forward_hook(note(name, records[step])))
        model(batch)
        for handle in placed:
            handle.remove()
    return records
    ### END SOLUTION


# %% check="inspect-run/values" points=2
check("inspect-run/values", inspect_run)

# %% check="inspect-run/due" points=1
check("inspect-run/due", inspect_run)

# %% check="inspect-run/leaves" points=1
check("inspect-run/leaves", inspect_run)

# %% check="inspect-run/quiet" points=2
check("inspect-run/quiet", inspect_run)

# %% [markdown] id="task-rms" lang="en"
# ### Exercise 2 · RMSₜ, and a bug in code that looks right
#
# > Difficulty ●●●○○ · Importance ●●●●○ · 15 minutes
#
# A colleague reads Adam's memory like this, and reports that *every* run begins with a warning, whatever the data:
#
# ```python
# for w in optimizer.param_groups[0]["params"]:
#     v = optimizer.state[w]["exp_avg_sq"]
#     print((w.grad.square() / v).mean().sqrt())
# ```
#
# The formula is the right one. What is `exp_avg_sq` after the very first step? And what about tensors of the other
# groups, and tensors that had no gradient?
#
# Write `update_rms(optimizer)`. It is called after `optimizer.step()` and before the gradients are cleared, for
# `AdamW`. It returns a list of numbers: RMSₜ of each tensor that has a gradient, of all groups, in their order. Each
# tensor's state holds `exp_avg_sq` and `step` (the number of its steps); β₂ is `group["betas"][1]`.
#
# <details><summary>Hint</summary>
#
# v̂ = v ÷ (1 − β₂^step). Lesson 18-06 has the reason.
# </details>

# %% [markdown] id="task-rms" lang="es" of="3786582c7212"
# ### Ejercicio 2 · RMSₜ, y un error en código que parece correcto
#
# > Dificultad ●●●○○ · Importancia ●●●●○ · 15 minutos
#
# Un colega lee así la memoria de Adam, y reporta que *todos* los runs empiezan con un aviso, sean cuales sean los
# datos:
#
# ```python
# for w in optimizer.param_groups[0]["params"]:
#     v = optimizer.state[w]["exp_avg_sq"]
#     print((w.grad.square() / v).mean().sqrt())
# ```
#
# La fórmula es la correcta. ¿Cuánto vale `exp_avg_sq` tras el primer paso? ¿Y los tensores de los otros grupos, y los
# que no tuvieron gradiente?
#
# Escribe `update_rms(optimizer)`. Se llama después de `optimizer.step()` y antes de limpiar los gradientes, con
# `AdamW`. Devuelve una lista de números: el RMSₜ de cada tensor que tiene gradiente, de todos los grupos, en su
# orden. El estado de cada tensor tiene `exp_avg_sq` y `step` (el número de sus pasos); β₂ es `group["betas"][1]`.
#
# <details><summary>Pista</summary>
#
# v̂ = v ÷ (1 − β₂^step). La razón está en la lección 18-06.
# </details>


# %% solution="update-rms"
def update_rms(optimizer):
    ### BEGIN SOLUTION
    found = []
    for group in optimizer.param_groups:
        beta2 = group["betas"][1]
        for weight in group["params"]:
            if weight.grad is not None:
                state = optimizer.state[weight]
                second = state["exp_avg_sq"] / (1 - beta2 ** state["step"].item())
                found.append((weight.grad.square() / second.clamp(min=1e-30)).mean().sqrt().item())
    return found
    ### END SOLUTION


# %% check="update-rms/late" points=1
check("update-rms/late", update_rms)

# %% check="update-rms/early" points=2
check("update-rms/early", update_rms)

# %% check="update-rms/missing" points=1
check("update-rms/missing", update_rms)

# %% [markdown] id="verify" lang="en"
# ## 6 · Verify
#
# Two questions about an instrument, in this order. **Is the run the same?** And what does it cost? First your
# `update_rms`, every 20 steps, in the run of section 1; then your `inspect_run` on its batches:

# %% [markdown] id="verify" lang="es" of="4e91ce63f31a"
# ## 6 · Comprueba
#
# Dos preguntas sobre un instrumento, en este orden. **¿Es el mismo run?** ¿Y cuánto cuesta? Primero tu
# `update_rms`, cada 20 pasos, en el run de la sección 1; después tu `inspect_run`, con sus batches:

# %% id="same-run" compare=true
stale, spent = [], 0.0


def my_look(model, optimizer, step, batch):
    global spent
    started = time.perf_counter()
    if step % 20 == 0:
        stale.append(max(update_rms(optimizer)))
    spent += time.perf_counter() - started


started = time.perf_counter()
watched = run(my_look)
whole = time.perf_counter() - started
print(f"{t('same-run')}: {t(str(watched == alone))}")

# %% id="activations"
print(f"{t('cost')}: {spent / whole:.1%}\n")
torch.manual_seed(config.seed)
model = recipe.build_model(config)
recipe.init_weights(model, config)
found = inspect_run(model.eval(), [batch.inputs for batch in batches[:21]], every=20)
for name in ("wte", "h.0.mlp.c_fc", "h.1.mlp.c_fc", "ln_f", "lm_head"):
    print(f"{name:16}" + "".join(f"{found[step][name]:10.3f}" for step in found))

# %% [markdown] id="figure-text" lang="en"
# ### A figure from a paper, in miniature: first RMSₜ, then the loss
#
# What is the measure good for? The authors of StableAdamW trained models of images and text, and found that a spike
# of the loss came 1 to 8 steps *after* the step in which RMSₜ had leapt (Wortsman et al., 2023). Their gradients grew
# by themselves. Here we make one grow: in step 50 a batch counts a hundred times, and nothing is clipped. On the left
# is the median of your RMSₜ over all tensors, on the right how much higher the loss is than in the same run without
# that accident. **How many steps lie between the two?**

# %% [markdown] id="figure-text" lang="es" of="55e4436bf6c9"
# ### Una figura de un artículo, en pequeño: primero RMSₜ, después el loss
#
# ¿Para qué sirve la medida? Los autores de StableAdamW entrenaron modelos de imágenes y texto, y encontraron que un
# pico del loss llegaba de 1 a 8 pasos *después* del paso en que había saltado RMSₜ (Wortsman et al., 2023). Sus
# gradientes crecieron solos. Aquí hacemos crecer uno: en el paso 50 un batch cuenta cien veces, y no se recorta nada.
# A la izquierda está la mediana de tu RMSₜ sobre todos los tensores; a la derecha, cuánto más alto es el loss que en
# el mismo run sin ese accidente. **¿Cuántos pasos hay entre lo uno y lo otro?**

# %% id="first-rms" folded=true
typical = []


def note_typical(model, optimizer, step, batch):
    typical.append(np.median(update_rms(optimizer)))


calm = run(limit=1e9)
shaken = run(note_typical, limit=1e9, weight_of=lambda step: 100 if step == 50 else 1)
gap = np.array(shaken) - np.array(calm)

figure = Figure(figsize=(7.6, 2.3), layout="constrained")
left, right = figure.subplots(1, 2)
left.plot(typical, color="#d55e00")
left.axhline(2.3, color="black", linestyle="--", linewidth=1)
left.set(xlim=(40, 70), title="RMSₜ")
right.plot(gap, color="#0072b2")
right.set(xlim=(40, 70), title=t("loss-gap"))
for axes in (left, right):
    axes.axvline(50, color="0.7", linewidth=3, zorder=0)
    axes.set_xlabel(t("step"))
    axes.title.set_fontsize(10)
Picture().show(figure, t("first-rms-alt"))

# %% id="which-first" compare=true
leapt = next(step for step in range(20, config.steps) if typical[step] > 2.3)
rose = next(step for step in range(config.steps) if gap[step] > 0.1)
print(f"{t('rms-leaps')}: {t('step')} {leapt}   {t('loss-there')}: {gap[leapt]:.1f}")
print(f"{t('loss-follows')}: {t(str(1 <= rose - leapt <= 8))}")

# %% [markdown] id="figure-said" lang="en"
# In the step in which RMSₜ leaps, the loss equals that of the calm run, to the last bit: it was measured before the
# update. It climbs in the steps after that, because Adam's first moment carries the long gradient along. So the order
# is that of the paper, and whoever watches RMSₜ is told before there is anything to see in the loss.
#
# Two things are not as in the paper. There the spikes heal; here the loss is still higher 30 steps later, because v̂
# remembers that gradient as well, and all the steps since are short. And there a smaller β₂ gives fewer spikes; we
# tried 0.9, 0.99 and 0.999, and after this single blow the loss rises with each of them.

# %% [markdown] id="figure-said" lang="es" of="ba093d997879"
# En el paso en que salta RMSₜ, el loss es idéntico al del run en calma, hasta el último bit: se midió antes de la
# actualización. Sube en los pasos siguientes, porque el primer momento de Adam arrastra el gradiente largo. Así que
# el orden es el del artículo, y quien vigila RMSₜ se entera antes de que haya algo que ver en el loss.
#
# Dos cosas no son como en el artículo. Allá los picos sanan; aquí el loss sigue más alto 30 pasos después, porque
# también v̂ se acuerda de ese gradiente, y todos los pasos desde entonces son cortos. Y allá un β₂ menor da menos
# picos; probamos con 0.9, 0.99 y 0.999, y después de este único golpe el loss sube con los tres.

# %% [markdown] id="walk-text" lang="en"
# ### And the stability check?
#
# The trainer has instruments of its own: with `instruments_every=20` it looks at every 20th step. `diagnosis.check`
# walks both trees with what it finds in the log. **How many questions can it answer only if the instruments were
# on?** And is the run still the same?

# %% [markdown] id="walk-text" lang="es" of="c02bbbc01dc5"
# ### ¿Y la revisión de estabilidad?
#
# El trainer tiene sus propios instrumentos: con `instruments_every=20` mira uno de cada 20 pasos. `diagnosis.check`
# recorre los dos árboles con lo que encuentra en el log. **¿Cuántas preguntas puede contestar solo si los
# instrumentos estaban puestos?** ¿Y el run sigue siendo el mismo?

# %% id="walk" compare=true
losses, unanswered = {}, {}
for every in (0, 20):
    log = train(Recipe(config.replace(instruments_every=every)), runs / f"every-{every}", overwrite=True)
    walk = diagnosis.check(log.path, whole=True)
    losses[every] = [record["loss"] for record in log.metrics]
    unanswered[every] = [each.question for each in walk.findings if each.verdict is Verdict.NOT_MEASURED]
    print(f"instruments_every={every:<4} {walk.leaf or t('no-fault')}")
print(f"{t('answered-now')}:", *(each for each in unanswered[0] if each not in unanswered[20]))
print(f"{t('same-run')}: {t(str(losses[0] == losses[20]))}")

# %% [markdown] id="explain" lang="en"
# “No fault found” says less in the first line than in the second: a question that nobody could answer has not been
# passed. (Most of those that are still open ask about things that this run does not have: fp16, a memory, several
# tasks, validation.)
#
# ## 7 · Explain
#
# A colleague wants to look into a run of three weeks, which breaks about once a day. He plans a hook on every layer
# that writes mean and standard deviation at every step, and a second pass on a fixed batch every 100 steps, “in train
# mode, so that it is realistic”. Name **two** things that you would change and why, and say **how you prove**, before
# the three weeks, that the run is the same with and without it. (Three points.)

# %% [markdown] id="explain" lang="es" of="561ca403d2d7"
# «Ningún fallo» dice menos en la primera línea que en la segunda: una pregunta que nadie pudo contestar no está
# aprobada. (La mayoría de las que siguen abiertas preguntan por cosas que este run no tiene: fp16, una memoria,
# varias tareas, validación.)
#
# ## 7 · Explica
#
# Un colega quiere mirar dentro de un run de tres semanas que se rompe más o menos una vez al día. Piensa poner en
# cada capa un hook que anote media y desviación estándar en cada paso, y cada 100 pasos una segunda pasada con un
# batch fijo, «en modo de entrenamiento, para que sea realista». Nombra **dos** cosas que cambiarías y por qué, y di
# **cómo demuestras**, antes de las tres semanas, que el run es el mismo con él y sin él. (Tres puntos.)

# %% [markdown] answer="review-an-inspector" points=3 lang="en"
# The hooks should be on the model every 50th step or so and not at all in between: each number waits for the device,
# and on every layer at every step that is several per cent of three weeks. The second pass must be in evaluation mode
# (and put the mode back), or save and restore the random state: in train mode it draws dropout masks from the
# generator of the run, which is another run from then on. To prove it I train two hundred steps with and without the
# instrument from one seed on one machine and compare every loss, or the weights, bit for bit; then I compare the time
# of the two.
#
# ---
# **Rubric.** One point each. (1) Looking less often, or without waiting for a number per layer, with cost as the
# reason. (2) The random state (or the mode) of the second pass. Keeping tensors also counts for one of the two. (3)
# Same seed, with and without, equal bit for bit. “The curves look the same” earns nothing.

# %% [markdown] answer="review-an-inspector" points=3 lang="es" of="d3e03b084b02"
# Los hooks deberían estar en el modelo más o menos cada 50 pasos y en los demás no estar: cada número espera al
# dispositivo, y en todas las capas y en todos los pasos eso es un porcentaje de tres semanas que se nota. La segunda
# pasada debe ir en modo de evaluación (y reponer el modo), o guardar y reponer el estado aleatorio: en modo de
# entrenamiento saca máscaras de dropout del generador del run, que desde ahí es otro run. Para demostrarlo entreno
# doscientos pasos con el instrumento y sin él, con la misma semilla y en la misma máquina, y comparo todos los
# losses, o los pesos, bit por bit; después comparo el tiempo.
#
# ---
# **Rúbrica.** Un punto por cada parte. (1) Mirar menos veces, o sin esperar un número por capa, con el costo como
# razón. (2) El estado aleatorio (o el modo) de la segunda pasada. Guardar tensores también cuenta como una de las
# dos. (3) La misma semilla, con y sin, iguales bit por bit. «Las curvas se ven iguales» no da puntos.

# %% [markdown] id="card" lang="en"
# ## 8 · A card to keep
#
# | an instrument must | test | if not |
# |---|---|---|
# | not change the run | with and without, one seed: equal bit for bit | no second pass; otherwise evaluation mode, and put the random state back |
# | cost less than 2 % | seconds in it ÷ seconds of the run | look less often; no hooks on the other steps |
# | keep numbers, not tensors | memory after 100 steps | `.item()` or `.detach()` |
# | be on before the fault | is it on now? | make it cheap enough to stay on |
#
# RMSₜ = √mean(g² ÷ v̂): about 1 is healthy; above 2.3, Adam's second moment is out of date and its steps are too long.

# %% [markdown] id="card" lang="es" of="58b79c2a6361"
# ## 8 · Una tarjeta para guardar
#
# | un instrumento debe | prueba | si no |
# |---|---|---|
# | no cambiar el run | con él y sin él, misma semilla: iguales bit por bit | sin segunda pasada; si la hay, modo de evaluación y reponer el estado aleatorio |
# | costar menos del 2 % | segundos en él ÷ segundos del run | mirar menos veces; sin hooks en los demás pasos |
# | guardar números, no tensores | memoria tras 100 pasos | `.item()` o `.detach()` |
# | estar puesto antes del fallo | ¿está puesto ahora? | que cueste tan poco que se quede puesto |
#
# RMSₜ = √media(g² ÷ v̂): cerca de 1 es sano; por encima de 2.3, el segundo momento de Adam está atrasado y sus pasos
# son demasiado largos.

# %% [markdown] id="own-run" lang="en"
# ## 9 · On your own run
#
# Neither function needs anything from this course. Here both watch a small image classifier on random pictures. In
# step 19 the pictures become 30 times as bright:

# %% [markdown] id="own-run" lang="es" of="b27e73acf6df"
# ## 9 · En tu propio run
#
# Ninguna de las dos funciones necesita nada de este curso. Aquí vigilan un clasificador pequeño con imágenes
# aleatorias. En el paso 19, las imágenes se vuelven 30 veces más brillantes:

# %% id="another-loop" compare=true
torch.manual_seed(0)
layers = torch.nn.Conv2d(1, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(4 * 36, 10)
net = torch.nn.Sequential(*layers)
adam = torch.optim.AdamW(net.parameters(), lr=1e-3)
for step in range(20):
    pictures, labels = torch.randn(16, 1, 8, 8), torch.randint(0, 10, (16,))
    torch.nn.functional.cross_entropy(net(pictures * (30 if step == 19 else 1)), labels).backward()
    adam.step()
    if step in (18, 19):
        print(f"{t('step')} {step}: {t('stale')}: {t(str(max(update_rms(adam)) > 2.3))}")
    adam.zero_grad()
print(sorted(inspect_run(net, [torch.randn(2, 1, 8, 8) for _ in range(5)], every=4)))

# %% [markdown] id="sources" lang="en"
# ## 10 · Where this comes from
#
# **A true story.** In November 2021 the team of OPT-175B gave up its first configuration after some ten restarts.
# With each restart, they write in the
# [diary](https://github.com/facebookresearch/metaseq/blob/main/projects/OPT/chronicles/10_percent_update.md) of the
# run, they logged more about gradients and parameters. A month later it paid off. The curve of the activation norm
# suddenly took another course: a library had been updated by accident, from version 2.4 to 2.6, and one line in it
# had changed. They could [not
# say](https://github.com/facebookresearch/metaseq/blob/main/projects/OPT/chronicles/56_percent_update.md) why that
# line mattered.
#
# * RMSₜ, its threshold, and the figure that is drawn again above: Wortsman et al., 2023, [2304.13013](https://arxiv.org/abs/2304.13013).
# * Hooks, in PyTorch's words: [Module.register_forward_hook](https://docs.pytorch.org/docs/stable/generated/torch.nn.Module.html).
# * This course's own instruments: `minigpt/training/instruments/`.
#
# **A hard bonus task.** Your inspector asks for one number a layer, and on a GPU each of them waits for the device.
# Write it with **one** wait for all layers of a step, and prove that it is one by counting the calls of `item()`
# and `tolist()`.
#
# <details><summary>Hint</summary>
#
# `torch.stack` makes one tensor of many numbers. What is asked of that one tensor is one wait.
# </details>
#
# <details><summary>Show one solution</summary>
#
# ```python
# from unittest.mock import patch
#
# def inspect_with_one_wait(model, inputs):
#     names, squares = [], []
#
#     def note(name):
#         def look(part, given, output):
#             names.append(name)
#             squares.append(output.detach().square().mean())
#         return look
#
#     leaves = [(name, part) for name, part in model.named_modules() if not [*part.children()]]
#     hooks = [part.register_forward_hook(note(name)) for name, part in leaves]
#     model(inputs)
#     for hook in hooks:
#         hook.remove()
#     return dict(zip(names, torch.stack(squares).sqrt().tolist()))
#
# def counted(name, waits):
#     real = getattr(torch.Tensor, name)
#     return patch.object(torch.Tensor, name, lambda self: waits.append(name) or real(self))
#
# waits, model = [], recipe.build_model(config)
# with counted("item", waits), counted("tolist", waits):
#     inspect_with_one_wait(model, batches[0].inputs)
# print(waits)
# ```
#
# It prints `['tolist']`. Beware of `look`: a forward hook that returns something replaces the output of its module.
# </details>

# %% [markdown] id="sources" lang="es" of="220f7429f92a"
# ## 10 · De dónde viene esto
#
# **Una historia real.** En noviembre de 2021, el equipo de OPT-175B abandonó su primera configuración después de unos
# diez reinicios. Con cada reinicio, cuentan en el
# [diario](https://github.com/facebookresearch/metaseq/blob/main/projects/OPT/chronicles/10_percent_update.md) del
# run, registraban más datos sobre gradientes y parámetros. Un mes después dio frutos. La curva de la norma de las
# activaciones tomó de pronto otro rumbo: una biblioteca se había actualizado por accidente, de la versión 2.4 a la
# 2.6, y en ella había cambiado una línea. [No supieron
# decir](https://github.com/facebookresearch/metaseq/blob/main/projects/OPT/chronicles/56_percent_update.md) por qué
# importaba esa línea.
#
# * RMSₜ, su umbral y la figura que arriba se dibuja otra vez: Wortsman et al., 2023, [2304.13013](https://arxiv.org/abs/2304.13013).
# * Los hooks, en palabras de PyTorch: [Module.register_forward_hook](https://docs.pytorch.org/docs/stable/generated/torch.nn.Module.html).
# * Los instrumentos de este curso: `minigpt/training/instruments/`.
#
# **Un reto extra, difícil.** Tu inspector pide un número por capa, y en una GPU cada uno espera al dispositivo.
# Escríbelo con **una** sola espera para todas las capas de un paso, y demuestra que es una contando las llamadas a
# `item()` y `tolist()`.
#
# <details><summary>Pista</summary>
#
# `torch.stack` hace un solo tensor de muchos números. Lo que se le pide a ese tensor es una sola espera.
# </details>
#
# <details><summary>Mostrar una solución</summary>
#
# ```python
# from unittest.mock import patch
#
# def inspect_with_one_wait(model, inputs):
#     names, squares = [], []
#
#     def note(name):
#         def look(part, given, output):
#             names.append(name)
#             squares.append(output.detach().square().mean())
#         return look
#
#     leaves = [(name, part) for name, part in model.named_modules() if not [*part.children()]]
#     hooks = [part.register_forward_hook(note(name)) for name, part in leaves]
#     model(inputs)
#     for hook in hooks:
#         hook.remove()
#     return dict(zip(names, torch.stack(squares).sqrt().tolist()))
#
# def counted(name, waits):
#     real = getattr(torch.Tensor, name)
#     return patch.object(torch.Tensor, name, lambda self: waits.append(name) or real(self))
#
# waits, model = [], recipe.build_model(config)
# with counted("item", waits), counted("tolist", waits):
#     inspect_with_one_wait(model, batches[0].inputs)
# print(waits)
# ```
#
# Imprime `['tolist']`. Ojo con `look`: un forward hook que devuelve algo reemplaza la salida de su módulo.
# </details>
