"""The table of streams: lines, fields, ids, reconnection times, and each way to cut one."""

from rows import LOST, OPEN, Row, message, stream
from scripted import HOLD, READ, STREAM

_BOM = b"\xef\xbb\xbf"
_X = b"data: x\n\n"
_X1 = b"id: 1\n" + _X

# fmt: off
LINES = [
    stream("LF", b"data: x\ndata: y\n\n", "x\ny"),
    stream("CR", b"data: x\rdata: y\r\r", "x\ny"),
    stream("CRLF", b"data: x\r\ndata: y\r\n\r\n", "x\ny"),
    stream("a mixture", b"data: x\r\n\ndata: y\n\rdata: z\r\r\n", "x", "y", "z"),
    stream("LF CR is two", b"data: x\n\rdata: y\n\r", "x", "y"),
    stream("CRLF cut in two", [b"data: x\r", READ, b"\n\r", READ, b"\ndata: y\r", READ, b"\n\r", READ, b"\n"], "x", "y"),
    stream("CR at the end of a piece is an end at once", [b"data: close\r\r", READ, HOLD], "close", closed=True),
    stream("CRLF CR, too", [b"data: close\r\n\r", READ, HOLD], "close", closed=True),
    stream("nothing but line ends", b"\n\r\n\r\r\n\n"),
    stream("more line ends than needed", b"\n\n" + _X + b"\n\n\n" + _X + b"\n", "x", "x"),
    stream("no empty line at the end", _X + b"data: y\n", "x"),
    stream("no line end at the end", _X + b"data: y\n\ndata: z", "x", "y"),
    stream("other characters end no line", "data: a\u2028b\u2029c\x85d\x0be\x0cf\x1cg\n\n".encode(), "a\u2028b\u2029c\x85d\x0be\x0cf\x1cg"),
    stream("BOM", _BOM + _X, "x"),
    stream("BOM in pieces", [_BOM[:1], READ, _BOM[1:2], READ, _BOM[2:], READ, _X], "x"),
    stream("two BOM", _BOM * 2 + b"data: y\n" + _X, "x"),
    stream("BOM later", _X + _BOM + b"data: y\n\n" + _X, "x", "x"),
    stream("BOM alone", _BOM),
    stream("BOM without an end", _BOM[:2]),
    stream("BOM that is none", _BOM[:2] + b"data: y\n" + _X, "x"),
    Row("BOM of each connection", [[STREAM + _BOM + _X], [STREAM + _BOM + _X]], (OPEN, "x", LOST) * 2),
    Row("BOM cut in two by a reconnect", [[STREAM + _BOM[:2]], [STREAM + _BOM[2:] + b"data: y\n" + _X]], (OPEN, LOST, OPEN, "x", LOST)),
    Row("an event cut in two by a reconnect", [[STREAM + b"event: t\ndata: y\n"], [STREAM + b"data: z\n\n"]], (OPEN, LOST, OPEN, "z", LOST)),
    Row("CRLF cut in two by a reconnect", [[STREAM + b"data: y\r"], [STREAM + b"\ndata: z\n\n"]], (OPEN, LOST, OPEN, "z", LOST)),
]

