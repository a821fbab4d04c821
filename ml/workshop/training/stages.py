"""What learns when: the head alone, then more of the backbone; loss, optimiser and schedule."""

from dataclasses import dataclass
from typing import Any

import keras
from numpy.typing import NDArray

from ml.workshop.task_config import TaskConfig, TrainingConfig
from ml.workshop.training.backbones.scaling import SCALING
from ml.workshop.training.network import FEATURES

# Of the first step's and the last step's learning rate, relative to the largest.
FIRST_RATE, LAST_RATE = 0.01, 0.01


@dataclass(frozen=True, slots=True)
class Stage:
    """The epochs from `first` up to `last`, in which the same layers learn under one schedule."""

    first: int
    last: int
    is_head_only: bool


def plan_stages(training: TrainingConfig) -> list[Stage]:
    """The stages in order; one of no epochs is left out."""
    frozen = min(training.frozen_epochs, training.epochs)
    stages = [
        Stage(0, frozen, is_head_only=True),
        Stage(frozen, training.epochs, is_head_only=False),
    ]
    return [stage for stage in stages if stage.first < stage.last]


def prepare_stage(network: Any, config: TaskConfig, stage: Stage, *, steps: int) -> None:
    """Set which layers learn, and compile with a fresh optimiser for `steps` steps an epoch."""
    _choose_layers(network, config, stage)
    training = config.training
    network.compile(
        optimizer=AveragingAdamW(
            _make_schedule(training, steps * (stage.last - stage.first)),
            weight_decay=training.weight_decay,
            use_ema=training.average_decay > 0,
            ema_momentum=training.average_decay or 0.99,
        ),
        loss=_make_loss(training),
        metrics=["accuracy"],
    )
    network.optimizer.build(network.trainable_variables)


class AveragingAdamW(keras.optimizers.AdamW):
    """AdamW whose moving average is read after every epoch and never left in the network."""

    def finalize_variable_values(self, var_list: Any) -> None:
        """Keras would end every call of `fit` by overwriting the weights with their average."""


def read_weights(network: Any) -> list[NDArray[Any]]:
    """The network's weights, those that learn as their moving average if one is kept."""
    optimizer = getattr(network.optimizer, "inner_optimizer", network.optimizer)
    averages: dict[str, Any] = {}
    if optimizer.use_ema:
        # Keras has no public way to read the average without losing the weights themselves.
        kept = optimizer._model_variables_moving_average
        learning = network.trainable_variables
        averages = {weight.path: one for weight, one in zip(learning, kept, strict=True)}
    return [
        keras.ops.convert_to_numpy(averages.get(weight.path, weight)) for weight in network.weights
    ]


def _choose_layers(network: Any, config: TaskConfig, stage: Stage) -> None:
    names = [layer.name for layer in network.layers]
    head = names.index(FEATURES)
    first = head if stage.is_head_only else round(config.training.unfreeze_from * head)
    for depth, layer in enumerate(network.layers):
        is_norm = isinstance(layer, keras.layers.BatchNormalization)
        is_fixed = layer.name == SCALING or (is_norm and config.model.fixed_norms)
        layer.trainable = depth >= first and not is_fixed


def _make_schedule(training: TrainingConfig, steps: int) -> Any:
    """A linear rise, then half a cosine down."""
    warmup = int(training.warmup_share * steps)
    rise = {"warmup_target": training.learning_rate, "warmup_steps": warmup} if warmup else {}
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=training.learning_rate * (FIRST_RATE if warmup else 1),
        decay_steps=max(1, steps - warmup),
        alpha=LAST_RATE,
        **rise,
    )


def _make_loss(training: TrainingConfig) -> Any:
    options = {"from_logits": True, "label_smoothing": training.label_smoothing}
    if training.loss == "focal":
        return keras.losses.CategoricalFocalCrossentropy(
            alpha=1.0, gamma=training.focal_gamma, **options
        )
    return keras.losses.CategoricalCrossentropy(**options)
