"""Lesson 19-04: attention logits that grow, a burst of the rate, and two remedies that cure less than they promise."""

# %% [markdown] id="why" lang="en"
# A learning rate is too high. The attention logits grow until each query looks at one token alone. The known
# remedy is QK-norm: normalise queries and keys. Another is z-loss. Here you measure what each of them cures,
# and what it does not. Afterwards you can
#
# * give one number for how much a result depends on the learning rate;
# * normalise queries and keys over the right axis, and tell when the axis is wrong;
# * watch the entropy of attention, head by head.
#
# Run the cells in order with **Shift + Enter**.

# %% [markdown] id="why" lang="es" of="36b462d826ae"
# Un learning rate (tasa de aprendizaje) es demasiado alto. Los logits de atención crecen hasta que cada query
# mira un solo token. El remedio conocido es QK-norm: normalizar las queries y las keys. Otro es el z-loss. Aquí
# vas a medir qué cura cada uno y qué no. Al terminar sabrás
#
# * resumir en un número cuánto depende un resultado del learning rate;
# * normalizar queries y keys sobre el eje correcto, y notar cuándo el eje está mal;
# * vigilar la entropía de la atención, cabeza por cabeza.
#
# Ejecuta las celdas en orden con **Shift + Enter**.

# %% id="setup" setup=true
import math
from pathlib import Path

import matplotlib
import torch

from course.live_plot import LivePlot
from course.notebook import check, lesson, t
from course.predictions import compare, predict
from course.widgets import Slider, playground
from minigpt import Config, Recipe, train
from minigpt.training.instruments.attention import attention
from minigpt.training.instruments.units import units

lesson("19-04")
runs = Path("experiments") / "19-04"
torch.set_num_threads(1)
matplotlib.rcParams["font.size"] = 9


def last_loss(run, count=10):
    return sum(record["loss"] for record in run.metrics[-count:]) / count


# %% [markdown] id="meet" lang="en"
# ## 1 · A run that misbehaves
#
# A small GPT with two layers, 100 steps, and a learning rate of 0.1. The best rate is near 0.003.

# %% [markdown] id="meet" lang="es" of="4066da8dae58"
# ## 1 · Un run que se porta mal
#
# Un GPT pequeño de dos capas, 100 pasos y un learning rate de 0.1. El mejor valor está cerca de 0.003.

# %% id="facts" compare=true
config = Config(
    steps=100,
    n_layer=2,
    n_head=2,
    n_embd=32,
    context=32,
    batch_size=16,
    warmup_steps=5,
    lr_max=1e-2,
    lr_min=1e-3,
    eval_every=0,
    eval_batches=1,
)
data = Recipe(config).load_data(config)
share = torch.bincount(data.train.long(), minlength=config.vocab_size).double() / len(data.train)
single = -torch.special.xlogy(share, share).sum().item()
print(f"ln {config.vocab_size} = {math.log(config.vocab_size):.2f}   {t('single')}: {single:.1f}")

# %% [markdown] id="predict" lang="en"
# ## 2 · Predict
#
# A healthy run of this size has attention logits below 20. **How large is the largest after 100 steps at
# 0.1? Where is the loss?** And with QK-norm, at the same rate: **how large, and where?**

# %% [markdown] id="predict" lang="es" of="ed2f4b303e28"
# ## 2 · Predice
#
# Un run sano de este tamaño tiene logits de atención menores que 20. **¿Cuánto vale el mayor después de 100
# pasos con 0.1? ¿Dónde queda el loss?** Y con QK-norm, con el mismo learning rate: **¿cuánto vale y dónde queda?**

# %% id="my-prediction"
predict("divergence", logit=..., loss=..., logit_normed=..., loss_normed=...)

# %% [markdown] id="break" lang="en"
# ## 3 · Break it

# %% [markdown] id="break" lang="es" of="a3e5f61bd7ca"
# ## 3 · Rómpelo


# %% id="train-hot"
class Keep:
    def on_record(self, trainer, record):
        self.model = trainer.model


