"""A file without threads: what the broker does, one step at a time."""

import logging

from heliograph import Event
from heliograph.brokers import Retention
from heliograph.brokers.contract import ManualClock
from heliograph.brokers.once import OnceLog
from heliograph.brokers.sqlite.connection import Connection
from heliograph.brokers.sqlite.reading import Reader
from heliograph.brokers.sqlite.restored import HighestSeq
from heliograph.brokers.sqlite.sweeping import Sweeper
from heliograph.brokers.sqlite.writing import Writer
from heliograph.brokers.values import PLAIN

SHORT = Retention(events=50, seconds=600, forget_seconds=3600)


class File:
    """``listened`` are the channels that this process listens to."""

    def __init__(self, path, retention=SHORT, clock=None):
        once = OnceLog(logging.getLogger("heliograph.brokers.sqlite"))
        self.clock, self.listened = clock or ManualClock(), set()
        self.retention = retention
        self.connection = Connection(path)
        self.writer = Writer(self.connection, retention, self.clock, HighestSeq(path), once)
        self.reader = Reader(self.connection, once)
        self.sweeper = Sweeper(
            self.connection,
            retention,
            self.clock,
            is_listened_to=lambda name: name in self.listened,
            sweep_seconds=60.0,
        )

    def append(self, name, data="x", terms=PLAIN):
        (outcome,) = self.writer.append([(name, Event(data), terms)]).outcomes
        return outcome

    def head(self, name):
        return self.reader.read(name, None, 0).head

    def gap(self, name, position):
        return self.reader.read(name, position, 9).gap

    def forget_all(self):
        self.clock.now += 86_400
        self.sweep()

    def sweep(self):
        while self.sweeper.sweep():
            pass

    def select(self, statement):
        with self.connection.reading() as connection:
            return connection.execute(statement).fetchall()

    def change(self, statement):
        with self.connection.writing() as connection:
            connection.execute(statement)
