"""The training loop. Importing this module loads TensorFlow."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from cnn import _checkpoint
from cnn._augment import augment, mix
from cnn._devices import strategy
from cnn._images import Batches, Images
from cnn._layers import Step
from cnn._optimizer import OPTIMIZERS
from cnn._recipe import Recipe
from featurestore._fitting import TrainingDivergedError
from featurestore._targets import dev_measures

# Epochs without a better loss before "plateau" divides the rate, and by what.
PLATEAU_EPOCHS, PLATEAU_FACTOR = 5, 0.1
EVALUATION_BATCH = 200
# With a momentum of 0.9 that leaves a fifth of what the epoch before had seen.
REFRESH_BATCHES = 15

Route = Any  # which part of a network a step trains; what it is, is the network's affair


@dataclass(frozen=True)
class Stage:
    """A part of training in which each variable has a rate of its own.

    Attributes
    ----------
    epochs : int
        The last stage's is not looked at: it lasts to the end.
    scales : list of float
        What the learning rate is multiplied by for each trainable variable; 0: it stays as it is.
    """

    epochs: int
    scales: list[float]


@dataclass
class Network:
    """A network with what the loop has to know of it.

    Attributes
    ----------
    model : keras.Model
        From float (batch, side, side, 3) to logits (batch, classes).
    step : Step
    mean, scale : float32 (3,)
        What is subtracted from pixels, and what they are divided by.
    choose_path : callable or None
        Which part of the network a step trains, by the step's number. Each is compiled on its own.
        No step trains the whole, so its batch normalisation is given statistics after each epoch.
    """

    model: Any
    step: Step
    mean: Any
    scale: Any
    choose_path: Callable[[int], Route] | None = None
    _evaluate: dict[Route, Any] = field(default_factory=dict, repr=False)
    _see: Any = field(default=None, repr=False)

    @property
    def trainable(self) -> list[Any]:
        """Trainable tf.Variables."""
        return [v.value for v in self.model.trainable_variables]

    @property
    def variables(self) -> list[Any]:
        """All tf.Variables that make up the network."""
        return [v.value for v in self.model.variables]

    def prepare(self, images: Any) -> Any:
        """Return the network's input, float (batch, side, side, 3), from uint8 images."""
        x = (tf.cast(images, tf.float32) - self.mean) / self.scale
        return tf.cast(x, self.model.compute_dtype)

    def probabilities(self, images: Images, mirror: bool = False, path: Route = None) -> Any:
        """Return float32 (n, classes) for uint8 images (n, side, side, 3).

        With ``mirror`` the mean of each image's and its mirror image's; with a path by that part of
        the network.
        """
        if path not in self._evaluate:
            self._evaluate[path] = self._compile_evaluation(images.shape[1:], path)
        evaluate, found = self._evaluate[path], []
        for start in range(0, len(images), EVALUATION_BATCH):
            batch = images[start : start + EVALUATION_BATCH]
            part = evaluate(batch).numpy()
            found.append((part + evaluate(batch[:, :, ::-1]).numpy()) / 2 if mirror else part)
        return np.concatenate(found)

    def refresh_statistics(self, images: Images) -> None:
        """Let batch normalisation see what the whole network makes of some training images.

        Source: "precise batch norm", Wu and Johnson 2021. Without dropout, as in prediction.
        """
        if self._see is None:
            self._see = tf.function(
                lambda batch: self.model(self.prepare(batch), training=True), reduce_retracing=True
            )
        size = min(EVALUATION_BATCH, len(images))
        self.step.drops = False
        for start in np.linspace(0, len(images) - size, REFRESH_BATCHES).astype(int).tolist():
            self._see(images[start : start + size])
        self.step.drops = True

    def _compile_evaluation(self, shape: tuple[int, ...], path: Route) -> Any:
        """Return a function from images (batch, *shape) to probabilities (batch, classes).

        Compiling a deep network takes as long as evaluating hundreds of images: once is for batches
        of any size, while training and afterwards, mirrored or not.
        """
        more = {} if path is None else {"path": path}

        def evaluate(batch: Any) -> Any:
            logits = self.model(self.prepare(batch), training=False, **more)
            return tf.nn.softmax(tf.cast(logits, tf.float32))

        return tf.function(evaluate, input_signature=[tf.TensorSpec([None, *shape], tf.uint8)])


