"""Random values of every type of Snowflake: how SQL writes them, how Snowflake's wire has them in both encodings
(snowflake-rest.md A.3, A.8), and what the gateway is to make of them (include/snowgate/rows.h).

A value is whatever the kind makes of it; None is SQL's NULL. Instants are whole nanoseconds since 1970."""

import base64
import datetime
import decimal
import json
import math
import random
import struct

DAY = 86400 * 10 ** 9
FIRST_DAY = datetime.date(1, 1, 1).toordinal() - datetime.date(1970, 1, 1).toordinal()
LAST_DAY = datetime.date(9999, 12, 31).toordinal() - datetime.date(1970, 1, 1).toordinal()
decimal.getcontext().prec = 60


class Number(str):
    """A number of JSON by its text: no digit is lost in reading it."""


def read_json(text):
    return json.loads(text, parse_int=Number, parse_float=Number)


def read_csv(text):
    """[[field]]; None where the field is empty without quotes, which is NULL."""
    rows, row, at = [], [], 0
    while at < len(text):
        if text[at] == '"':
            end = text.index('"', at + 1)
            while text[end + 1:end + 2] == '"':
                end = text.index('"', end + 2)
            field, at = text[at + 1:end].replace('""', '"'), end + 1
        else:
            end = at
            while text[end] not in ',\n':
                end += 1
            field, at = text[at:end] or None, end
        row.append(field)
        if text[at] not in ',\n':
            raise ValueError(f"{text[at:at + 20]!r} behind a field")
        if text[at] == "\n":
            rows.append(row)
            row = []
        at += 1
    return rows


def quoted(text):
    """A literal of SQL."""
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def same_json(got, want):
    """`got` has Number where `want` has numbers."""
    if isinstance(want, dict):
        return isinstance(got, dict) and got.keys() == want.keys() and all(same_json(got[k], want[k]) for k in want)
    if isinstance(want, list):
        return isinstance(got, list) and len(got) == len(want) and all(map(same_json, got, want))
    if isinstance(want, bool) or want is None or isinstance(want, str):
        return type(got) is type(want) and got == want
    return type(got) is Number and decimal.Decimal(got) == decimal.Decimal(repr(want))


def civil(days):
    return datetime.date.fromordinal(days + datetime.date(1970, 1, 1).toordinal())


def fraction(nanos):
    if not nanos:
        return ""
    digits = f"{nanos:09d}"
    return "." + (digits[:3] if digits.endswith("000000") else digits[:6] if digits.endswith("000") else digits)


def clock(nanos):
    second, nanos = divmod(nanos, 10 ** 9)
    return f"{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}" + fraction(nanos)


def iso(instant):
    days, rest = divmod(instant, DAY)
    return f"{civil(days).isoformat()}T{clock(rest)}"


def offset_text(minutes, colon=":"):
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02d}{colon}{abs(minutes) % 60:02d}"


def seconds(nanos):
    """With nine decimals, one number: -0.5 is half a second before 1970."""
    return f"{'-' if nanos < 0 else ''}{abs(nanos) // 10 ** 9}.{abs(nanos) % 10 ** 9:09d}"


def formatted(template, instant, minutes=0):
    days, rest = divmod(instant, DAY)
    second, nanos = divmod(rest, 10 ** 9)
    date = civil(days)
    for element, text in (("YYYY", f"{date.year:04d}"), ("MM", f"{date.month:02d}"), ("DD", f"{date.day:02d}"),
                          ("HH24", f"{second // 3600:02d}"), ("MI", f"{second // 60 % 60:02d}"),
                          ("SS", f"{second % 60:02d}"), ("FF9", f"{nanos:09d}"), ("FF3", f"{nanos // 10 ** 6:03d}"),
                          ("TZH:TZM", offset_text(minutes))):
        template = template.replace(element, text)
    return template


