"""What may be in a channel, and what a client may get of it: each event once, in order."""

import contextlib
import json
import zlib
from collections import defaultdict

from heliograph.channels.position import Positions
from heliograph.errors import InvalidStreamIdError
from heliograph.wire.coding import Coding
from heliograph.wire.framing import Framing
from streams import StreamParser


class Model:
    """
    What was done in one channel.

    A place is (number of the epoch, offset): places grow as long as the channel exists.
    """

    def __init__(self, present_epoch=None):
        # Returns the epoch that the channel has now, where it has one without an event.
        self.present_epoch = present_epoch
        self.epochs = []
        self.clear()

    def note_epoch(self):
        """Learn of a life that began without an event: call it before another can follow."""
        if self.present_epoch is not None and self.present_epoch() not in self.epochs:
            self.epochs.append(self.present_epoch())

    def clear(self):
        """Forget what was done, but not the epochs."""
        # The place after which the present life began, and the newest one.
        self.began = self.head = (0, 0)
        # An epoch's number -> its last offset.
        self.last = {}
        # The name of an event -> its place, and of those that were never confirmed None.
        self.places = {}
        # The places of ends.
        self.ends = set()
        self.has_ended = False
        # A key -> the place of the event that is retained with it.
        self.retained = {}
        # The place of a retained event -> the step until which it was retained.
        self.until = {}

    def place(self, position):
        if position.epoch not in self.epochs:
            self.note_epoch()
        if position.epoch not in self.epochs:
            if not position.offset:
                # Redis gives a channel its epoch with the first event.
                return 0, 0
            self.epochs.append(position.epoch)
        return self.epochs.index(position.epoch), position.offset

    def next(self, place):
        number, offset = place
        while number + 1 < len(self.epochs) and offset == self.last.get(number, 0):
            number, offset = number + 1, 0
        return number, offset + 1

    def store(self, position, step, *, name=None, key=None, is_end=False):
        place = self.place(position)
        if name is not None:
            assert self.places.setdefault(name, place) == place, "stored twice"
        self.head = max(self.head, place)
        self.last[place[0]] = max(self.last.get(place[0], 0), place[1])
        if is_end:
            self.has_ended = True
            self.ends.add(place)
        if key is None:
            return
        if self.retained.get(key, (-1, 0)) > place:
            self.until[place] = step  # another one was retained after it, at the same time
            return
        self.release(step, key)
        self.retained[key] = place

    def release(self, step, *keys):
        for key in keys:
            place = self.retained.pop(key, None)
            if place is not None:
                self.until[place] = step

    def begin(self, step):
        self.release(step, *self.retained)
        self.has_ended = False
        self.began = self.head