@dataclass
class _State:
    """What changes while training, besides variables."""

    epoch: int = 0
    factor: float = 1.0
    plateau_best: float = float("inf")
    plateau_wait: int = 0
    best_epoch: int = 0
    best_accuracy: float = -1.0
    best_loss: float = float("inf")
    history: dict[str, list[float]] = field(default_factory=dict)


def train(
    network: Network,
    recipe: Recipe,
    images: Images,
    targets: Any,
    dev: tuple[Images, Any] | None,
    progress: Callable[[int, int, str], None],
    *,
    begin: Callable[[], None] = lambda: None,
    stages: Sequence[Stage] = (),
    checkpoint: Path | None = None,
    about: dict[str, Any] | None = None,
) -> dict[str, list[float]]:
    """Train a network; it is left with the weights to predict with.

    Parameters
    ----------
    network : Network
    recipe : Recipe
    images : Images
    targets : float32 (n, classes)
        Shares of classes, times the weight of the row.
    dev : (Images, int (m,)) or None
    progress : callable
        Told (steps done, steps at most, text).
    begin : callable
        What comes before the first step, unless training goes on from a checkpoint.
    stages : sequence of Stage
        One after the other; none: all variables at the recipe's rate.
    checkpoint : Path, optional
        Where to keep what training needs to go on; read if it is there and ``about`` is the same.
    about : dict
        Settings and data, as JSON.

    Returns
    -------
    dict of list of float
        Curves by epoch: loss, accuracy, learning_rate, dev_loss, dev_accuracy.

    Raises
    ------
    TrainingDivergedError
    """
    about = about or {}
    trained = network.trainable
    stages = stages or [Stage(recipe.epochs, [1.0] * len(trained))]
    found = _checkpoint.load(checkpoint, about) if checkpoint else None
    if not found:
        begin()
    replicas = strategy().num_replicas_in_sync
    batches = Batches(images, recipe.batch_size, recipe.random_state, parts=replicas)
    with strategy().scope():
        optimizer = OPTIMIZERS[recipe.optimizer](trained)
        average = averages(network) if recipe.averaging else network.variables
    step_of = _Steps(network, recipe, optimizer, average)
    held = [*network.variables, *optimizer.state, *(average if recipe.averaging else ())]
    weights = targets.sum(axis=1)
    shares = targets / np.where(weights > 0, weights, 1)[:, None]
    shares = shares * (1 - recipe.label_smoothing) + recipe.label_smoothing / targets.shape[1]
    shares, weights = shares.astype(np.float32), weights.astype(np.float32)

    state, best = _State(), None
    if found:
        state, best = _restore(*found, held)
    total = recipe.epochs * batches.steps
    while state.epoch < recipe.epochs and not _out_of_patience(state, recipe):
        scales = _stage(stages, state.epoch).scales
        begun, spoken = time.perf_counter(), 0.0
        losses: list[Any] = []
        hits: list[Any] = []
        rate = 0.0
        for i, (pixels, rows) in enumerate(batches.epoch(state.epoch)):
            number = state.epoch * batches.steps + i
            rate = recipe.rate(state.epoch + (i + 1) / batches.steps, state.factor)
            loss, right = step_of(number, pixels, shares[rows], weights[rows], rate, scales)
            losses.append(loss)
            hits.append(right)
            now = time.perf_counter()
            if now - spoken > 1:  # asking for a value waits for it; once a second is no matter
                spoken = now
                speed = (i + 1) * batches.batch / (now - begun)
                text = f"epoch {state.epoch + 1}/{recipe.epochs}, loss {float(loss):.3f}"
                progress(number + 1, total, f"{text}, {speed:,.0f} images/s{_last(state)}")
        measured = {
            "loss": float(np.mean([float(loss) for loss in losses])),
            "accuracy": float(sum(int(right) for right in hits) / (len(hits) * batches.batch)),
            "learning_rate": rate,
        }
        if not np.isfinite(measured["loss"]):
            raise TrainingDivergedError(
                f"the loss is {measured['loss']} in epoch {state.epoch + 1}; a lower learning_rate "
                "(or clip) may help"
            )
        if recipe.averaging:
            _swap(network.variables, average)
        if network.choose_path:
            network.refresh_statistics(images)
        if dev:
            measured |= dev_measures(network.probabilities(dev[0]), dev[1])
        for name, value in measured.items():
            state.history.setdefault(name, []).append(value)
        state.epoch += 1
        if dev and recipe.patience is not None:
            rank = measured["dev_accuracy"], -measured["dev_loss"]
            if rank > (state.best_accuracy, -state.best_loss):
                state.best_accuracy, state.best_loss = rank[0], -rank[1]
                state.best_epoch = state.epoch
                best = [v.numpy() for v in network.variables]
        if recipe.averaging:
            _swap(network.variables, average)
        _notice_plateau(state, measured["dev_loss" if dev else "loss"], recipe)
        if checkpoint:
            arrays = [v.numpy() for v in held] + (best or [])
            _checkpoint.save(checkpoint, about, vars(state), arrays)
        progress(state.epoch * batches.steps, total, f"epoch {state.epoch}{_last(state)}")
    for variable, value in zip(network.variables, best or average, strict=True):
        variable.assign(value)
    return state.history