models, done = {}, {}
inputs = Recipe(config).get_batch(data.train, config, 0, 0).inputs


def tried(name, recipe, *callbacks):
    keep = Keep()
    done[name] = train(recipe, runs / name, callbacks=[keep, *callbacks], overwrite=True)
    models[name] = keep.model
    return done[name]


def at_rate(rate, **changed):
    return Recipe(config.replace(lr_max=rate, lr_min=rate / 10, **changed))


hot = tried("plain-0.1", at_rate(0.1), LivePlot())
normed = tried("normed-0.1", at_rate(0.1, qk_norm=True), LivePlot(before=hot.metrics))
logit = {name: max(attention(models[name], inputs)["max_logit"]) for name in models}
compare(
    "divergence",
    logit=round(logit["plain-0.1"]),
    loss=round(last_loss(hot), 1),
    logit_normed=round(logit["normed-0.1"]),
    loss_normed=round(last_loss(normed), 1),
)

# %% [markdown] id="sweep-text" lang="en"
# ## 4 · Inspect
#
# ### The sweep
#
# Wortsman et al. train every model at learning rates from 3e-4 to 3e-1. Do the same, with and without
# QK-norm. `entropy` is that of the attention: 1 looks at all visible tokens alike, 0 at one alone.

# %% [markdown] id="sweep-text" lang="es" of="1ea10887f275"
# ## 4 · Inspecciona
#
# ### El barrido
#
# Wortsman et al. entrenan cada modelo con learning rates de 3e-4 a 3e-1. Haz lo mismo, con QK-norm y sin él.
# `entropía` es la de la atención: 1 mira todos los tokens visibles por igual; 0, uno solo.

# %% id="sweep"
rates = (3e-4, 3e-3, 3e-2, 1e-1, 3e-1)
print(f"{'':16}{t('loss'):>10}{t('logit'):>16}{t('entropy'):>12}")
for kind, on in {"plain": False, "normed": True}.items():
    for rate in rates:
        name = f"{kind}-{rate}"
        if name not in done:
            tried(name, at_rate(rate, qk_norm=on))
        seen = attention(models[name], inputs)
        print(
            f"{name:16}{last_loss(done[name]):10.2f}{max(seen['max_logit']):16.1f}{min(seen['entropy']):12.3f}"
        )

# %% id="who-learns" compare=true
for kind in ("plain", "normed"):
    for rate in (3e-3, 1e-1):
        name = f"{kind}-{rate}"
        large = max(attention(models[name], inputs)["max_logit"]) > 100
        learns = last_loss(done[name]) < single - 0.2
        print(f"{name:16}{t('large') if large else t('small'):28}{t('learns') if learns else t('stuck')}")

# %% [markdown] id="burst-text" lang="en"
# At 0.1 QK-norm does what it promises: the logits stay small. And the loss stays where it was, at the entropy
# of single tokens. The logits were what you could see of a rate that is too high; here they were not what
# kept the model from learning.
#
# ### A burst of the rate, and z-loss
#
# The fault `rate-burst` multiplies the rate by 30 for five steps in the middle of the run. Does QK-norm undo
# it? And z-loss, which adds `z_loss` · (log Z)² to the loss, at the rate of 0.3?

# %% [markdown] id="burst-text" lang="es" of="31eced149567"
# Con 0.1, QK-norm hace lo que promete: los logits se quedan pequeños. Y el loss se queda donde estaba, en la
# entropía de los tokens sueltos. Los logits eran lo que se veía de un learning rate demasiado alto; aquí no
# eran lo que impedía aprender.
#
# ### Un salto del learning rate, y el z-loss
#
# El fallo `rate-burst` multiplica el learning rate por 30 durante cinco pasos a mitad del run. ¿Lo deshace
# QK-norm? ¿Y el z-loss, que suma `z_loss` · (log Z)² al loss, con un learning rate de 0.3?

