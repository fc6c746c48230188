"""The text of an expression: scanned for words and signs, then given to Python's parser.

The text comes from a caller who may mean harm. The depth of Python's parser is the stack's, so it
never meets what is nested without end, and nothing but words, numbers and signs reaches it.
"""

import ast
import keyword
import re
from collections.abc import Mapping
from types import MappingProxyType

from lossmeter.errors import ParameterInvalid, TooLarge

MOST_CHARACTERS = 4096
# Of brackets, powers, signs before a value, and operations in operations.
MOST_DEPTH = 64
MOST_LETTERS = 64

NAME = re.compile(rf"[A-Za-z][A-Za-z0-9_]{{0,{MOST_LETTERS - 1}}}", re.ASCII)
TOKEN = re.compile(
    r"""(?P<blank>\s+)
    | (?P<word>[A-Za-z_]\w*)
    | (?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?![\w.]))
    | (?P<sign>\*\*|[<>=!]=|[-+*/<>&|~=,()])""",
    re.ASCII | re.VERBOSE,
)
# What is not there, by the character that it begins with.
ABSENT: Mapping[str, str] = MappingProxyType(
    {
        "[": "no lists and no subscripts",
        "]": "no lists and no subscripts",
        "{": "no sets and no mappings",
        "}": "no sets and no mappings",
        '"': "no strings",
        "'": "no strings",
        "\\": "no backslashes",
        ".": "no attributes",
        ":": "no colons",
        "#": "no comments",
    }
)
WORDS: Mapping[str, str] = MappingProxyType(
    {
        "and": "& is and, between conditions in brackets",
        "or": "| is or, between conditions in brackets",
        "not": "~ is not, before a condition in brackets",
        "if": "where(condition, a, b) chooses",
        "else": "where(condition, a, b) chooses",
    }
)
PREFIXES = ("-", "+", "~")
BLANKS = dict.fromkeys(map(ord, "\n\r\t\f\v"), " ")


def parsed(text: str) -> ast.expr:
    """The syntax tree of a text, before anything in it is allowed.

    Raises:
        TooLarge: It is too long, or nested too deep.
        ParameterInvalid: It is no expression.
    """
    check_size("characters", len(text), MOST_CHARACTERS)
    _scan(text)
    try:
        # A line that ends is a blank, and a blank at the start is no indentation.
        return ast.parse(text.translate(BLANKS).lstrip(), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        raise ParameterInvalid(
            "the expression cannot be read: a bracket, an operator or an argument is missing or "
            "too much"
        ) from None


def check_size(what: str, actual: int, limit: int) -> None:
    """Refuse what is over a limit.

    Raises:
        TooLarge: It is.
    """
    if actual > limit:
        raise TooLarge(
            f"an expression has at most {limit} {what}, not {actual}", limit=limit, actual=actual
        )


def _scan(text: str) -> None:
    """Refuse what has no place in an expression, and what is nested too deep."""
    at, nested, after_value = 0, [0], False
    while at < len(text):
        found = TOKEN.match(text, at)
        if found is None:
            raise _absent(text[at], at)
        kind, token = found.lastgroup, found[0]
        at = found.end()
        if kind == "blank":
            continue
        if kind == "word":
            _check_word(token)
        _nest(nested, token, sign=kind == "sign", after_value=after_value)
        check_size("brackets or signs within each other", sum(nested) + len(nested), MOST_DEPTH)
        after_value = kind != "sign" or token == ")"


def _nest(nested: list[int], token: str, *, sign: bool, after_value: bool) -> None:
    """Count the signs before a value and the powers of each open bracket: each is a level."""
    if token == "(":
        nested.append(0)
    elif token == ")":
        # One that closes nothing is the parser's to refuse.
        nested[1:] = nested[1:-1]
    elif token == "**" or (token in PREFIXES and not after_value):
        nested[-1] += 1
    elif sign:
        nested[-1] = 0


def _absent(character: str, at: int) -> ParameterInvalid:
    what = ABSENT.get(character, "names, decimal numbers and + - * / ** < > = & | ~ ( ) , alone")
    return ParameterInvalid(f"an expression has {what}; see character {at + 1}")


def _check_word(word: str) -> None:
    if keyword.iskeyword(word) and word not in ("True", "False"):
        hint = WORDS.get(word, "it is a word of Python, and this is not Python")
        raise ParameterInvalid(f"{word} is no part of an expression: {hint}")
    if not NAME.fullmatch(word):
        raise ParameterInvalid(
            f"a name begins with a letter and has at most {MOST_LETTERS} letters, digits and _"
        )