class Follower:
    """
    What a client that is cut off and resumes has got of each channel.

    It has a base in each channel: where it joined, or was told of a gap. Up to there it gets
    retained events only, and after it all events, without a hole.
    """

    def __init__(self, models, names, start, step):
        self.models, self.names = models, names
        self.start, self.joined_at = start, step
        self.last_event_id = None
        self.is_open = False
        # A channel -> where it began to follow, first and since the last gap.
        self.first_base, self.base = {}, {}
        # A channel -> the places of all events that it has got, and of ends.
        self.got, self.ends = defaultdict(list), defaultdict(list)
        self.gaps = 0
        # All that it was given, for whoever looks for a fault.
        self.story = []

    def begin(self, id_, names=None):
        positions = Positions.parse(id_, self.names)
        for name in names or self.names:
            self.base[name] = self.models[name].place(positions[name])
            self.first_base.setdefault(
                name, (-1, 0) if self.start == "retained" else self.base[name]
            )

    def take(self, event):
        self.story.append((event.type, event.id, event.data[:40]))
        if event.type == "heliograph.open":
            if not self.base:
                self.begin(event.id)
        elif event.type == "heliograph.gap":
            self._take_gap(event.id, json.loads(event.data))
        elif event.type == "heliograph.end":
            self._take_end(event.id, json.loads(event.data)["channel"])
        else:
            channel = event.data.split()[0]
            place = self._place(event.id, channel)
            stored = self.models[channel].places.get(event.data.rstrip("-"))
            if place is None:
                place = stored
            assert place == (stored or place), "the id is of another position"
            self.got[channel].append(place)

    def _take_gap(self, id_, gap):
        self.gaps += 1
        for name in gap["channels"]:
            if gap["reasons"][name] == "unknown":
                # Nobody knows what it has got.
                self.got[name] = []
        self.begin(id_, gap["channels"])

    def _take_end(self, id_, name):
        place = self._place(id_, name)
        self.ends[name].append(place)
        if place > self.base[name] and place not in self.got[name]:
            self.got[name].append(place)  # an end without an event

    def _place(self, id_, name):
        try:
            positions = Positions.parse(id_, self.names)
        except InvalidStreamIdError:
            return None  # a publisher's own
        model, position = self.models[name], positions[name]
        number, offset = model.place(position)
        return number, positions.replayed.get(name, offset)

    def check(self):
        with self._told():
            for name, base in self.base.items():
                self._check(self.models[name], base, self.got[name], self.ends[name])

    @contextlib.contextmanager
    def _told(self):
        try:
            yield
        except AssertionError as error:
            error.add_note("\n".join(map(str, [self.names, self.start, *self.story])))
            raise

    def _check(self, model, base, got, ends):
        assert got == sorted(set(got)), "twice or out of order"
        assert ends == sorted(set(ends)), "an end twice"
        assert model.ends.issuperset(ends), "an end that is none"
        live = [place for place in got if place > base]
        follows = base
        for place in live:
            follows = model.next(follows)
            assert place == follows, "a hole"
        if got:
            seen = {end for end in model.ends if base < end < got[-1]}
            assert seen.issubset(ends), "an end was not told"
        if not self.gaps:
            for place in got[: len(got) - len(live)]:
                assert (
                    place in model.retained.values()
                    or model.until.get(place, -1) >= self.joined_at
                ), "given, but not retained"

    def check_over(self):
        """Check that it was right to tell the client that nothing comes any more."""
        with self._told():
            self._check_over()

    def _check_over(self):
        for name in self.names:
            model = self.models[name]
            assert model.has_ended, "it has not ended"
            if self.base:
                assert max(model.ends) in self.ends[name], "its end was not told"
            else:
                assert self.start == "now" or not model.retained, "not given anything"

    def has_all(self):
        """Return whether it has the newest event of each channel, or a gap event for it."""
        return all(
            self.models[name].head in (*self.got[name][-1:], self.base[name])
            for name in self.names
        )

    def check_all(self):
        if self.start == "now":
            return
        for name in self.names:
            kept = self.models[name].retained.values()
            base, first = self.base[name], self.first_base[name]
            missing = {n for n in kept if first < n <= base} - {*self.got[name]}
            assert not missing, (self.names, self.start, *self.story)


class Decoder(StreamParser):
    """Parses what comes, whatever its framing and coding."""

    def __init__(self, framing, coding, **options):
        super().__init__(**options)
        self._is_chunked = framing is Framing.CHUNKED
        self._decoder = None if coding is Coding.IDENTITY else zlib.decompressobj(31)
        self._framed = b""

    def feed(self, data):
        if self._is_chunked:
            self._framed += data
            data = b"".join(self._chunks())
        if self._decoder is not None:
            data = self._decoder.decompress(data)
        # With the openings.
        return super(StreamParser, self).feed(data)

    def _chunks(self):
        while b"\r\n" in self._framed:
            size, _, rest = self._framed.partition(b"\r\n")
            size = int(size, 16)
            if len(rest) < size + 2:
                return
            yield rest[:size]
            self._framed = rest[size + 2 :]
