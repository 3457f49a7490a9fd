"""Devices: several of them train as one does, and bfloat16 trains too."""

import os
import subprocess
import sys

import pytest
from tiny_networks import data, tiny

from cnn import _devices
from featurestore._tensorflow import load_tensorflow

tf = load_tensorflow()

SCRIPT = """
import sys, tensorflow as tf
if {spread}:
    cpu = tf.config.list_physical_devices("CPU")[0]
    parts = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(cpu, parts)
    found = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    for module in ("cnn._devices", "cnn._training"):
        __import__(module)
        sys.modules[module].strategy = lambda: found
from tiny_networks import data, tiny
model = tiny(epochs=6, drop_path=0.0, dropout=(0.0, 0.0), shift=0, flip=False, mirror=False)
model.fit(*data(240), *data(30, seed=1))
print(model.history_["loss"][0], model.history_["loss"][-1], model.score(*data(90, seed=2)))
"""


def fitted(spread: bool) -> list[float]:
    code = SCRIPT.format(spread=spread)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment
    )
    assert run.returncode == 0, run.stderr[-2000:]
    return [float(text) for text in run.stdout.splitlines()[-1].split()]


@pytest.mark.slow
def test_two_devices_learn_as_one_does() -> None:
    """On two logical CPUs in place of GPUs; each normalises its own half of a batch."""
    one, two = fitted(False), fitted(True)
    assert two[0] == pytest.approx(one[0], rel=0.2)
    assert two[1] < 0.5 * two[0]
    assert min(one[2], two[2]) > 0.9


@pytest.mark.slow
def test_bfloat16_learns_too_and_leaves_the_policy_as_it_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_devices, "policy", lambda: "mixed_bfloat16")
    model = tiny(epochs=10).fit(*data(240))
    assert model._built().model.compute_dtype == "bfloat16"
    assert {str(w.dtype) for w in model.weights_} == {"float32"}
    assert model.score(*data(60, seed=2)) > 0.8
    assert tf.keras.config.dtype_policy().name == "float32"


def test_without_gpus_it_is_float32_on_one_device() -> None:
    if tf.config.list_physical_devices("GPU"):
        pytest.skip("there is a GPU")
    assert _devices.policy() == "float32"
    assert _devices.strategy().num_replicas_in_sync == 1
