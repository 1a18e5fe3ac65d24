"""Every rule, gathered from beside the checks."""

from collections.abc import Mapping
from types import ModuleType
from typing import Final

from factory.lint import (
    cloud_rules,
    finding,
    policy_rules,
    reach,
    resource_rules,
    template_rules,
    template_shape,
    template_values,
    topic_rules,
)
from factory.lint.finding import Rule

_SUBJECTS: Final = (
    finding, policy_rules, reach, topic_rules, template_shape, template_values, template_rules,
    resource_rules, cloud_rules,
)  # fmt: skip


def _rules_of(module: ModuleType) -> list[Rule]:
    return [each for each in vars(module).values() if isinstance(each, Rule)]


RULES: Final[Mapping[str, Rule]] = {
    rule.id: rule for module in _SUBJECTS for rule in _rules_of(module)
}
"""By their ids."""
