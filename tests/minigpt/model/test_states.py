"""States and roles through a mixer that is not attention: what anybody's mixer gets from the house."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from small_runs import MINIMAL
from torch import nn

from minigpt.messages import MiniGPTError
from minigpt.model.generation import generate
from minigpt.model.gpt import GPT, build_model, init_weights
from minigpt.model.roles import RULES, Role, roles_of
from minigpt.model.state import load_memory, memory_of
from minigpt.training.optim import parameter_groups
from minigpt.training.recipe import Recipe
from minigpt.training.trainer import train


class LeakyState:
    """One running mean a row."""

    def __init__(self, mean):
        self.mean = mean  # (B, C)

    def reset(self, rows):
        self.mean[rows] = 0.0


class LeakyMean(nn.Module):
    """Each channel of a token is read as its running mean, with a time constant of its own."""

    causal = True
    parameter_roles = {"log_tau": Role.TIME_CONSTANT, "c_proj.weight": Role.RESIDUAL}

    def __init__(self, config):
        super().__init__()
        self.log_tau = nn.Parameter(torch.empty(config.n_embd))
        self.c_proj = nn.Linear(config.n_embd, config.n_embd, bias=False)

    def forward(self, x, turns=None, state=None):
        state = state or self.init_state(len(x))
        keep, means = torch.exp(-torch.exp(-self.log_tau)), []
        for token in x.unbind(1):
            state.mean = keep * state.mean + (1 - keep) * token
            means.append(state.mean)
        return self.c_proj(torch.stack(means, 1))

    def init_state(self, batch):
        return LeakyState(torch.zeros(batch, len(self.log_tau)))


class Bag(LeakyMean):
    """The same, but it never learned to read token by token."""

    init_state = property(lambda self: (_ for _ in ()).throw(AttributeError()))

    def forward(self, x, turns=None, state=None):
        return self.c_proj(x.cumsum(1))


def with_mixer(mixer):
    def build(config):
        model = build_model(config)
        for block in model.h:
            block.attn = mixer(config)
        return model

    return build


def model_of(mixer=None, **settings) -> GPT:
    config = MINIGPT.replace(**settings)
    torch.manual_seed(3)
    model = (with_mixer(mixer) if mixer else build_model)(config)
    init_weights(model, config)
    return model.eval()


MINIGPT = MINIMAL.replace(n_layer=2, init_std=0.5)
FORMS = {
    "learned": lambda: model_of(),
    "rotary": lambda: model_of(positions="rotary"),
    "leaky mean": lambda: model_of(LeakyMean, positions="rotary"),
}


@pytest.mark.parametrize("form", FORMS)
def test_reading_in_portions_is_reading_at_once(form):
    model, idx = FORMS[form](), torch.randint(512, (3, 12))
    state = model.init_state(3)
    with torch.no_grad():
        parts = [model(part, state) for part in idx.split([5, 1, 6], dim=1)]
        torch.testing.assert_close(torch.cat(parts, 1), model(idx), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("form", FORMS)
def test_a_row_that_begins_a_new_document_forgets_the_old_one_and_the_others_do_not(form):
    model, idx = FORMS[form](), torch.randint(512, (3, 12))
    state, rows = model.init_state(3), torch.tensor([False, True, False])
    with torch.no_grad():
        model(idx[:, :7], state)
        state.reset(rows)
        continued = model(idx[:, 7:], state)
        torch.testing.assert_close(continued[1], model(idx[1:2, 7:])[0], rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(continued[[0, 2]], model(idx[[0, 2]])[:, 7:], rtol=1e-4, atol=1e-4)


def test_any_mixer_with_a_state_generates_and_one_without_is_refused_in_a_sentence():
    model, prompt = model_of(LeakyMean), torch.randint(512, (2, 3))
    out = generate(model, prompt, max_new_tokens=5, temperature=0)
    with torch.no_grad():
        assert all(torch.equal(model(out[:, :end])[:, -1].argmax(-1), out[:, end]) for end in range(3, 8))
    with pytest.raises(MiniGPTError, match="Bag cannot read token by token"):
        generate(model_of(Bag), prompt, max_new_tokens=1)


def test_a_mixer_names_the_roles_of_its_parameters_and_they_decide_everything():
    model = model_of(LeakyMean)
    roles = roles_of(model)
    assert roles["h.0.attn.log_tau"] is Role.TIME_CONSTANT and roles["wpe.weight"] is Role.EMBEDDING
    assert roles["h.1.attn.c_proj.weight"] is roles["h.1.mlp.c_proj.weight"] is Role.RESIDUAL
    assert roles["h.0.mlp.c_fc.weight"] is Role.MATRIX and roles["ln_f.weight"] is Role.GAIN
    tau = model.h[0].attn.log_tau.exp()
    assert ((tau >= 1) & (tau <= MINIGPT.context)).all() and tau.std() > 0.5
    decay, no_decay = ({id(p) for p in group["params"]} for group in parameter_groups(model, MINIGPT))
    for name, parameter in model.named_parameters():
        assert id(parameter) in (decay if RULES[roles[name]].decays else no_decay)


def test_a_run_with_another_mixer_trains_and_is_probed(tmp_path):
    recipe = dataclasses.replace(Recipe(MINIMAL), build_model=with_mixer(LeakyMean))
    run = train(recipe, tmp_path / "run")
    assert len(run.metrics) == MINIMAL.steps
    start = next(probe for probe in run.probes if probe["kind"] == "start")
    assert start["weights"]["h.0.attn.c_proj.weight"]["role"] == "residual projection"
    assert start["future_gradient"] == 0


class Shortening(LeakyMean):
    """It returns half of the tokens."""

    def forward(self, x, turns=None, state=None):
        return super().forward(x)[:, ::2]


def halved_head(config):
    model = build_model(config)
    model.lm_head.register_forward_hook(lambda _module, _given, logits: logits[:, ::2])
    return model


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"build_model": with_mixer(Shortening)}, "do not fit together"),
        ({"build_model": halved_head}, r"\(4, 8, 512\).*\(4, 16, 'V'\)"),
        ({"loss": lambda logits, targets, mask: logits[mask].sum(-1)}, r"\(64,\) instead of one number"),
        ({"loss": lambda logits, targets, mask: 1.0}, "float instead of one number"),
    ],
)
def test_a_mixer_and_a_loss_that_do_not_fit_are_refused_in_a_sentence(parts, said, tmp_path):
    with pytest.raises(MiniGPTError, match=said):
        train(dataclasses.replace(Recipe(MINIMAL), **parts), tmp_path / "run")


class Notebook(nn.Identity):
    """Remembers how often it was called, and the last input."""

    def __init__(self):
        super().__init__()
        self.pages = torch.empty(0)

    def forward(self, x):
        self.pages = torch.cat([self.pages, x.detach().sum()[None]])
        return x

    def memory_state(self):
        return {"pages": self.pages}

    def load_memory_state(self, state):
        self.pages = state["pages"]


def test_memory_is_copied_out_and_in():
    model = nn.Sequential(Notebook(), nn.Sequential(Notebook()))
    model(torch.ones(2))
    memory = memory_of(model)
    model(torch.ones(2))
    assert list(memory) == ["0.pages", "1.0.pages"] and len(model[0].pages) == 2
    load_memory(model, memory)
    assert [len(module.pages) for module in (model[0], model[1][0])] == [1, 1]
    model(torch.ones(2))
    assert len(memory["0.pages"]) == 1
