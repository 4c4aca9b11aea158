"""Reads gen/sets (its grammar is at the top of that file) and lets the compiler evaluate it."""
import re

import tables_headers
from tables_model import AnnotationError

HEAD = re.compile(r"(\w+)\s*(?:<([^>]*)>)?\s*\"([^\"]*)\"((?:\s+(?:decimal|numbered))*)$")
LITERAL = re.compile(r"([\w|]+)=(0x[0-9a-fA-F]+|\d+)$")


class ConstantSet:
    """`items`: [(name, value)] in print order; `literal`: names whose value gen/sets gives."""

    def __init__(self, name, headers, unknown, line):
        self.name, self.headers, self.unknown, self.line = name, headers, unknown, line
        self.words, self.items, self.literal, self.style = [], [], set(), []


def parse(path, shown):
    sets, at, headers = {}, None, []
    with open(path, encoding="utf-8") as text:
        for number, line in enumerate(text, 1):
            line = line.split("#", 1)[0].rstrip()
            if not line:
                continue
            if line[0] in " \t":
                if at is None:
                    raise AnnotationError(shown, number, "constants before any set")
                for word in line.split():
                    if word.startswith("@") and word[1:] not in sets:
                        raise AnnotationError(shown, number, "no set `%s` above" % word[1:])
                    at.words += sets[word[1:]].words if word.startswith("@") else [(number, word)]
                continue
            match = HEAD.match(line)
            if not match:
                raise AnnotationError(shown, number, 'not `name <header ...> "unknown"`')
            if match.group(1) in sets:
                raise AnnotationError(shown, number, "set `%s` is there twice" % match.group(1))
            headers = match.group(2).split() if match.group(2) else headers
            at = sets[match.group(1)] = ConstantSet(match.group(1), tuple(headers), match.group(3), number)
            at.style = match.group(4).split()
    return sets


def pattern(word):
    """`TIOC*` as a regular expression on macro names (which the compiler listed)."""
    return re.compile(re.escape(word).replace(r"\*", r"\w*") + "$")


def expand(item, macros, shown):
    """Words of a set to names: NAME, NAME=VALUE, PREFIX* (definition order), -NAME."""
    names, literal = [], {}
    for number, word in item.words:
        given = LITERAL.match(word)
        if given:
            names.append((number, given.group(1)))
            literal[given.group(1)] = int(given.group(2), 0)
        elif "*" in word and not word.startswith("-"):
            names += [(number, macro) for macro in macros(item.headers) if pattern(word).match(macro)
                      and macro not in [name for _, name in names]]
        elif word.startswith("-"):
            names = [entry for entry in names if not pattern(word[1:]).match(entry[1])]
        elif re.match(r"\w+$", word):
            names.append((number, word))
        else:
            raise AnnotationError(shown, number, "%s: cannot read `%s`" % (item.name, word))
    return names, literal


def evaluate(sets, shown, cc):
    """Fill in the items of every set: one list of macros and one probe for each group of headers."""
    cache = {}

    def macros(headers):
        if headers not in cache:
            cache[headers] = tables_headers.macro_names(headers, cc)
        return cache[headers]

    wanted, expanded = {}, {}
    for item in sets.values():
        names, literal = expanded[item.name] = expand(item, macros, shown)
        wanted.setdefault(item.headers, {}).update((name, True) for _, name in names if name not in literal)
    values = {headers: values_of(headers, list(names), cc, sets, expanded, shown)
              for headers, names in wanted.items()}
    for item in sets.values():
        names, literal = expanded[item.name]
        item.literal = set(literal)
        item.items = [(name, literal.get(name, values[item.headers].get(name))) for _, name in names]


def values_of(headers, names, cc, sets, expanded, shown):
    try:
        return tables_headers.probe_values(headers, names, cc) if names else {}
    except tables_headers.HeaderError as error:
        for item in sets.values():
            for number, name in expanded[item.name][0]:
                if item.headers == headers and re.search(r"\b%s\b" % name, str(error)):
                    raise AnnotationError(shown, number, "%s: `%s` has no value in <%s>: %s" % (
                        item.name, name, " ".join(headers), str(error)[-300:])) from error
        raise