def averages(network: Network) -> list[Any]:
    """Return new variables with the values of a network's."""
    # All GPUs have the same values.
    kind = tf.VariableAggregation.ONLY_FIRST_REPLICA
    return [tf.Variable(v, trainable=False, aggregation=kind) for v in network.variables]


class _Steps:
    """One step of training, compiled for each path and stage.

    Parameters
    ----------
    network : Network
    recipe : Recipe
    optimizer : SGD or Adam
    average : list of tf.Variable
        Of the network's variables; not looked at if the recipe averages nothing.
    """

    def __init__(
        self, network: Network, recipe: Recipe, optimizer: Any, average: list[Any]
    ) -> None:
        self._network, self._recipe = network, recipe
        self._optimizer, self._average = optimizer, average
        self._compiled: dict[Any, Any] = {}
        self._strategy = strategy()
        self._replicas = self._strategy.num_replicas_in_sync

    def __call__(
        self, number: int, pixels: Any, shares: Any, weights: Any, rate: float, scales: list[float]
    ) -> Any:
        """Train on a batch; return (mean loss, number of right answers) as tensors."""
        choose = self._network.choose_path
        path = choose(number) if choose else None
        key = path, tuple(scales)
        if key not in self._compiled:
            self._compiled[key] = self._compile(path, scales)
        return self._compiled[key](
            pixels, shares, weights, tf.constant(rate, tf.float32), tf.constant(number)
        )

    def _compile(self, path: Route, scales: list[float]) -> Any:
        network, recipe = self._network, self._recipe
        model, average = network.model, self._average
        moved = [(v, s) for v, s in zip(network.trainable, scales, strict=True) if s]
        more = {} if path is None else {"path": path}

        def step(pixels: Any, shares: Any, weights: Any, rate: Any, number: Any) -> Any:
            network.step.number.assign(number)
            seed = tf.stack([recipe.random_state, number])
            pixels = augment(pixels, seed, recipe.shift, recipe.flip, recipe.cutout)
            x = network.prepare(pixels)
            if recipe.mixup:
                x, shares = mix(x, shares, seed, recipe.mixup)
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                for variable, _ in moved:
                    tape.watch(variable)
                logits = tf.cast(model(x, training=True, **more), tf.float32)
                losses = tf.nn.softmax_cross_entropy_with_logits(shares, logits)
                loss = tf.reduce_mean(weights * losses)
            gradients = tape.gradient(loss, [v for v, _ in moved])
            gradients = self._reduce(gradients)
            if recipe.l2:
                gradients = [
                    g + recipe.l2 * v if g is not None and len(v.shape) > 1 else g
                    for g, (v, _) in zip(gradients, moved, strict=True)
                ]
            if recipe.clip:
                gradients, _ = tf.clip_by_global_norm(gradients, recipe.clip)
            self._optimizer.apply(
                {v.ref(): (g, s) for g, (v, s) in zip(gradients, moved, strict=True)}, rate
            )
            if recipe.averaging:
                # The first steps count for little: the average begins short and grows.
                t = tf.cast(number, tf.float32)
                old = tf.minimum(recipe.averaging, (t + 1) / (t + 10))
                for mean, variable in zip(average, network.variables, strict=True):
                    mean.assign_sub((1 - old) * (mean - variable))
            answers = tf.argmax(shares, axis=1)
            hits = tf.reduce_sum(tf.cast(tf.argmax(logits, axis=1) == answers, tf.int32))
            return loss, hits

        if self._replicas == 1:
            return tf.function(step, jit_compile=bool(tf.config.list_physical_devices("GPU")))

        @tf.function  # type: ignore[untyped-decorator]
        def spread(pixels: Any, shares: Any, weights: Any, rate: Any, number: Any) -> Any:
            parts = [tf.split(x, self._replicas) for x in (pixels, shares, weights)]
            given = [
                self._strategy.experimental_distribute_values_from_function(
                    lambda context, part=part: part[context.replica_id_in_sync_group]
                )
                for part in parts
            ]
            loss, hits = self._strategy.run(step, (*given, rate, number))
            return (
                self._strategy.reduce("mean", loss, axis=None),
                self._strategy.reduce("sum", hits, axis=None),
            )

        return spread

    def _reduce(self, gradients: list[Any]) -> list[Any]:
        """Return the mean of all GPUs' gradients; None stays None."""
        if self._replicas == 1:
            return gradients
        present = [g for g in gradients if g is not None]
        context = tf.distribute.get_replica_context()
        reduced = iter(context.all_reduce(tf.distribute.ReduceOp.MEAN, present))
        return [None if g is None else next(reduced) for g in gradients]


