"""The monitor in loops as people write them: no alarm where all is well, the right leaf where it is not."""

import tempfile
from contextlib import nullcontext

import loops
import pytest
import torch
import torch.distributed as dist
import wild_loops_written_out  # noqa: F401  they join SOUND
from loops import B, T, V
from wild_loops import SOUND, STEPS, Little, adamw, masked, plain, shared_out, train

from minigpt.diagnosis import Verdict
from minigpt.runs.run import Run

pytestmark = pytest.mark.filterwarnings("error:The monitor has stopped")


class Nobody:
    """What stands in for a monitor in a bare run."""

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        pass

    def step(self, *_figures, **_more):
        pass

    note = step


def bare(_model, _optimizer, **_settings):
    """Watch nothing."""
    return Nobody()


def verdicts(monitor):
    """Return the verdict on each question."""
    return {finding.question: finding.verdict for finding in monitor.check(whole=True).findings}


@pytest.mark.parametrize("name", SOUND)
def test_a_sound_loop_goes_on_as_it_would_and_raises_no_alarm(name, watch):
    loop, unanswered = SOUND[name]
    assert loop(watch) == loop(bare)
    found = watch.monitor.check(whole=True)
    assert (found.leaves, found.verdict) == ([], Verdict.PASS)
    assert {verdicts(watch.monitor)[question] for question in unanswered} <= {Verdict.NOT_MEASURED}


# ---------------------------------------------------------------------- other people's models

TINY = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
SEQ2SEQ = {
    "d_model": 16,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "encoder_ffn_dim": 32,
    "decoder_ffn_dim": 32,
}
SEQ2SEQ |= {"encoder_attention_heads": 2, "decoder_attention_heads": 2, "max_position_embeddings": T}
MODELS = {
    "LlamaForCausalLM": TINY | {"tie_word_embeddings": True},
    "GPTNeoXForCausalLM": TINY,
    "BertForMaskedLM": TINY,
    "BertForSequenceClassification": TINY | {"num_labels": 4},
    "T5ForConditionalGeneration": {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 1, "num_heads": 2},
    "MarianMTModel": SEQ2SEQ,  # its positions are a fixed table of sines
}


def build(name):
    """Return a tiny model of transformers."""
    transformers = pytest.importorskip("transformers", reason="the extra “huggingface” is not installed")
    kind = getattr(transformers, name)
    torch.manual_seed(0)
    special = {"pad_token_id": 0, "bos_token_id": 0, "eos_token_id": 0, "decoder_start_token_id": 0}
    return kind(kind.config_class(vocab_size=V, **MODELS[name], **special)).train()


def loss_of(name):
    """Return the loss as such a model computes it."""
    if "Masked" in name:
        return lambda model, x, y: masked(lambda ids: model(ids).logits, x, y)
    if "Classification" in name:
        return lambda model, x, y: model(input_ids=x, labels=x[:, 0] % 4).loss
    if "Causal" in name:
        return lambda model, x, y: model(input_ids=x, labels=x).loss
    return lambda model, x, y: model(input_ids=x, labels=y[:, :12].contiguous()).loss


@pytest.mark.parametrize("name", MODELS)
def test_a_model_of_transformers_raises_no_alarm(name, watch):
    def loop(watcher):
        return train(watcher, build(name), loss_of(name))

    assert loop(watch) == loop(bare)
    seen, found = verdicts(watch.monitor), watch.monitor.check(whole=True)
    assert (found.leaves, found.verdict) == ([], Verdict.PASS)
    causal = "Masked" not in name and "Classification" not in name
    assert seen["1.5"] is (Verdict.PASS if causal else Verdict.NOT_MEASURED)
    assert seen["1.3"] is Verdict.PASS
    decoded = 12 if "Generation" in name or "MT" in name else T
    assert Run(watch.monitor.run_dir).metrics[1]["tokens"] == B * decoded


# ---------------------------------------------------------------------- faults in loops that are not plain


@pytest.fixture
def one_process():
    """Return what wraps a model for one process of several."""
    with tempfile.TemporaryDirectory() as folder:
        dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=0, world_size=1)
        yield torch.nn.parallel.DistributedDataParallel
        dist.destroy_process_group()


FAULTS = {
    "": None,
    "zero_grad": "missing-zero-grad",
    "shift": "target-shift",
    "sum": "loss-reduction",
    "undivided": "accumulation-sum",
    "rebuilt": "lost-optimizer-state",
    "constant": "scheduler-never-stepped",
}