FIELDS = [
    stream("no colon", b"data\n\ndata\ndata\n\n", "", "\n"),
    stream("one space is dropped", b"data:x\n\ndata: x\n\ndata:  x\n\ndata:\tx\n\ndata: x \n\n", "x", "x", " x", "\tx", "x "),
    stream("names are exact", b"DATA: y\nData: y\ndata : y\n data: y\n\tdata: y\ndat: y\ndatas: y\n" + _X, "x"),
    stream("comments", b": y\n:\n:data: y\n::\n\n" + b":a\n" + _X, "x"),
    stream("unknown fields", b"foo: y\nbar\n" + _X, "x"),
    stream("further colons", b"data:a:b\n\ndata: :\n\ndata::\n\n", "a:b", ":", ":"),
    stream("empty data", b"data:\n\ndata:\ndata:\n\ndata: a\ndata:\n\ndata:\ndata: a\n\n", "", "\n", "a\n", "\na"),
    stream("no data", b"event: t\n\nid\n\nfoo\n\n"),
    stream("types", b"event: t\ndata: 1\n\nevent: t\nevent: u\ndata: 2\n\ndata: 3\nevent:u\n\n", message("1", type="t"), message("2", type="u"), message("3", type="u")),
    stream("an empty type is message", b"event:\ndata: 1\n\nevent\ndata: 2\n\nevent: t\nevent\ndata: 3\n\n", "1", "2", "3"),
    stream("a type ends with its block", b"event: t\n\n" + _X, "x"),
    stream("blanks of a type", b"event:  t \ndata: 1\n\n", message("1", type=" t ")),
    stream("types of the client's own", b"event: open\ndata: 1\n\nevent: error\ndata: 2\n\n", message("1", type="open"), message("2", type="error")),
    stream("NUL", b"data: a\0b\n\nevent: t\0\ndata: c\n\nda\0ta: y\n\n", "a\0b", message("c", type="t\0")),
    stream("no UTF-8", b"data: \xff\xc3(\n\ndata: \xe2\x82\n\ndata: \xed\xa0\x80\n\ndata: \xf0\x9f\n\n", "\ufffd\ufffd(", "\ufffd", "\ufffd" * 3, "\ufffd"),
    stream("characters in pieces", [b"data: \xe2", READ, b"\x82", READ, b"\xac\xf0\x9f", READ, b"\x98\x80\n\n"], "\u20ac\U0001f600"),
    stream("an event of many pieces", [piece for n in range(30) for piece in (b"data: %d" % n, READ, b"\n")] + [b"\n"], "\n".join(map(str, range(30)))),
    stream("a large event", b"data: " + b"\xc3\xa4" * 200_000 + b"\n\n", "\xe4" * 200_000),
]

IDS = [
    stream("of an event", _X1, message("x", "1"), last="1"),
    stream("of a block without data", b"id: 1\n\n", last="1"),
    stream("of an unfinished block", _X1 + b"id: 2\ndata: y\n", message("x", "1"), last="1"),
    stream("kept by events without one", _X1 + _X, message("x", "1"), message("x", "1"), last="1"),
    stream("the last of a block", b"id: 1\nid: 2\n" + _X, message("x", "2"), last="2"),
    stream("after the data", b"data: x\nid: 1\n\n", message("x", "1"), last="1"),
    stream("reset", _X1 + b"id:\n" + _X, message("x", "1"), "x"),
    stream("reset without a colon", _X1 + b"id\n" + _X, message("x", "1"), "x"),
    stream("reset without data", _X1 + b"id\n\n", message("x", "1")),
    stream("with NUL", _X1 + b"id: 2\0\n" + _X, message("x", "1"), message("x", "1"), last="1"),
    stream("NUL", b"id:\0\n" + _X, "x"),
    stream("in UTF-8", "id: ä日😀\n".encode() + _X, message("x", "ä日😀"), last="ä日😀"),
    stream("not in UTF-8", b"id: \xff\xc3\n" + _X, message("x", "\ufffd\ufffd"), last="\ufffd\ufffd"),
    stream("U+FEFF", "id: \ufeff\n".encode() + _X, message("x", "\ufeff"), last="\ufeff"),
    stream("with colons", b"id: a:b\n" + _X, message("x", "a:b"), last="a:b"),
    stream("with control characters", b"id: a\x01b\x1f\x7f\n" + _X, message("x", "a\x01b\x1f\x7f"), last="a\x01b\x1f\x7f"),
    # HTTP strips the blanks around the value of a header.
    stream("blanks around", b"id:  a \n" + _X, message("x", " a "), last="a"),
    stream("tabs around and within", b"id:\ta\tb\t\n" + _X, message("x", "\ta\tb\t"), last="a\tb"),
    stream("nothing but blanks", b"id:   \n" + _X, message("x", "  "), last=""),
    Row("kept by connections without one", [[STREAM + _X1], [STREAM + _X], [], [STREAM + b"id\n\n"]],
        (OPEN, message("x", "1"), LOST, OPEN, message("x", "1"), LOST, LOST, OPEN, LOST), ["s", *["s id=1"] * 3, "s"]),
    Row("unfinished, not in the next connection", [[STREAM + _X1 + b"id: 2\n"], [STREAM + _X]],
        (OPEN, message("x", "1"), LOST, OPEN, message("x", "1"), LOST), ["s", "s id=1", "s id=1"]),
]

