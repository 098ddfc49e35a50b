"""Numbers, names and labels as text, for pages, tables, errors and pictures."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from decimal import Decimal, DecimalException

import numpy as np

NONE = "–"
_MINUS = "\N{MINUS SIGN}"
_LONGEST = 60


def printable(text: str) -> str:
    """Escape what does not print, but for line breaks."""
    return "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text)


def one_line(text: str) -> str:
    """Escape what does not print and line breaks."""
    return printable(text).replace("\n", "\\n")


def shown(name: object, longest: int = _LONGEST) -> str:
    """Write a name that anybody may have given: what does not print escaped, and not too long."""
    text = one_line(str(name)[: 4 * longest])
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def listed(names: Iterable[object], most: int = 8) -> str:
    """Write names one after the other, and how many more there are."""
    every = list(names)
    text = ", ".join(shown(name) for name in every[:most])
    return text if len(every) <= most else f"{text} and {len(every) - most:,} more"


def number(value: float | None, digits: int = 3) -> str:
    """Write a number, or a dash."""
    return NONE if value is None else f"{value:.{digits}f}".replace("-", _MINUS)


def signed(value: float, digits: int = 3) -> str:
    """Write a number with its sign."""
    return f"{value:+.{digits}f}".replace("-", _MINUS)


def p_value(p: float | None, *, named: bool = False) -> str:
    """Write a p-value: 0.03 or < 0.0001 in a table; named, p = 0.03 or p < 0.0001 in a sentence."""
    if p is None:
        return "p not known" if named else NONE
    if p < 0.0001:
        return f"{'p ' * named}< 0.0001"
    return f"{'p = ' * named}{p:.2g}"


def counted(n: int, thing: str) -> str:
    """Write how many of a thing there are."""
    return f"{n:,} {thing if n == 1 else f'{thing}s'}"


_NUMBER = re.compile(r"[+-]?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
_PLACES = 40
"""Most places before or after the point of a label that is written without an exponent."""


def label_text(value: object) -> str:
    """Write a label in its one form, whatever the type and the form that a file has it in.

    A number is written without what does not change it: 1, 1.0, 1.00, 1e0 and +1 are 1. Codes that
    begin with zeros (007) stay what they are. TRUE and true are True. Letters are composed (NFC),
    and spaces at the ends are left out.
    """
    text = decoded(value)
    if text.isdigit() and text[0] != "0" and len(text) <= _PLACES:  # as most are
        return text
    text = unicodedata.normalize("NFC", text).strip()
    if text.casefold() in ("true", "false"):
        return text.capitalize()
    if not _NUMBER.fullmatch(text):
        return text
    try:
        number = Decimal(text)
    except DecimalException:  # its exponent has some twenty digits
        return text
    if not number:
        return "0"
    form = "e" if abs(number.adjusted()) > _PLACES else "f"
    mantissa, mark, exponent = f"{number:{form}}".partition("e")
    return (mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa) + mark + exponent


def id_text(value: object) -> str:
    """Write the id of a case, a group or an event: it stays as it is, so 1.1 and 1.10 are two.

    Letters are composed (NFC), and spaces at the ends are left out. A whole number of a column of
    floats is the same id as that of one of integers.
    """
    if isinstance(value, float | np.floating) and value.is_integer():
        value = int(value)
    return unicodedata.normalize("NFC", decoded(value)).strip()


def decoded(value: object) -> str:
    """Write a value as text; bytes are UTF-8, or else Latin-1."""
    if not isinstance(value, bytes):
        return str(value)
    content = value.rstrip(b"\0")  # fixed widths are filled up
    try:
        return content.decode()
    except UnicodeDecodeError:
        return content.decode("latin-1")


def class_names(names: Iterable[object]) -> tuple[str, ...]:
    """Write names of classes in their one form, unless that would not tell them apart."""
    texts = tuple(map(decoded, names))
    forms = tuple(map(label_text, texts))
    return forms if len({*forms, ""}) > len(forms) else texts


def match_labels(names: Sequence[str], known: Sequence[str]) -> dict[str, str]:
    """Map names of classes to those known ones that are the same text in one form.

    Raises
    ------
    ValueError
        Several known ones are.
    """
    forms: dict[str, list[str]] = {}
    for name in known:
        forms.setdefault(label_text(name), []).append(name)
    matched = {}
    for name in names:
        same = [name] if name in known else forms.get(label_text(name), [])
        if len(same) > 1:
            raise ValueError(
                f"class {name!r} matches {' or '.join(map(repr, same))} of the model, which are now"
                " the same text: train the model again."
            )
        if same:
            matched[name] = same[0]
    return matched


def alike(classes: Sequence[str]) -> str | None:
    """Return a sentence on classes that differ by form alone; None if none do."""
    forms: dict[str, list[str]] = {}
    for name in classes:
        forms.setdefault(_folded(name), []).append(name)
    groups = [" and ".join(repr(n[:40]) for n in names) for names in forms.values() if names[1:]]
    if not groups:
        return None
    return (
        f"classes differ by form alone (capitals, spaces, dashes, width or script of digits):"
        f" {listed(groups)}; write those alike that are one"
    )


def _folded(name: str) -> str:
    """Write a label without capitals, widths, scripts of digits, separators of its words."""
    letters = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    text = ""
    for letter in letters:
        kind = unicodedata.category(letter)
        if kind == "Nd":
            letter = str(unicodedata.decimal(letter))
        elif kind == "Pd" or letter == "\N{MINUS SIGN}":
            letter = "-"
        text += "" if kind == "Cf" else letter  # what is not seen, such as a joiner
    number = re.sub(r"(?<=\d)[,\N{ARABIC DECIMAL SEPARATOR}](?=\d)", ".", text)
    number = label_text(re.sub(r"^\s*([+-]?)0+(?=\d)", r"\1", number))
    if _NUMBER.fullmatch(number):
        return number
    text = re.sub(r"(?<=\d)[\s_-]+(?=\d)", " ", text.strip())
    return re.sub(r"(?<=\w)[\s_-]+(?=[^\W\d_])|(?<=[^\W\d_])[\s_-]+(?=\w)", "", text)