# %% id="burst"
for name, on in {"burst-plain": False, "burst-normed": True}.items():
    calm = Recipe(config.replace(qk_norm=on))
    tried(name.replace("burst", "calm"), calm)
    tried(name, calm.with_fault("rate-burst"))
for weight in (1e-4, 1e-2):
    tried(f"z-loss-{weight}", at_rate(0.3, z_loss=weight))
for name in (
    "calm-plain",
    "burst-plain",
    "calm-normed",
    "burst-normed",
    "plain-0.3",
    "z-loss-0.0001",
    "z-loss-0.01",
):
    print(f"{name:16}{last_loss(done[name]):8.2f}{max(attention(models[name], inputs)['max_logit']):10.0f}")

# %% id="z-loss-cures" compare=true
for name in ("plain-0.3", "z-loss-0.0001", "z-loss-0.01"):
    print(f"{name:16}{t('learns') if last_loss(done[name]) < single - 0.2 else t('stuck')}")

# %% [markdown] id="units-text" lang="en"
# Two counter-examples. QK-norm bounds the attention logits, but a burst moves *all* the weights, and they have
# to come back. z-loss holds the *output* logits, and at 0.3 nothing diverges there: it cures nothing. Both are
# one seed and 100 steps of a very small model. What z-loss does at a healthy rate is another question: try
# `at_rate(0.01, z_loss=1e-4)` with three seeds.
#
# ### What such a rate leaves behind
#
# The feed-forwards suffer too. A hidden unit is *inactive* if on none of these rows it gives more than a
# thousandth of what the largest of its layer gives. Here is their share in each of the two layers.

# %% [markdown] id="units-text" lang="es" of="4998d20a0570"
# Dos contraejemplos. QK-norm limita los logits de atención, pero un salto mueve *todos* los pesos, y tienen
# que volver. El z-loss sujeta los logits *de salida*, y con 0.3 nada diverge ahí: no cura nada. Los dos son una
# sola semilla y 100 pasos de un modelo muy pequeño. Qué hace el z-loss con un learning rate sano es otra
# pregunta: prueba `at_rate(0.01, z_loss=1e-4)` con tres semillas.
#
# ### Lo que deja un learning rate así
#
# Las capas feed-forward también sufren. Una unidad oculta está *inactiva* si en ninguna de estas filas da más de una
# milésima de lo que da la mayor de su capa. Esta es su proporción en cada una de las dos capas.

# %% id="inactive-units"
for name in ("calm-plain", "plain-0.1", "plain-0.3"):
    print(f"{name:16}", *(f"{share:6.0%}" for share in units(models[name], inputs)["inactive"]))

# %% [markdown] id="play-text" lang="en"
# An inactive unit adds nothing, and the weights on both sides of it get hardly any gradient. GELU has a slope almost
# everywhere, if a tiny one, so a unit can come back; a ReLU that gives 0 on every row gets no gradient at all.
# Question 9.5 warns when half of a layer is silent, leaf `dead-units`. It is a trace, not a cause: look for what came
# before it, here the rate.
#
# ### Turn the knob: the size of the logits
#
# One query and eight tokens. The logits are multiplied by 2 to the power of s. From which s on does the
# query see one token alone? How much gradient still passes the softmax?

# %% [markdown] id="play-text" lang="es" of="db05d7dbf4e4"
# Una unidad inactiva no aporta nada, y a los pesos que tiene a ambos lados casi no les llega gradiente. GELU tiene
# pendiente casi en todas partes, aunque sea minúscula, así que una unidad puede volver; una ReLU que da 0 en todas las
# filas no recibe ningún gradiente. La pregunta 9.5 advierte cuando la mitad de una capa está callada: hoja `dead-units`.
# Es una huella, no una causa: busca qué vino antes; aquí, el learning rate.
#
# ### Gira la perilla: el tamaño de los logits
#
# Una query y ocho tokens. Los logits se multiplican por 2 elevado a s. ¿Desde qué s ve la query un solo token?
# ¿Cuánto gradiente pasa todavía por el softmax?