# What is accepted makes an end of an hour's wait, what is ignored does not begin one.
_HOUR = b"retry: 3600000\n"
TIMES = [
    *(stream(f"retry:{value.decode()} is accepted", _HOUR + b"retry:" + value + b"\n" + _X, "x")
      for value in (b"0", b"1", b" 1", b"0010", b"000000000000000000000000000000000000010")),
    *(stream(f"retry:{value.decode()!a} is ignored", b"retry:" + value + b"\n" + _X, "x")
      for value in (b"+3600000", b"-3600000", b"3600000.0", b"36e5", b" 3600000 ", b"  3600000", b"\t3600000", b"3600000s",
                    b"0x36ee80", b"3600000\0", b"3_600_000", b"3600000,0", "\u0663\u0666\u0660\u0660".encode(), "\uff13\uff16\uff10\uff10".encode(), "\xb2".encode())),
    stream("retry of an unfinished line is ignored", _X + b"retry: 3600000", "x"),
    stream("retry of an unfinished block is accepted", b"retry: 3600000\n\nretry: 1\n"),
    stream("the last of a block is accepted", b"retry: 3600000\nretry: 1\n\n"),
    stream("Retry: is none", b"Retry: 3600000\nRETRY: 3600000\n" + _X, "x"),
]

# What comes on the connections before a reconnect, and how many seconds pass until then: for
# us, and for Chromium.
WAITS = [
    ("the default", [b""], 3, 3),
    ("retry: 250", [b"retry: 250\n"], 0.25, 0.25),
    ("kept by connections without one", [b"retry: 250\n", b"", b":\n\n"], 0.25, 0.25),
    ("the last one", [b"retry: 1\n", b"retry: 250\n"], 0.25, 0.25),
    # The standard ignores what does not consist of digits. Chromium returns to its default.
    ("no digits", [b"retry: 250\nretry:\n"], 0.25, 3),
    ("no colon", [b"retry: 250\nretry\n"], 0.25, 3),
    # The standard has no limit. Chromium ignores numbers from 2**64 on, we wait for as long
    # as one of 63 bits can say.
    ("2**64", [b"retry: 250\nretry: 18446744073709551616\n"], (2**63 - 1) / 1000, 0.25),
]

# Each piece ends with the byte that completes an event or an id: what comes of it, and the
# id from then on.
PIECES = [
    (_BOM + b":\xc3\xa4\r\nid: a\xc3\xa9\ndata: 1\xe2\x82\xac\r\n\r", "1€", "aé"),
    (b"\nevent: \xc3\xbc\r\ndata: 2\r\ndata: \xf0\x9f\x98\x80\r\n\r", ("ü", "2\n😀"), "aé"),
    (b"\nid: b\r\n\r", None, "b"),
    (b"\ndata\r\r", "", "b"),
    (b"data:3\nid\ndata: \xef\xbb\xbf\n\n", "3\n\ufeff", ""),
    (b"id: c\0\nid: d\xe6\x97\xa5\ndata:\t4\n\n", "\t4", "d日"),
    (b"id: e\ndata: 5\n", None, "d日"),
]
WIRE = b"".join(piece for piece, _, _ in PIECES)


def _events(end, last):
    """Return the messages of the bytes before an offset, and the id after them."""
    found, at = [], 0
    for piece, event, id_after in PIECES:
        at += len(piece)
        if at > end:
            break
        last = id_after
        if event is not None:
            type, data = event if isinstance(event, tuple) else ("message", event)
            found.append(message(data, last, type))
    return found, last


def _cut():
    log, requests, last = [], ["s"], ""
    for end in range(len(WIRE) + 1):
        found, last = _events(end, last)
        log += [OPEN, *found, LOST]
        requests.append(f"s id={last}" if last else "s")
    return Row("cut at each byte", [[STREAM + WIRE[:end]] for end in range(len(WIRE) + 1)], tuple(log), requests)


def _split():
    found, last = _events(len(WIRE), "")
    offsets = range(len(WIRE) + 1)
    return Row(
        "in two pieces at each byte",
        [[STREAM + WIRE[:offset], READ, WIRE[offset:]] for offset in offsets],
        (OPEN, *found, LOST) * len(offsets),
        ["s", *[f"s id={last}"] * len(offsets)],
    )


def _bytewise():
    found, last = _events(len(WIRE), "")
    steps = [step for offset in range(len(WIRE)) for step in (WIRE[offset:offset + 1], READ)]
    return stream("byte by byte", steps, *found, last=last)


CUTS = [_cut(), _split(), _bytewise()]
# fmt: on
