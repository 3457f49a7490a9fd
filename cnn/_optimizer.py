"""Optimizers in one fused kernel a variable. Importing this module loads TensorFlow.

Keras 3 writes each optimizer out as a dozen operations on each variable, which for ResNet-18 on a
CPU takes a third of the step.
"""

from typing import Any

import tensorflow as tf

# By tf.Variable.ref(): a gradient (None where a step does not reach the variable) and what the
# rate is multiplied by.
Gradients = dict[Any, tuple[Any, float]]


class SGD:
    """Stochastic gradient descent with Nesterov's momentum.

    Parameters
    ----------
    variables : list of tf.Variable
    momentum : float
    """

    def __init__(self, variables: list[Any], momentum: float = 0.9) -> None:
        self._variables, self._momentum = variables, momentum
        self.state = [tf.Variable(tf.zeros_like(v), trainable=False) for v in variables]

    def apply(self, gradients: Gradients, rate: Any) -> None:
        """Move variables against their gradients at rates ``rate`` * scale, float32 ()."""
        for variable, moment in zip(self._variables, self.state, strict=True):
            gradient, scale = gradients.get(variable.ref(), (None, 0.0))
            if gradient is not None:
                tf.raw_ops.ResourceApplyMomentum(
                    var=variable.handle,
                    accum=moment.handle,
                    lr=rate * scale,
                    grad=gradient,
                    momentum=self._momentum,
                    use_nesterov=True,
                )


class Adam:
    """Adam (Kingma and Ba 2015).

    Parameters
    ----------
    variables : list of tf.Variable
    """

    beta_1, beta_2, epsilon = 0.9, 0.999, 1e-7

    def __init__(self, variables: list[Any]) -> None:
        self._variables = variables
        self._moments = [
            [tf.Variable(tf.zeros_like(v), trainable=False) for v in variables] for _ in range(2)
        ]
        self._done = tf.Variable(0.0, trainable=False)
        self.state = [*self._moments[0], *self._moments[1], self._done]

    def apply(self, gradients: Gradients, rate: Any) -> None:
        """Move variables against their gradients at rates ``rate`` * scale, float32 ()."""
        done = self._done.assign_add(1.0)
        powers = self.beta_1**done, self.beta_2**done
        for variable, m, v in zip(self._variables, *self._moments, strict=True):
            gradient, scale = gradients.get(variable.ref(), (None, 0.0))
            if gradient is not None:
                tf.raw_ops.ResourceApplyAdam(
                    var=variable.handle,
                    m=m.handle,
                    v=v.handle,
                    beta1_power=powers[0],
                    beta2_power=powers[1],
                    lr=rate * scale,
                    beta1=self.beta_1,
                    beta2=self.beta_2,
                    epsilon=self.epsilon,
                    grad=gradient,
                )


OPTIMIZERS = {"sgd": SGD, "adam": Adam}