# %% id="playground" folded=true
def draw(figure, s):
    weights = (2.0**s * torch.linspace(-1, 1, 8)).softmax(0)
    entropy = -torch.special.xlogy(weights, weights).sum().item() / math.log(8)
    slope = (weights * (1 - weights)).max().item()
    axes = figure.subplots()
    axes.bar(range(8), weights.tolist(), color="#0072b2")
    axes.set(ylim=(0, 1), title=f"{t('entropy')} {entropy:.2f}   {t('slope')} {slope:.2g}")


playground(draw, s=Slider("s", 0, 7, 0))

# %% [markdown] id="play-answers" lang="en"
# <details><summary>What you should have found</summary>
#
# At s = 3 about nine tenths of the weight are on one token; from 4 on it is nearly all. The slope falls with
# it, towards 0: queries and keys get hardly any gradient, and cannot find back.
# </details>

# %% [markdown] id="play-answers" lang="es" of="4aee21a2187d"
# <details><summary>Lo que deberías haber encontrado</summary>
#
# Con s = 3, unas nueve décimas del peso están en un solo token; desde 4, casi todo. La pendiente baja con él,
# hacia 0: las queries y las keys casi no reciben gradiente y no encuentran el camino de vuelta.
# </details>

# %% [markdown] id="fix" lang="en"
# ## 5 · Fix
#
# ### Exercise 1 · LR sensitivity
#
# > Difficulty ●●○○○ · Importance ●●●●○ · 10 minutes
#
# Write `lr_sensitivity(losses, start)`: `losses` are the final losses of a sweep, one for each rate, and
# `start` is the loss before training. Return the mean of min(loss, start) − best, where best is the lowest
# loss of the sweep. A run that diverged to NaN or infinity counts as `start`.

# %% [markdown] id="fix" lang="es" of="961087518e01"
# ## 5 · Arregla
#
# ### Ejercicio 1 · La sensibilidad al learning rate
#
# > Dificultad ●●○○○ · Importancia ●●●●○ · 10 minutos
#
# Escribe `lr_sensitivity(losses, start)`: `losses` son los loss finales de un barrido, uno por cada learning
# rate, y `start` es el loss antes de entrenar. Devuelve la media de min(loss, start) − mejor, donde mejor es el
# loss más bajo del barrido. Un run que divergió a NaN o a infinito cuenta como `start`.


# %% solution="lr-sensitivity"
def lr_sensitivity(losses, start):
    ### BEGIN SOLUTION
    capped = [min(loss, start) if math.isfinite(loss) else start for loss in losses]
    return sum(capped) / len(capped) - min(capped)
    ### END SOLUTION


# %% check="lr-sensitivity/value" points=1
check("lr-sensitivity/value", lr_sensitivity)

# %% check="lr-sensitivity/capped" points=1
check("lr-sensitivity/capped", lr_sensitivity)

# %% check="lr-sensitivity/diverged" points=1
check("lr-sensitivity/diverged", lr_sensitivity)

# %% [markdown] id="task-qk" lang="en"
# ### Exercise 2 · A bug in code that looks right
#
# > Difficulty ●●●○○ · Importance ●●●●● · 15 minutes
#
# This code normalises queries and keys, (B, H, T, d), to a root mean square of 1. It trains, and its loss is
# suspiciously good.
#
# ```python
# def normalised_scores(q, k):
#     q = q / q.square().mean(dim=2, keepdim=True).sqrt()
#     k = k / k.square().mean(dim=2, keepdim=True).sqrt()
#     return (q @ k.mT) * q.shape[-1] ** -0.5
# ```
#
# Repair it: each query and each key of each head by itself. Then no score is above √d. Add 1e-6 to the mean
# of the squares, so that a vector of zeros gives scores of 0.

