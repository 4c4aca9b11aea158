"""Reads gen/structs (its grammar is at the top of that file) and asks the compiler where the members lie."""
import re

import tables_headers
from tables_model import AnnotationError

HEAD = re.compile(r'(\w+)\s+"([^"]+)"\s*(?:<([^>]*)>)?$')
MEMBER = re.compile(r'([+?>]?)(\w+)(?:=([\w.\[\]]+))?(?::(\w+)(?:\((\w+)\))?)?$')
# word -> (enum member_kind, needs a set or a struct)
KINDS = {"int": "INT", "uint": "UINT", "hex": "HEX", "addr": "ADDR", "mode": "MODE", "dev": "DEV", "flags": "FLAGS",
         "enum": "ENUM", "text": "TEXT", "bytes": "BYTES", "sigset": "SIGSET", "struct": "STRUCT", "decimal": "DECIMAL",
         "signal": "SIGNAL", "ticks": "TICKS", "fd": "FD", "uid": "UID", "ints": "INTS", "uints": "UINTS", "hexes": "HEXES",
         "inet": "INET", "inet6": "INET6", "sockaddr": "SOCKADDR", "mac": "MAC", "hwaddr": "HWADDR", "ioprio": "IOPRIO", "bits": "BITS",
         "date": "DATE", "be16": "BE16", "structs": "STRUCTS", "none": "NOTHING"}
DETAILED = ("flags", "enum", "struct", "structs", "bits")
WHEN = {"": 0, "+": 1, "?": 2, ">": 3}


class Member:
    def __init__(self, line, when, name, path, kind, detail):
        self.line, self.when, self.name, self.path, self.kind, self.detail = line, when, name, path, kind, detail
        self.offset = self.size = self.element = 0
        self.signed = False


class Struct:
    def __init__(self, line, name, ctype, headers):
        self.line, self.name, self.ctype, self.headers = line, name, ctype, headers
        self.members, self.elided, self.size = [], 0, 0


def parse(path, shown):
    structs, headers, at = {}, (), None
    with open(path, encoding="utf-8") as text:
        for number, line in enumerate(text, 1):
            line = line.split("#", 1)[0].rstrip()
            if not line:
                continue
            if line[0] in " \t":
                add_members(at, number, line.split(), shown)
                continue
            match = HEAD.match(line)
            if not match:
                raise AnnotationError(shown, number, 'not `name "C type" <header ...>`')
            if match[1] in structs:
                raise AnnotationError(shown, number, "struct `%s` is there twice" % match[1])
            headers = tuple(match[3].split()) if match[3] is not None else headers
            at = structs[match[1]] = Struct(number, match[1], match[2], headers)
    return structs


def add_members(struct, number, words, shown):
    for word in words:
        if word == "...":
            struct.elided = 1
            continue
        match = MEMBER.match(word)
        if not match or struct is None:
            raise AnnotationError(shown, number, "cannot read member `%s`" % word)
        when, name, path, kind, detail = match.groups()
        if kind is not None and (kind not in KINDS or (kind in DETAILED) != (detail is not None)):
            raise AnnotationError(shown, number, "%s: unknown kind `%s`, or its (detail)" % (name, kind))
        struct.members.append(Member(number, WHEN[when], name, path or name, kind, detail))


SIGNED = ("_Generic((%s), unsigned char: 0, unsigned short: 0, unsigned: 0, unsigned long: 0, unsigned long long: 0, "
          "_Bool: 0, default: 1)")


def measure(structs, shown, cc):
    """Offsets, sizes and signs, by the compiler: one probe for each group of headers."""
    for headers in sorted({item.headers for item in structs.values()}):
        group = [item for item in structs.values() if item.headers == headers]
        try:
            lines = tables_headers.probe(probe_text(headers, group), cc).splitlines()
        except tables_headers.HeaderError as error:
            raise AnnotationError(shown, blame(group, str(error)), str(error)[-400:]) from error
        numbers = iter(lines)
        for item in group:
            item.size = int(next(numbers))
            for member in item.members:
                member.offset, member.size, member.element, signed = [int(word) for word in next(numbers).split()]
                member.kind = member.kind or ("int" if signed else "uint")


def blame(group, error):
    """The line of gen/structs that the compiler's message is about, as well as can be said."""
    for item in group:
        for member in item.members:
            if re.search(r"[‘'`]%s[’']" % re.escape(member.path), error):
                return member.line
    return group[0].line


def probe_text(headers, group):
    out = ["#include <%s>\n" % header for header in headers]
    out.append("#include <stddef.h>\nint printf(const char *, ...);\n")
    body = []
    for item in group:
        kind = "vtrace_" + item.name
        out.append("typedef __typeof__(%s) %s;\nstatic %s at_%s;\n" % (item.ctype, kind, kind, item.name))
        body.append('\tprintf("%%zu\\n", sizeof(%s));\n' % kind)
        for member in item.members:
            place = "at_%s.%s" % (item.name, member.path)
            element = "sizeof(%s[0])" % place if member.kind in ("ints", "uints", "hexes") else "sizeof(%s)" % place
            sign = SIGNED % place if member.kind is None else "0"
            body.append('\tprintf("%%zu %%zu %%zu %%d\\n", (size_t)((char *)&%s - (char *)&at_%s), sizeof(%s), %s, %s);\n'
                        % (place, item.name, place, element, sign))
    return "".join(out) + "int main(void)\n{\n" + "".join(body) + "\treturn 0;\n}\n"


def check(structs, sets, sizes, shown):
    for item in structs.values():
        for member in item.members:
            known = sizes if member.kind in ("struct", "structs") else sets
            if member.detail and member.detail not in known:
                raise AnnotationError(shown, member.line, "%s: unknown `%s`" % (member.name, member.detail))
