"""The contract of all brokers, under the short names that the tests of our brokers use."""

from heliograph.brokers.contract import BrokerContract, RecordingListener, offsets
from heliograph.brokers.contract import ManualClock as Clock

__all__ = ["BrokerContract", "Clock", "Ear", "offsets"]


class Ear(RecordingListener):
    """A listener that can be waited for."""

    hear = RecordingListener.wait_for_entries