# %% [markdown] id="task-qk" lang="es" of="804708da481c"
# ### Ejercicio 2 · Un error en código que parece correcto
#
# > Dificultad ●●●○○ · Importancia ●●●●● · 15 minutos
#
# Este código normaliza queries y keys, (B, H, T, d), a una raíz de la media de los cuadrados de 1. Entrena, y
# su loss es sospechosamente bueno.
#
# ```python
# def normalised_scores(q, k):
#     q = q / q.square().mean(dim=2, keepdim=True).sqrt()
#     k = k / k.square().mean(dim=2, keepdim=True).sqrt()
#     return (q @ k.mT) * q.shape[-1] ** -0.5
# ```
#
# Arréglalo: cada query y cada key de cada cabeza, por su cuenta. Entonces ningún score pasa de √d. Suma 1e-6 a
# la media de los cuadrados, para que un vector de ceros dé scores de 0.


# %% solution="normalised-scores"
def normalised_scores(q, k):
    ### BEGIN SOLUTION
    q = q / (q.square().mean(dim=3, keepdim=True) + 1e-6).sqrt()
    k = k / (k.square().mean(dim=3, keepdim=True) + 1e-6).sqrt()
    return q @ k.mT / math.sqrt(q.shape[-1])
    ### END SOLUTION


# %% check="normalised-scores/bound" points=1
check("normalised-scores/bound", normalised_scores)

# %% check="normalised-scores/value" points=2
check("normalised-scores/value", normalised_scores)

# %% check="normalised-scores/zeros" points=1
check("normalised-scores/zeros", normalised_scores)

# %% [markdown] id="task-entropy" lang="en"
# ### Exercise 3 · An entropy tracker
#
# > Difficulty ●●●○○ · Importance ●●●●○ · 15 minutes
#
# Write `attention_entropy(weights)`: `weights` is (B, H, T, T), causal, each row sums to 1. Return a tensor
# (H,): the entropy of each row divided by ln of the tokens that it can see, averaged over the batch and over
# the rows of each head. Leave out row 0: it sees itself alone, and ln 1 = 0. A weight of 0 adds 0.

# %% [markdown] id="task-entropy" lang="es" of="abd5da876c1b"
# ### Ejercicio 3 · Un medidor de entropía
#
# > Dificultad ●●●○○ · Importancia ●●●●○ · 15 minutos
#
# Escribe `attention_entropy(weights)`: `weights` es (B, H, T, T), causal, y cada fila suma 1. Devuelve un tensor
# (H,): la entropía de cada fila dividida entre ln de los tokens que puede ver, promediada sobre el batch y las
# filas de cada cabeza. Deja fuera la fila 0: solo se ve a sí misma, y ln 1 = 0. Un peso de 0 suma 0.


# %% solution="attention-entropy"
def attention_entropy(weights):
    ### BEGIN SOLUTION
    entropy = -torch.special.xlogy(weights, weights).sum(dim=3)
    visible = torch.arange(1, weights.shape[2] + 1)
    return (entropy[:, :, 1:] / visible[1:].log()).mean(dim=(0, 2))
    ### END SOLUTION


# %% check="attention-entropy/uniform" points=1
check("attention-entropy/uniform", attention_entropy)

# %% check="attention-entropy/one-token" points=1
check("attention-entropy/one-token", attention_entropy)

# %% check="attention-entropy/heads" points=2
check("attention-entropy/heads", attention_entropy)

# %% [markdown] id="verify" lang="en"
# ## 6 · Verify
#
# The sweep in one number, and your functions on scores that are 100 times too large.

# %% [markdown] id="verify" lang="es" of="e9b6a0fc17f8"
# ## 6 · Comprueba
#
# El barrido en un número, y tus funciones con scores 100 veces más grandes de lo debido.

# %% id="verify-sweep"
for kind in ("plain", "normed"):
    found = [last_loss(done[f"{kind}-{rate}"]) for rate in rates]
    print(f"{kind:10}{lr_sensitivity(found, math.log(config.vocab_size)):8.2f}")

# %% id="verify-scores" compare=true
torch.manual_seed(0)
q, k = 10 * torch.randn(2, 1, 2, 16, 8).double()
hidden = torch.ones(16, 16, dtype=torch.bool).triu(1)
for name, scores in {"plain": q @ k.mT / math.sqrt(8), "normed": normalised_scores(q, k)}.items():
    entropy = attention_entropy(scores.masked_fill(hidden, -math.inf).softmax(-1)).mean().item()
    print(f"{name:10}{t('collapsed') if entropy < 0.2 else t('open')}")

