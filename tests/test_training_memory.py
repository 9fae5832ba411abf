"""What training takes: known adapters, terms that add up, and steps whose tensors were counted."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fathom_tui.architecture import Architecture, parameters
from fathom_tui.errors import UsageError
from fathom_tui.training_memory import (
    Backend,
    Method,
    TrainingPlan,
    routed_experts,
    trainable_parameters,
    training,
)
from tests.shapes import (
    DEEPSEEK_V2_LITE,
    LLAMA_8B,
    LLAMA_70B,
    MIXTRAL,
    PHI_4,
    QWEN25_7B,
    TINYLLAMA,
)

MIB = 2**20
PLANS = st.builds(
    TrainingPlan,
    method=st.sampled_from(Method),
    rank=st.integers(1, 256),
    targets=st.sampled_from(["attention", "all-linear"]),
    batch=st.integers(1, 64),
    seq=st.integers(1, 32_768),
    backend=st.sampled_from(Backend),
    checkpointing=st.booleans(),
    evaluation_batch=st.none() | st.integers(1, 64),
)


class TestExperts:
    def test_they_are_most_of_a_mixture(self) -> None:
        assert routed_experts(MIXTRAL) == 32 * 8 * 3 * 4_096 * 14_336

    def test_a_dense_model_has_none(self) -> None:
        assert routed_experts(LLAMA_8B) == 0

    def test_layers_without_experts_do_not_count(self) -> None:
        assert routed_experts(DEEPSEEK_V2_LITE) == 26 * 64 * 3 * 2_048 * 1_408


class TestAdapters:
    @pytest.mark.parametrize(
        ("shape", "rank", "targets", "count"),
        [
            (LLAMA_8B, 16, "attention", 13_631_488),
            (QWEN25_7B, 16, "attention", 10_092_544),
            (TINYLLAMA, 8, ("q", "v"), 1_126_400),
            (TINYLLAMA, 8, ("q_proj", "v_proj"), 1_126_400),
            (LLAMA_8B, 16, "all-linear", 41_943_040),
            (QWEN25_7B, 16, "all-linear", 40_370_176),
            (LLAMA_70B, 64, "all-linear", 828_375_040),
        ],
    )
    def test_their_parameters_are_counted(
        self, shape: Architecture, rank: int, targets: str | tuple[str, ...], count: int
    ) -> None:
        plan = TrainingPlan(method=Method.LORA, rank=rank, targets=targets)

        assert trainable_parameters(shape, plan) == count

    def test_full_training_trains_everything(self) -> None:
        plan = TrainingPlan(method=Method.FULL)

        assert trainable_parameters(LLAMA_8B, plan) == parameters(LLAMA_8B)

    def test_experts_in_one_tensor_are_not_reached(self) -> None:
        attention = trainable_parameters(MIXTRAL, TrainingPlan(targets="attention"))

        assert trainable_parameters(MIXTRAL, TrainingPlan(targets="all-linear")) == attention

    def test_shared_experts_and_latent_attention_are(self) -> None:
        attention = trainable_parameters(DEEPSEEK_V2_LITE, TrainingPlan(targets="attention"))
        everything = trainable_parameters(DEEPSEEK_V2_LITE, TrainingPlan(targets="all-linear"))

        assert attention == 16 * 27 * ((2048 + 3072) + (2048 + 576) + (512 + 4096) + 2 * 2048)
        assert everything > attention

    def test_fused_matrices_have_names_of_their_own(self) -> None:
        plan = TrainingPlan(rank=8, targets=("qkv", "o"))

        assert trainable_parameters(PHI_4, plan) == 8 * 40 * ((5120 + 7680) + 2 * 5120)
        with pytest.raises(UsageError, match="no matrix named q") as caught:
            trainable_parameters(PHI_4, replace(plan, targets=("q",)))
        assert "qkv" in caught.value.fix

    def test_an_unknown_set_of_targets_is_refused(self) -> None:
        with pytest.raises(UsageError, match="'everything'"):
            trainable_parameters(LLAMA_8B, TrainingPlan(targets="everything"))


class TestStates:
    def test_full_training_is_sixteen_bytes_a_parameter(self) -> None:
        found = training(LLAMA_8B, TrainingPlan(method=Method.FULL))

        states = found.weights + found.gradients + found.optimizer
        assert states == 16 * 8_030_261_248

    def test_adapters_are_float32_and_the_rest_two_bytes(self) -> None:
        found = training(LLAMA_8B, TrainingPlan(method=Method.LORA))

        assert found.weights == 2 * 8_030_261_248 + 4 * 13_631_488
        assert found.gradients == 4 * 13_631_488
        assert found.optimizer == 8 * 13_631_488

    def test_four_bits_leave_the_embeddings_alone(self) -> None:
        found = training(LLAMA_8B, TrainingPlan(method=Method.QLORA))
        quantised = 6_979_321_856

        rest = 2 * (8_030_261_248 - quantised) + 2 * 13_631_488
        assert found.weights == pytest.approx(quantised * 0.51587 + rest, rel=1e-5)
        assert found.gradients == 2 * 13_631_488  # TRL turns the adapter to bfloat16

    def test_70b_in_four_bits_does_not_fit_24_gb(self) -> None:
        found = training(LLAMA_70B, TrainingPlan(method=Method.QLORA))

        assert found.weights > 36e9

    def test_unsloth_needs_what_it_publishes_for_8b(self) -> None:
        plan = TrainingPlan(method=Method.QLORA, backend=Backend.UNSLOTH)

        assert training(LLAMA_8B, plan).total / 2**30 == pytest.approx(6, rel=0.1)


class TestCountedSteps:
    """Peaks of simulated steps (fake tensors, AdamW in place) of transformers 5.17, TRL 1.14."""

    @pytest.mark.parametrize(
        ("shape", "method", "targets", "batch", "checkpointing", "mib"),
        [
            (TINYLLAMA, Method.LORA, "attention", 1, True, 2_575),
            (TINYLLAMA, Method.LORA, "all-linear", 4, True, 4_223),
            (TINYLLAMA, Method.LORA, "all-linear", 1, False, 7_000),
            (TINYLLAMA, Method.FULL, "attention", 1, True, 16_801),
            (TINYLLAMA, Method.FULL, "attention", 4, True, 17_660),
            (TINYLLAMA, Method.FULL, "attention", 1, False, 20_364),
            (LLAMA_8B, Method.LORA, "attention", 1, True, 16_581),
            (LLAMA_8B, Method.LORA, "all-linear", 4, True, 20_683),
            (LLAMA_8B, Method.LORA, "all-linear", 1, False, 31_025),
            (LLAMA_8B, Method.FULL, "attention", 1, True, 122_564),
            (LLAMA_8B, Method.FULL, "attention", 1, False, 127_494),
        ],
    )
    def test_the_total_is_within_five_percent(
        self,
        shape: Architecture,
        method: Method,
        targets: str,
        batch: int,
        checkpointing: bool,
        mib: int,
    ) -> None:
        plan = TrainingPlan(
            method=method, targets=targets, batch=batch, checkpointing=checkpointing
        )

        assert training(shape, plan).total / MIB == pytest.approx(mib, rel=0.05)


class TestTerms:
    @given(PLANS)
    def test_they_add_up_and_none_is_negative(self, plan: TrainingPlan) -> None:
        for shape in (LLAMA_8B, MIXTRAL, DEEPSEEK_V2_LITE):
            found = training(shape, plan)
            terms = (
                *(found.weights, found.gradients, found.optimizer),
                *(found.activations, found.logits),
            )

            assert found.total == sum(terms)
            assert min(terms) >= 0
            assert found.total >= found.evaluation

    @given(PLANS, st.integers(2, 4))
    def test_more_tokens_never_need_less(self, plan: TrainingPlan, times: int) -> None:
        more = replace(plan, batch=min(4_096, plan.batch * times))

        assert training(QWEN25_7B, more).total >= training(QWEN25_7B, plan).total

    @given(PLANS)
    def test_checkpointing_never_needs_more_for_adapters(self, plan: TrainingPlan) -> None:
        plan = replace(plan, method=Method.LORA, seq=max(plan.seq, 256))
        kept = training(LLAMA_8B, replace(plan, checkpointing=False))

        assert training(LLAMA_8B, replace(plan, checkpointing=True)).total <= kept.total

    def test_evaluating_more_rows_than_are_trained_can_be_the_peak(self) -> None:
        plan = TrainingPlan(method=Method.LORA, batch=1)
        many = replace(plan, evaluation_batch=16)

        assert training(LLAMA_8B, many).total == training(LLAMA_8B, many).evaluation
        assert training(LLAMA_8B, many).total > training(LLAMA_8B, plan).total

    @pytest.mark.parametrize(
        ("field", "value"), [("rank", 0), ("batch", 0), ("seq", -1), ("seq", 10**9), ("rank", 5000)]
    )
    def test_absurd_plans_are_refused(self, field: str, value: int) -> None:
        with pytest.raises(UsageError, match=f"training's {field} is"):
            TrainingPlan(**{field: value})  # type: ignore[arg-type]
