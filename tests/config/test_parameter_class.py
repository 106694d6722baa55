"""Classes of parameters: sections of a config, and frozen dataclasses for scripts."""

import copy
import pickle
from dataclasses import FrozenInstanceError, asdict, replace
from typing import Literal

import numpy as np
import pytest
from pydantic import Field, model_validator

from ngpipe.config.base import Positive, Section, Weight
from ngpipe.config.load import validate
from ngpipe.config.parameter_class import parameters
from ngpipe.errors import ArgumentError, ArgumentTypeError, ConfigError


@parameters
class Decay:
    """A decay.

    Raises:
        ArgumentError: a number that is out of range.
    """

    tau: Positive = Field(2.0, description="Time constant.")
    shape: Literal["exponential", "linear"] = Field("exponential", description="Shape.")
    floor: Weight = Field(0.0, description="Lowest value.")

    @model_validator(mode="after")
    def _ends(self) -> "Decay":
        if self.floor > self.tau:
            raise ValueError(f"floor ({self.floor:g}) is above tau ({self.tau:g}); lower it")
        return self

    @property
    def rate(self) -> float:
        """1 over tau."""
        return 1 / self.tau


class Config(Section):
    """A config with the section."""

    decay: Decay = Field(Decay(), description="The decay.")
    other: Positive = Field(1.0, description="Another number.")


def read(content: dict) -> Config:
    return validate(content, Config, where="bad.yaml")


class TestScripts:
    def test_values_are_given_in_order_or_by_name(self):
        assert Decay(4, "linear") == Decay(shape="linear", tau=4.0) != Decay(4)
        assert replace(Decay(4), floor=1) == Decay(4, floor=1)
        assert asdict(Decay(4)) == {"tau": 4.0, "shape": "exponential", "floor": 0.0}
        assert repr(Decay()) == "Decay(tau=2.0, shape='exponential', floor=0.0)"
        assert Decay(np.float32(0.5)).rate == 2

    def test_an_object_stays_as_it_is(self):
        one = Decay(4)
        with pytest.raises(FrozenInstanceError):
            one.tau = 3
        assert {one: 1}[Decay(4)] == 1
        assert copy.deepcopy(one) == pickle.loads(pickle.dumps(one)) == one

    @pytest.mark.parametrize(
        ("values", "message"),
        [
            ({"tau": -1}, "tau of Decay is -1, expected a number greater than 0; change it"),
            ({"tau": np.nan}, "tau of Decay is nan, expected a finite number; change it"),
            ({"floor": -0.5}, "floor of Decay is -0.5, expected a number greater than or equal to"),
            ({"tau": "x"}, "tau of Decay is 'x', expected a valid number"),
            (
                {"shape": "lin"},
                "shape of Decay is 'lin', expected 'exponential' or 'linear'",
            ),
            ({"floor": 3}, r"^floor \(3\) is above tau \(2\); lower it$"),
        ],
    )
    def test_a_value_that_is_not_allowed_is_named(self, values, message):
        with pytest.raises(ArgumentError, match=message):
            Decay(**values)
        with pytest.raises(ArgumentError, match=message):
            replace(Decay(), **values)

    def test_one_given_in_order_is_named_too(self):
        with pytest.raises(ArgumentError, match="tau of Decay is 0, expected"):
            Decay(0)

    def test_a_parameter_that_does_not_exist_is_a_mistake(self):
        with pytest.raises(ArgumentTypeError, match="no parameter 'flor'; did you mean 'floor'"):
            Decay(flor=1)
        with pytest.raises(ArgumentTypeError, match="takes 3 values at most; it has tau, shape, f"):
            Decay(1, "linear", 0, 7)


class TestConfigs:
    def test_a_section_is_an_object_of_the_class(self):
        assert read({"decay": {"tau": 4}}).decay == Decay(4)
        assert read({"decay": None}).decay == read({}).decay == Decay()
        assert read({"decay": {"tau": 4}}).model_dump()["decay"] == asdict(Decay(4))

    def test_its_mistakes_are_named_with_all_others(self):
        with pytest.raises(ConfigError) as caught:
            read({"decay": {"tau": -1, "shap": "linear"}, "other": 0})
        lines = str(caught.value).splitlines()
        assert lines[1:] == [
            "  decay.tau: Input should be greater than 0 (got -1)",
            "  decay.shap: there is no such key; did you mean 'shape'? (got 'linear')",
            "  other: Input should be greater than 0 (got 0)",
        ]

    def test_values_that_contradict_one_another(self):
        with pytest.raises(ConfigError, match=r"decay: floor \(3\) is above tau \(2\)"):
            read({"decay": {"floor": 3}})