# %% [markdown] id="explain" lang="en"
# In the paper QK-norm lowers the sensitivity, in longer runs and larger models. Here the two numbers hardly
# differ. A remedy has a domain, and one sweep of yours says more about your run than its name does.
#
# ## 7 · Explain
#
# A colleague: “The largest attention logit jumped from 9 to 2,000 at step 8,000, and the loss from 2.6 to 5. I
# will resume from step 9,000 with QK-norm and a z-loss.”
#
# Answer in three to six sentences. (1) What would you look at before you name a cause? (2) Why do the two
# remedies not undo the damage? (3) What would you do? (One point each.)

# %% [markdown] id="explain" lang="es" of="c707ebda7350"
# En el artículo, QK-norm baja la sensibilidad, con runs más largos y modelos más grandes. Aquí los dos números
# casi no se diferencian. Un remedio tiene su terreno, y un barrido tuyo dice más de tu run que su nombre.
#
# ## 7 · Explica
#
# Una colega: «El mayor logit de atención saltó de 9 a 2,000 en el paso 8,000, y el loss, de 2.6 a 5. Voy a
# reanudar desde el paso 9,000 con QK-norm y un z-loss».
#
# Responde en tres a seis oraciones. (1) ¿Qué mirarías antes de nombrar una causa? (2) ¿Por qué los dos remedios
# no deshacen el daño? (3) ¿Qué harías? (Un punto por cada parte).

# %% [markdown] answer="review-a-jump" points=3 lang="en"
# (1) The learning rate around step 8,000 and the order of events: did the rate jump before the logits? (2)
# QK-norm bounds the attention logits, but a burst moved all the weights; z-loss acts on the output logits.
# (3) Go back to a checkpoint before step 8,000, repair the rate, and use QK-norm in the next run from the
# start if the logits grow slowly.
#
# ---
# **Rubric.** One point each. (1) The rate, and which came first. (2) Other weights have moved as well; z-loss
# acts elsewhere. (3) Back to before the jump, with the cause removed.

# %% [markdown] answer="review-a-jump" points=3 lang="es" of="3ad008ef9ba7"
# (1) El learning rate cerca del paso 8,000 y el orden de los hechos: ¿saltó antes que los logits? (2) QK-norm
# limita los logits de atención, pero un salto movió todos los pesos; el z-loss actúa sobre los logits de
# salida. (3) Volver a un checkpoint anterior al paso 8,000, arreglar el learning rate y, si los logits crecen
# poco a poco, usar QK-norm en el próximo run desde el principio.
#
# ---
# **Rúbrica.** Un punto por cada parte. (1) El learning rate, y qué ocurrió primero. (2) También se movieron
# otros pesos; el z-loss actúa en otro lugar. (3) Volver a antes del salto, sin la causa.

# %% [markdown] id="card" lang="en"
# ## 8 · A card to keep
#
# | symptom | measure | threshold | first action |
# |---|---|---|---|
# | attention collapses | largest logit, entropy ÷ ln visible | > 100 warns; > 1000 and < 0.05 fails | lower the rate; QK-norm in the next run |
# | the logits jump within five steps | the rate in those steps | it jumped first | go back to before the burst |
# | “this rate is best” | LR sensitivity of a sweep | compare two designs | choose the flatter one |

# %% [markdown] id="card" lang="es" of="f4fdd1334044"
# ## 8 · Una tarjeta para guardar
#
# | síntoma | medida | umbral | primera acción |
# |---|---|---|---|
# | la atención colapsa | mayor logit, entropía ÷ ln visibles | > 100 avisa; > 1000 y < 0.05 falla | baja el learning rate; QK-norm en el próximo run |
# | los logits saltan en cinco pasos | el learning rate de esos pasos | saltó primero | vuelve a antes del salto |
# | «este learning rate es el mejor» | sensibilidad de un barrido | compara dos diseños | elige el más plano |

