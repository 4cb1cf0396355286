"""How TensorFlow's devices and processes work together: its strategies, and sums over workers."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import tensorflow as tf

from ptychonyx.runtime.model.start import Driver, why_no_gpu

from ..config.any import RunConfig
from ..distributed.workers import WorkerLostError, Workers

logger = logging.getLogger(__name__)

FIRST_PORT = 20_000
"""First port of a SLURM job, to which the last digits of its number are added: jobs do not meet."""


def make_strategy(workers: Workers, config: RunConfig) -> tf.distribute.Strategy:
    """Return the strategy; with several processes, wait until all are there, and connect them.

    `config` is not used: unlike PyTorch's, every strategy here can do all that it may ask for.

    Raises
    ------
    ValueError
        If there are GPUs, but fewer than asked for.
    """
    gpus = tf.config.list_physical_devices("GPU")
    warn_of_unused_gpu(len(gpus))
    num_needed = workers.devices if workers.num == 1 else workers.local_rank + 1
    if gpus and len(gpus) < num_needed and not workers.has_slurm:
        raise ValueError(
            f"`devices` is {workers.devices}, but this machine has {len(gpus)} GPUs; ask for fewer."
        )
    if workers.strategy == "mirrored":
        return tf.distribute.MirroredStrategy(_devices_of_one_process(workers.devices, bool(gpus)))
    if workers.num == 1:
        return tf.distribute.get_strategy()
    if len(gpus) > 1:  # with one, srun has bound each process to its own
        tf.config.set_visible_devices(gpus[workers.local_rank], "GPU")
    return tf.distribute.MultiWorkerMirroredStrategy(cluster_resolver=_resolver(workers))


def warn_of_unused_gpu(num_gpus: int, driver: Driver = why_no_gpu) -> None:
    """Warn where the machine has a GPU that TensorFlow cannot use: it would train on the CPU unsaid.

    Parameters
    ----------
    num_gpus : int
        GPUs that TensorFlow can use.
    driver : callable
        Returns why no GPU can be used on this machine, or None if one can.
    """
    if num_gpus == 0 and driver() is None:
        logger.warning(
            "This machine has a GPU, but TensorFlow cannot use it and trains on the CPU. It needs "
            "CUDA's libraries: install lock-gpu-tensorflow.txt, or `tensorflow[and-cuda]`; with "
            "TF_CPP_MIN_LOG_LEVEL=0 it says which one is missing."
        )


def sum_over_workers(
    strategy: tf.distribute.Strategy, workers: Workers, *values: float
) -> tuple[float, ...]:
    """Return the sums of some numbers over all processes."""
    if workers.num == 1:
        return values
    own = distribute(strategy, [tf.constant(values, tf.float64)])
    return tuple(strategy.reduce(tf.distribute.ReduceOp.SUM, own, axis=None).numpy().tolist())


@contextmanager
def watched_workers(workers: Workers) -> Iterator[None]:
    """Tell the loss of another process from other errors.

    Raises
    ------
    WorkerLostError
        If another process is gone.
    """
    try:
        yield
    except tf.errors.OpError as error:
        if workers.num > 1:
            raise WorkerLostError(workers, error) from error
        raise


def distribute(strategy: tf.distribute.Strategy, values: Sequence[Any]) -> Any:
    """Return the values of this process' devices as one that differs from device to device."""
    if strategy.num_replicas_in_sync == 1:
        return values[0]
    return strategy.experimental_distribute_values_from_function(
        lambda context: values[context.replica_id_in_sync_group % len(values)]
    )


def sum_over_devices(values: Any) -> Any:
    """Return the sums of tensors over all devices; each device must call it with its own."""
    context = tf.distribute.get_replica_context()
    if context.num_replicas_in_sync == 1:
        return values
    return context.all_reduce(tf.distribute.ReduceOp.SUM, values)


def _devices_of_one_process(num: int, has_gpus: bool) -> list[str]:
    if not has_gpus:  # parts of the CPU: no gain, but the same as with GPUs
        (cpu,) = tf.config.list_physical_devices("CPU")
        parts = [tf.config.LogicalDeviceConfiguration() for _ in range(num)]
        tf.config.set_logical_device_configuration(cpu, parts)
    return [f"{'GPU' if has_gpus else 'CPU'}:{index}" for index in range(num)]


def _resolver(workers: Workers) -> tf.distribute.cluster_resolver.ClusterResolver:
    if not workers.has_slurm:
        return tf.distribute.cluster_resolver.TFConfigClusterResolver()
    return tf.distribute.cluster_resolver.SlurmClusterResolver(
        port_base=FIRST_PORT + int(os.environ.get("SLURM_JOB_ID", 0)) % 10_000,
        gpus_per_node=workers.devices,  # a place for each process, whether or not it has a GPU
        gpus_per_task=1,
        auto_set_gpu=False,
    )
