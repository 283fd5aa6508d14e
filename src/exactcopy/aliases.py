"""What may not travel, and what stands for it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Aliases:
    """What stands for each text that may not travel."""

    shown: Mapping[str, str] = field(default_factory=dict)

    def applied(self, value: Any) -> Any:
        """Return `value` with each text replaced in every string, as whole words, nested ones and keys included."""
        return self._applied(value, self._pattern()) if self.shown else value

    def _applied(self, value: Any, pattern: re.Pattern[str]) -> Any:
        if isinstance(value, str):
            return pattern.sub(lambda found: self.shown[found[0]], value)
        if isinstance(value, Mapping):
            return {self._applied(key, pattern): self._applied(each, pattern) for key, each in value.items()}
        if isinstance(value, list | tuple):
            return [self._applied(each, pattern) for each in value]
        return value

    def _pattern(self) -> re.Pattern[str]:
        longest_first = sorted(self.shown, key=len, reverse=True)
        return re.compile(rf"(?<![^\W_])(?:{'|'.join(map(re.escape, longest_first))})(?![^\W_])")