# %% [markdown] id="own-run" lang="en"
# ## 9 · On your own run
#
# For any model that calls `scaled_dot_product_attention`: which layers have collapsed?

# %% [markdown] id="own-run" lang="es" of="054d1c05f90c"
# ## 9 · En tu propio run
#
# Para cualquier modelo que llame a `scaled_dot_product_attention`: ¿qué capas colapsaron?


# %% id="own-loop" compare=true
def large_layers(model, tokens, logit=100):
    seen = attention(model, tokens)
    return [layer for layer, most in enumerate(seen["max_logit"]) if most > logit]


print(bool(large_layers(models["plain-0.1"], inputs)), bool(large_layers(models["normed-0.1"], inputs)))

# %% [markdown] id="sources" lang="en"
# ## 10 · Where this comes from
#
# * Wortsman et al., [Small-scale proxies for large-scale Transformer training instabilities](https://arxiv.org/abs/2309.14322),
#   2023: LR sensitivity, rates from 3e-4 to 3e-1, QK-norm, and a z-loss of 1e-4.
# * Zhai et al., [Stabilizing Transformer Training by Preventing Attention Entropy Collapse](https://arxiv.org/abs/2303.06296),
#   2023.
#
# **A true story.** Marin 32B trained for 70,000 steps with a few spikes, which clipping of the updates held, and with
# a z-loss of 1e-4 from the start. Around step 80,000 came spikes that no clipping held. The team rebuilt the optimizer's
# state from a good checkpoint: calm for a few thousand steps, then spikes again. They tried two other optimizers from a
# checkpoint before the spikes: progress, then spikes again. Then they took the weights of step 80,000 into an
# architecture with QK-norm, with 1,000 steps of warm-up. The loss rose once, and from then on the spikes were largely
# gone. So there the remedy cured, in the middle of a run. What stays unknown, and they say so: whether the old weights
# could have been saved, and why others train larger models without QK-norm
# ([retrospective](https://marin.readthedocs.io/en/latest/reports/marin-32b-retro/)).
#
# **Hard bonus.** Repeat the sweep with `n_embd=64`, `batch_size=32` and 300 steps. Does QK-norm help now?

# %% [markdown] id="sources" lang="es" of="13a97d0850ce"
# ## 10 · De dónde viene esto
#
# * Wortsman et al., 2023, [arXiv 2309.14322](https://arxiv.org/abs/2309.14322): la sensibilidad al learning rate,
#   valores de 3e-4 a 3e-1, QK-norm y un z-loss de 1e-4.
# * Zhai et al., 2023, [arXiv 2303.06296](https://arxiv.org/abs/2303.06296): el colapso de la entropía de la atención.
#
# **Una historia real.** Marin 32B entrenó 70,000 pasos con algunos picos, que contenía un clipping de las
# actualizaciones, y con un z-loss de 1e-4 desde el comienzo. Hacia el paso 80,000 llegaron picos que ningún clipping
# contenía. El equipo reconstruyó el estado del optimizador a partir de un buen checkpoint: unos miles de pasos de calma
# y otra vez picos. Probaron otros dos optimizadores desde un checkpoint anterior a los picos: avances y otra vez picos.
# Entonces pasaron los pesos del paso 80,000 a una arquitectura con QK-norm, con 1,000 pasos de warm-up. El loss subió
# una vez, y desde ahí los picos casi desaparecieron. Allí, entonces, el remedio sí curó, y a mitad del run. Lo que no
# se sabe, y ellos lo dicen: si los pesos de antes se podían salvar, y por qué otros entrenan modelos más grandes sin
# QK-norm ([retrospectiva](https://marin.readthedocs.io/en/latest/reports/marin-32b-retro/)).
#
# **Extra difícil.** Repite el barrido con `n_embd=64`, `batch_size=32` y 300 pasos. ¿Ayuda ahora QK-norm?
