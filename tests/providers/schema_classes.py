"""Classes as people write them for structured outputs."""

import enum
from datetime import date, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import pydantic
from pydantic import BaseModel, Field


class Color(enum.StrEnum):
    RED = "red"
    BLUE = "blue"


class Size(enum.IntEnum):
    SMALL = 1
    LARGE = 2


class Label(BaseModel):
    name: str
    score: float


class Documented(BaseModel):
    """What it is about."""

    title: str = Field(description="in one line")
    label: Label = Field(description="the best one")


class Optionals(BaseModel):
    name: str
    nickname: str | None = None
    label: Label | None = None
    either: int | str | None = None


class Defaults(BaseModel):
    count: int = 3
    tags: list[str] = Field(default_factory=list)
    label: Label = Label(name="a", score=1)


class Choices(BaseModel):
    kind: Literal["a", "b"]
    one: Literal["only"]
    color: Color
    number: Literal[1, 2]


class Bounds(BaseModel):
    age: Annotated[int, Field(ge=0, lt=150)]
    share: Annotated[float, Field(gt=0, multiple_of=0.5)]
    word: Annotated[str, Field(min_length=1, max_length=10, pattern="^[a-z]+$")]
    words: Annotated[list[str], Field(min_length=2, max_length=5)]
    some: Annotated[list[str], Field(min_length=1)]


class Formats(BaseModel):
    day: date
    at: datetime
    id: UUID
    url: pydantic.AnyUrl
    raw: bytes


class Nested(BaseModel):
    labels: list[Label]
    matrix: list[list[int]]
    outer: Documented


class Numbers(BaseModel):
    size: Size
    flag: Literal[True]


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int


class Dog(BaseModel):
    kind: Literal["dog"]
    name: str


class Pets(BaseModel):
    pet: Annotated[Cat | Dog, Field(discriminator="kind")]
    plain: Cat | Dog


class Tree(BaseModel):
    value: int
    children: list["Tree"] = Field(default_factory=list)


class Linked(BaseModel):
    value: int
    next: "Linked | None" = None


class Within(BaseModel):
    tree: Tree


class FreeNames(BaseModel):
    counts: dict[str, int]


class Anything(BaseModel):
    value: Any


class Pair(BaseModel):
    both: tuple[int, str]


class Open(BaseModel):
    model_config = pydantic.ConfigDict(extra="allow")
    name: str


class Closed(BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")
    name: str


class Empty(BaseModel):
    pass


#: That every provider can promise.
PLAIN: tuple[type[BaseModel], ...] = (
    Label, Documented, Optionals, Defaults, Choices, Bounds, Formats, Nested, Pets, Closed,
)  # fmt: skip
#: That contain themselves.
RECURSIVE: tuple[type[BaseModel], ...] = (Tree, Linked, Within)
#: That have what some provider has no place for.
LOOSE: tuple[type[BaseModel], ...] = (Numbers, FreeNames, Anything, Pair, Open, Empty)
