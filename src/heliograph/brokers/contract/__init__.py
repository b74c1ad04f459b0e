"""
The tests that every broker has to pass. Subclass :class:`BrokerContract` to run them.

::

    import pytest

    from heliograph.brokers.contract import BrokerContract
    from heliograph_example import ExampleBroker

    class TestExample(BrokerContract):
        @pytest.fixture
        def new_broker(self):
            return lambda retention, clock: ExampleBroker(retention, clock=clock)

Needs pytest and pytest-asyncio, in any of its modes.
"""

from __future__ import annotations

try:
    import pytest
    import pytest_asyncio  # noqa: F401 - checked here so that the message names both
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "heliograph.brokers.contract needs pytest and pytest-asyncio:"
        " pip install pytest pytest-asyncio",
        name=error.name,
    ) from error

# Before they are imported: failed assertions then show the values that were compared, as in
# test files, whose names pytest recognises.
pytest.register_assert_rewrite(
    *(
        f"{__name__}.{name}"
        for name in ("damage", "history", "inspecting", "lifetime", "listening", "state")
    )
)

from .damage import DamageContract  # noqa: E402
from .fixtures import (  # noqa: E402
    Beside,
    CostOf,
    Damage,
    ManualClock,
    NewBroker,
    RecordingListener,
    offsets,
)
from .history import HistoryContract  # noqa: E402
from .inspecting import InspectionContract  # noqa: E402
from .lifetime import LifetimeContract  # noqa: E402
from .listening import ListeningContract  # noqa: E402
from .state import StateContract  # noqa: E402

__all__ = [
    "Beside",
    "BrokerContract",
    "CostOf",
    "Damage",
    "DamageContract",
    "HistoryContract",
    "InspectionContract",
    "LifetimeContract",
    "ListeningContract",
    "ManualClock",
    "NewBroker",
    "RecordingListener",
    "StateContract",
    "offsets",
]


class BrokerContract(
    HistoryContract,
    ListeningContract,
    DamageContract,
    StateContract,
    LifetimeContract,
    InspectionContract,
):
    """
    Tests of the contract that :class:`heliograph.brokers.Broker` states.

    Those of :class:`heliograph.brokers.Inspectable` are skipped if the broker has no method
    ``inspect``.

    A subclass whose name begins with ``Test`` overrides the first of these fixtures, and
    should override the others:

    ``new_broker``
        Returns a :class:`NewBroker`. All brokers that one test makes with it use the same
        storage, which is empty when the test begins.

    ``cost_of``
        Returns a :class:`CostOf`. Without it the tests that bound the cost of
        :meth:`~heliograph.brokers.Broker.find` are skipped.

    ``damage``
        Returns a :class:`Damage`; give it ``params`` for several kinds of damage. Without
        it the tests of entries that cannot be read are skipped. A broker that keeps nothing
        outside of its process does not need it.

    ``beside``
        Returns a :class:`Beside`. Only a broker that keeps nothing outside of its process
        has to override it.
    """
