"""The config of a run: its sections, their values, and the presets that are shipped."""

from minigpt.config.config import Config, flat, setting_types
from minigpt.config.sections import (
    SECTIONS,
    DataConfig,
    GuardsConfig,
    InstrumentsConfig,
    MemoryConfig,
    ModelConfig,
    OptimizerConfig,
    PlasticityConfig,
    PrecisionConfig,
    ScheduleConfig,
    TasksConfig,
    TrainerConfig,
)
from minigpt.config.values import ConfigError

__all__ = [
    "SECTIONS",
    "Config",
    "ConfigError",
    "DataConfig",
    "GuardsConfig",
    "InstrumentsConfig",
    "MemoryConfig",
    "ModelConfig",
    "OptimizerConfig",
    "PrecisionConfig",
    "PlasticityConfig",
    "ScheduleConfig",
    "TasksConfig",
    "TrainerConfig",
    "flat",
    "setting_types",
]
