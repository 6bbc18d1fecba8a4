"""metarl: a meta-learning core shared by meta-RL for robots and supervised few-shot learning."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("metarl-suite")
except PackageNotFoundError:  # run from a checkout that was never installed
    __version__ = "0.0.0+checkout"
