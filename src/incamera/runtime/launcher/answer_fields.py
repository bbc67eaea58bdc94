"""The base class of the guard's answers, which are made from protocol.toml."""

from __future__ import annotations

from typing import Any, dataclass_transform


@dataclass_transform(frozen_default=True, kw_only_default=True)
class Fields:
    """Values by name, given as keywords. The annotations of a subclass are their names.

    To a type checker it is like a frozen dataclass. `dataclass` compiles methods for each class, and for all answers
    that takes a tenth of the time of a short command.
    """

    def __init__(self, **values: Any) -> None:
        if values.keys() != type(self).__annotations__.keys():
            raise TypeError(f"{type(self).__name__} has other fields than {', '.join(values)}")
        self.__dict__.update(values)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__}.{name} cannot be changed")

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and vars(other) == vars(self)

    def __hash__(self) -> int:
        return hash((type(self), *(vars(self)[name] for name in type(self).__annotations__)))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in vars(self).items())})"