class Kind:
    """`sql`: the type; `type`, `precision`, `scale`: as a result's metadata have it; `of_json`: the one type that its
    values in JSON have, as read_json() reads them; None where that is any."""

    type, precision, scale, of_json = "TEXT", None, None, str
    parameter = None  # the output format that is of this type
    template = None   # its value, where it is set

    def __init__(self, sql):
        self.sql = sql

    def random(self, rng):
        raise NotImplementedError

    def text(self, value):
        """As the cast to the type reads it."""
        return str(value)

    def literal(self, value):
        return f"NULL::{self.sql}" if value is None else f"{quoted(self.text(value))}::{self.sql}"

    def placeholder(self):
        return f"?::{self.sql}"

    def binding(self, value):
        return None if value is None else self.text(value)

    def wire(self, value):
        return self.text(value)

    def shown(self, value):
        """The text that CSV has, and JSON where it is a string or a number."""
        return self.wire(value)

    def is_json(self, got, value):
        return type(got) is self.of_json and got == self.shown(value)

    def is_csv(self, got, value):
        return got == self.shown(value)


class Fixed(Kind):
    type = "FIXED"

    def __init__(self, precision, scale):
        super().__init__(f"NUMBER({precision},{scale})")
        self.precision, self.scale = precision, scale
        self.of_json = Number if scale == 0 and precision <= 15 else str

    def random(self, rng):
        most = 10 ** self.precision - 1
        some = 10 ** rng.randint(1, self.precision) - 1
        return rng.choice([0, 1, -1, most, -most, rng.randint(-most, most), rng.randint(-some, some)])

    def text(self, value):
        digits = f"{abs(value):0{self.scale + 1}d}"
        whole = digits[:len(digits) - self.scale] + ("." + digits[-self.scale:] if self.scale else "")
        return ("-" if value < 0 else "") + whole


class Real(Kind):
    type, of_json = "REAL", Number

    def __init__(self):
        super().__init__("FLOAT")

    def random(self, rng):
        any_bits = struct.unpack("<d", rng.randbytes(8))[0]
        return rng.choice([any_bits, any_bits, 0.0, -0.0, 0.1, 1e300, 5e-324, 1.7976931348623157e308, math.inf,
                           -math.inf, math.nan, rng.uniform(-1000, 1000), float(rng.randint(-10 ** 15, 10 ** 15))])

    def text(self, value):
        return "NaN" if math.isnan(value) else repr(value)

    def binding(self, value):
        return None if value is None else value if math.isfinite(value) else self.text(value)

    def wire(self, value):
        """Either spelling."""
        text = self.text(value)
        return text.replace("e", "E").replace("E+", "E") if len(text) % 2 and math.isfinite(value) else text

    def is_json(self, got, value):
        return type(got) is Number and self.is_csv(got, value) if math.isfinite(value) else got is None

    def is_csv(self, got, value):
        if got is None:
            return False
        if math.isnan(value):
            return math.isnan(float(got))
        return float(got) == value and math.copysign(1, float(got)) == math.copysign(1, value)


class Decfloat(Kind):
    type, precision = "DECFLOAT", 38

    def __init__(self):
        super().__init__("DECFLOAT")

    def random(self, rng):
        digits = str(rng.randint(1, 9)) + "".join(rng.choice("0123456789") for _ in range(rng.randint(0, 36)))
        return decimal.Decimal(rng.choice(["", "-"]) + digits + f"E{rng.choice([0, 0, -5, -20, 300, -300])}")

    def text(self, value):
        return format(value, "f") if -38 < value.adjusted() < 38 else str(value).replace("E+", "e").replace("E", "e")

    def is_csv(self, got, value):
        return got is not None and decimal.Decimal(got) == value

    def is_json(self, got, value):
        return type(got) is str and self.is_csv(got, value)