def broken(watch, model, fault, optimizer=lambda m: [adamw(m)], amp=nullcontext):
    """Train with a mistake; the schedule asked for is that of the first optimizer."""
    data, optimizers, k = loops.tokens(), optimizer(model), 2 if fault == "undivided" else 1
    top = [[group["lr"] for group in one.param_groups] for one in optimizers]
    with watch(model, optimizers[0], schedule=lambda step: top[0][0] / (1 + step)) as monitor:
        for step in range(STEPS):
            if fault == "rebuilt":
                optimizers = optimizer(model)
            for one, rates in zip(optimizers, top, strict=True):
                for group, rate in zip(one.param_groups, rates, strict=True):
                    group["lr"] = rate / (1 if fault == "constant" else 1 + step)
            for micro in range(k):
                inputs, targets, later = loops.batch_at(data, k * step + micro)
                with amp():
                    logits = loops.logits_of(model, inputs).flatten(0, 1)
                    scored = (later if fault == "shift" else targets).flatten()
                    reduction = "sum" if fault == "sum" else "mean"
                    loss = torch.nn.functional.cross_entropy(logits, scored, reduction=reduction)
                loss.backward()
                monitor.step(loss)
            for one in optimizers:
                one.step()
                if fault != "zero_grad":
                    one.zero_grad()


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("kind", ["two optimizers", "SGD", "bfloat16", "processes", "Llama"])
def test_each_mistake_is_named_in_a_loop_that_is_not_plain(kind, fault, watch, request):
    model = build("LlamaForCausalLM") if kind == "Llama" else Little()
    model = request.getfixturevalue("one_process")(model) if kind == "processes" else model
    more = {
        "two optimizers": {"optimizer": shared_out},
        "SGD": {"optimizer": lambda m: [torch.optim.SGD(m.parameters(), lr=0.1, momentum=0.9)]},
        "bfloat16": {"amp": lambda: torch.autocast("cpu", torch.bfloat16)},
    }
    broken(watch, model, fault, **more.get(kind, {}))
    assert watch.monitor.check().leaf == FAULTS[fault]


def test_a_prefix_may_be_read_as_a_whole_but_not_be_scored_too(watch):
    class Prefixed(Little):
        def hidden(self, ids):
            future = torch.ones(T, T, dtype=torch.bool).triu(1)
            future[:, : T // 2 + 4] = False
            x = self.tokens(ids)
            return self.norm(x + self.attention(x, x, x, attn_mask=future, need_weights=False)[0])

    def after_the_prefix(model, inputs, targets):
        return plain(model, inputs, targets.masked_fill(torch.arange(T) < T // 2 + 4, -100))

    settings = {"frozen": ["positions", "mlp", "norm_"]}
    train(watch, Prefixed(), after_the_prefix, **settings)
    assert verdicts(watch.monitor)["1.5"] is Verdict.PASS
    train(bare, Prefixed(), plain)
    with tempfile.TemporaryDirectory() as folder:
        train(watch, Prefixed(), plain, run_dir=f"{folder}/run", **settings)
        assert watch.monitor.check().leaf == "future-leak"


# ---------------------------------------------------------------------- the run comes first


def test_what_is_compiled_is_compiled_as_without(watch):
    def graphs(watcher):
        torch._dynamo.reset()
        made = []
        model = Little()
        compiled = torch.compile(
            model, fullgraph=True, backend=lambda graph, _: made.append(graph) or graph.forward
        )
        return train(watcher, compiled), len(made)

    assert graphs(watch) == graphs(bare)
    assert watch.monitor.check().verdict is Verdict.PASS
    assert verdicts(watch.monitor)["1.4"] is Verdict.PASS


def test_a_monitor_that_fails_says_so_and_lets_the_run_go_on(watch):
    def loop(watcher):
        monitors = []

        def full_disk(model, optimizer):
            monitors.append(watcher(model, optimizer))
            return monitors[0]

        def fill_up(model, inputs, targets):
            if watcher is watch and monitors[0].steps == 4:
                monitors[0].writer.metric = None  # as good as a disk that is full
            return plain(model, inputs, targets)

        return train(full_disk, Little(), fill_up)

    with pytest.warns(UserWarning, match="The monitor has stopped watching"):
        watched = loop(watch)
    assert watched == loop(bare)
    assert not watch.monitor.model.tokens._forward_hooks


def test_only_the_first_process_watches(watch, monkeypatch, tmp_path):
    monkeypatch.setattr(dist, "is_initialized", lambda: True)
    monkeypatch.setattr(dist, "get_rank", lambda: 1)
    train(watch, Little())
    assert [file.name for file in watch.run_dir.iterdir()] == [".rank-1.json"]  # checksums, and no more