def _stage(stages: Sequence[Stage], epoch: int) -> Stage:
    for stage in stages[:-1]:
        if epoch < stage.epochs:
            return stage
        epoch -= stage.epochs
    return stages[-1]


def _out_of_patience(state: _State, recipe: Recipe) -> bool:
    """Return whether dev accuracy was not better for too long."""
    if recipe.patience is None or not state.best_epoch:  # no epoch is best without dev
        return False
    return state.epoch - state.best_epoch >= recipe.patience


def _notice_plateau(state: _State, loss: float, recipe: Recipe) -> None:
    if recipe.schedule != "plateau":
        return
    if loss < state.plateau_best:
        state.plateau_best, state.plateau_wait = loss, 0
        return
    state.plateau_wait += 1
    if state.plateau_wait >= PLATEAU_EPOCHS:
        state.factor *= PLATEAU_FACTOR
        state.plateau_wait = 0


def _restore(
    saved: dict[str, Any], arrays: list[Any], held: list[Any]
) -> tuple[_State, list[Any] | None]:
    for variable, value in zip(held, arrays, strict=False):
        variable.assign(value)
    return _State(**saved), arrays[len(held) :] or None


def _swap(ones: list[Any], others: list[Any]) -> None:
    for one, other in zip(ones, others, strict=True):
        kept = tf.identity(one)
        one.assign(other)
        other.assign(kept)


def _last(state: _State) -> str:
    if not state.history:
        return ""
    accuracy = f", train {100 * state.history['accuracy'][-1]:.1f} %"
    if "dev_accuracy" in state.history:
        accuracy += f", dev {100 * state.history['dev_accuracy'][-1]:.1f} %"
    return accuracy