class Text(Kind):
    ALPHABET = ["a", "Z", "0", " ", '"', "'", "\\", ",", ";", "\n", "\r", "\t", "\x01", "\x7f", "é", "ß", "日",
                "🎉", "\u2028", "\ufeff", "NULL", "null", "=1+1", "--", "/*", "?", "$$", "%s", "…"]

    def __init__(self, longest=200000):
        super().__init__("VARCHAR")
        self.longest = longest

    def random(self, rng):
        if rng.random() < 0.02:
            return "".join(rng.choice(self.ALPHABET) for _ in range(200)) * (self.longest // 1000)
        return "".join(rng.choice(self.ALPHABET) for _ in range(rng.choice([0, 1, 2, 5, 40])))


class Binary(Kind):
    type, parameter = "BINARY", "BINARY_OUTPUT_FORMAT"

    def __init__(self):
        super().__init__("BINARY")

    def random(self, rng):
        return rng.randbytes(rng.choice([0, 1, 2, 16, 300]))

    def text(self, value):
        return value.hex().upper()

    def wire(self, value):
        return base64.b64encode(value).decode() if self.template == "BASE64" else self.text(value)


class Boolean(Kind):
    type, of_json = "BOOLEAN", bool

    def __init__(self):
        super().__init__("BOOLEAN")

    def random(self, rng):
        return rng.random() < 0.5

    def text(self, value):
        return "true" if value else "false"

    def binding(self, value):
        return value

    def is_json(self, got, value):
        return got is value


class Date(Kind):
    type, parameter = "DATE", "DATE_OUTPUT_FORMAT"

    def __init__(self):
        super().__init__("DATE")

    def random(self, rng):
        return rng.choice([FIRST_DAY, LAST_DAY, 0, -1, 2020, 18262, rng.randint(FIRST_DAY, LAST_DAY)])

    def text(self, value):
        return civil(value).isoformat()

    def wire(self, value):
        return formatted(self.template, value * DAY) if self.template else str(value)

    def shown(self, value):
        return self.wire(value) if self.template else self.text(value)


class Moment(Kind):
    """`decimals`: most that are made."""
    scale, precision = 9, 0

    def __init__(self, sql, decimals):
        super().__init__(sql)
        self.type, self.decimals, self.parameter = sql, decimals, sql + "_OUTPUT_FORMAT"

    def fraction(self, rng):
        decimals = rng.randint(0, self.decimals)
        return rng.randrange(10 ** decimals) * 10 ** (9 - decimals)

    def instant(self, rng):
        day = rng.choice([FIRST_DAY + 1, LAST_DAY - 1, 0, -1, rng.randint(FIRST_DAY + 1, LAST_DAY - 1)])
        second = rng.choice([0, 86399, rng.randrange(86400)])
        return day * DAY + second * 10 ** 9 + self.fraction(rng)

    def random(self, rng):
        return self.instant(rng)

    def text(self, value):
        return formatted("YYYY-MM-DD HH24:MI:SS.FF9", value)

    def wire(self, value):
        return formatted(self.template, value) if self.template else seconds(value)

    def iso(self, value):
        return iso(value)

    def shown(self, value):
        return self.wire(value) if self.template else self.iso(value)


class Time(Moment):
    def __init__(self, decimals):
        super().__init__("TIME", decimals)

    def random(self, rng):
        return rng.choice([0, 86399, rng.randrange(86400)]) * 10 ** 9 + self.fraction(rng)

    def text(self, value):
        return formatted("HH24:MI:SS.FF9", value)

    def iso(self, value):
        return clock(value)


class Ltz(Moment):
    def __init__(self, decimals):
        super().__init__("TIMESTAMP_LTZ", decimals)

    def text(self, value):
        return super().text(value) + " +0000"

    def iso(self, value):
        return iso(value) + "Z"


class Tz(Moment):
    """(instant, minutes east of UTC)"""

    def __init__(self, decimals=9):
        super().__init__("TIMESTAMP_TZ", decimals)

    def random(self, rng):
        return self.instant(rng), rng.choice([0, 60, -480, 330, 840, -720, 1, -1, rng.randint(-720, 840)])

    def local(self, value):
        return value[0] + value[1] * 60 * 10 ** 9

    def text(self, value):
        return formatted("YYYY-MM-DD HH24:MI:SS.FF9 ", self.local(value)) + offset_text(value[1], "")

    def wire(self, value):
        if self.template:
            return formatted(self.template, self.local(value), value[1])
        return f"{seconds(value[0])} {value[1] + 1440}"

    def iso(self, value):
        return iso(self.local(value)) + offset_text(value[1])


class Semi(Kind):
    """VARIANT, and below it what is of one shape. `undefined` is none of the values here: nothing can write it."""

    def __init__(self, sql="VARIANT", of_json=None):
        super().__init__(sql)
        self.type, self.of_json = sql, of_json

    def scalar(self, rng):
        return rng.choice([None, True, False, 0, -1, rng.randint(-10 ** 9, 10 ** 9), 12345678901234567890, 1.5, -0.25,
                           Text.random(TEXT, rng), "", "null"])

    def value(self, rng, depth):
        shape = rng.random() if depth else 1
        if shape < 0.3:
            return self.array(rng, depth - 1)
        return self.object(rng, depth - 1) if shape < 0.6 else self.scalar(rng)

    def array(self, rng, depth):
        return [self.value(rng, depth) for _ in range(rng.choice([0, 1, 2, 5]))]

    def object(self, rng, depth):
        keys = ["a", "b", "A", "long key", "schlüssel", "q'\"", "x.y", "0"]
        return {rng.choice(keys): self.value(rng, depth) for _ in range(rng.choice([0, 1, 2, 5]))}

    def random(self, rng):
        """In a tuple: JSON's null is not NULL."""
        shape = self.sql if self.sql in ("ARRAY", "OBJECT") else rng.choice(["ARRAY", "OBJECT", "", ""])
        return (self.array(rng, 3) if shape == "ARRAY" else self.object(rng, 3) if shape else self.scalar(rng),)

    def text(self, value):
        return json.dumps(value[0], ensure_ascii=False)

    def literal(self, value):
        cast = "" if self.sql == "VARIANT" else "::" + self.sql
        return f"NULL::{self.sql}" if value is None else f"PARSE_JSON({quoted(self.text(value))}){cast}"

    def placeholder(self):
        return "PARSE_JSON(?)" + ("" if self.sql == "VARIANT" else "::" + self.sql)

    def wire(self, value):
        return json.dumps(value[0], ensure_ascii=False, indent=1)

    def is_json(self, got, value):
        return same_json(got, value[0])

    def is_csv(self, got, value):
        return got is not None and same_json(read_json(got), value[0])


class Geography(Semi):
    """Where it is written, as well-known text."""

    def __init__(self, type_name="OBJECT"):
        super().__init__("GEOGRAPHY", dict)
        self.type = type_name

    def random(self, rng):
        def point():
            return [rng.randint(-1800, 1800) / 10, rng.randint(-900, 900) / 10]
        if rng.random() < 0.5:
            return ({"coordinates": point(), "type": "Point"},)
        return ({"coordinates": [point() for _ in range(rng.randint(2, 4))], "type": "LineString"},)

    def text(self, value):
        shape = value[0]
        points = shape["coordinates"] if shape["type"] == "LineString" else [shape["coordinates"]]
        return f"{shape['type'].upper()}({', '.join(f'{x} {y}' for x, y in points)})"

    def literal(self, value):
        return "NULL::GEOGRAPHY" if value is None else f"TO_GEOGRAPHY({quoted(self.text(value))})"

    def placeholder(self):
        return "TO_GEOGRAPHY(?)"


class Vector(Semi):
    def __init__(self, of, n):
        super().__init__(f"VECTOR({of}, {n})", list)
        self.type, self.of, self.n = "VECTOR", of, n

    def random(self, rng):
        if self.of == "INT":
            return ([rng.randint(-2 ** 31, 2 ** 31 - 1) for _ in range(self.n)],)
        return ([rng.randint(-2 ** 12, 2 ** 12) / 64 for _ in range(self.n)],)

    def literal(self, value):
        return f"NULL::{self.sql}" if value is None else f"{self.text(value)}::{self.sql}"

    def placeholder(self):
        return f"PARSE_JSON(?)::ARRAY::{self.sql}"


TEXT = Text()


def all_kinds(decimals):
    """`decimals`: of a second, for the types other than TIMESTAMP_TZ."""
    fixed = [Fixed(*p) for p in ((38, 0), (16, 0), (15, 0), (1, 0), (12, 2), (38, 19), (38, 37))]
    return fixed + [Real(), Decfloat(), TEXT, Binary(), Boolean(), Date(), Time(decimals),
                    Moment("TIMESTAMP_NTZ", decimals), Ltz(decimals), Tz(), Semi(), Semi("OBJECT", dict),
                    Semi("ARRAY", list), Geography(), Vector("FLOAT", 3), Vector("INT", 4)]


def random_rows(seed, kinds, n, nulls=0.15):
    rng = random.Random(seed)
    return [[None if rng.random() < nulls else kind.random(rng) for kind in kinds] for _ in range(n)]
