"""postmap and postalias of Debian's Postfix and ours on the same sources: what they print, complain of and return, for tables that are built, changed,
listed and asked, one key and many, and for messages whose headers and lines are the keys."""
import json
import os
import random
import re
import subprocess
import sys
import tempfile

import pytest

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), p) for p in ("../system", "../peers")]
import postern  # noqa: E402
import postfix  # noqa: E402
from table_servers import Memcached  # noqa: E402

pytestmark = pytest.mark.skipif(not postern.ROOT_USER, reason="the neighbour needs root")

MAIN = "compatibility_level = 3.6\ndefault_database_type = hash\nmyhostname = mail.example.com\nmydomain = example.com\ninet_protocols = all\n"

# Runs the cases of argv[1] with the commands in argv[2]; the results are put behind the cases. Texts are bytes, read as Latin-1.
RUNNER = r"""
import concurrent.futures, json, os, subprocess, sys
cases, commands, out = json.load(open(sys.argv[1])), sys.argv[2], sys.argv[3]
def run(case):
    done = []
    os.makedirs(case["directory"])
    for name, text in case["files"].items():
        path = os.path.join(case["directory"], name)
        open(path, "wb").write(text.encode("latin-1"))
        os.utime(path, (1e9, 1e9))
    for where in ("queue", "data", "bin"):
        os.mkdir(os.path.join(case["directory"], where))
    os.symlink(os.path.join(commands, "sendmail"), os.path.join(case["directory"], "bin/newaliases"))
    for argv, text in case["steps"]:
        argv = [a.encode("latin-1") for a in argv]
        argv[0] = os.path.join(b"bin" if argv[0] == b"newaliases" else commands.encode(), argv[0])
        with open(os.path.join(case["directory"], ".in"), "wb") as f:
            f.write(text.encode("latin-1"))
        with open(os.path.join(case["directory"], ".in"), "rb") as f:
            p = subprocess.run(["timeout", "-k", "1", "60"] + argv, cwd=case["directory"], stdin=f, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               env={"LC_ALL": "C", "MAIL_CONFIG": case["directory"], "PATH": "/usr/bin:/bin", "VAR": "value of VAR", "EMPTY": ""})
        done.append([p.returncode, p.stdout.decode("latin-1"), p.stderr.decode("latin-1")])
    return done
with concurrent.futures.ThreadPoolExecutor(64) as pool:  # the neighbour sleeps a second after each fatal error
    json.dump(list(pool.map(run, cases)), open(out, "w"))
"""

PLAIN = ["hash", "btree", "lmdb", "texthash"]


class Cases:
    def __init__(self):
        self.all = []

    def add(self, name, files, *steps, main=""):
        """A step is an argv, or an argv and what it reads."""
        steps = [(s if isinstance(s, tuple) else (s, "")) for s in steps]
        steps = [([argv[0]] + ([] if argv[0] in ("sendmail", "newaliases") else ["-c", "."]) + argv[1:], text) for argv, text in steps]
        self.all.append({"name": name, "files": dict(files), "steps": steps, "main": main})


# Sources of plain tables.

LOCAL = ["user", "User", "joe.doe", "a+b", "user+ext", "x-y", "\"quoted name\"", "\"a b\\\"c\"", "\"\"", "o'neil", "{brace}", "$dollar", "a=b", "#hash", "a#b",
         "\\back", "per%cent", "*", "j\xc3\xb6rg", "J\xc3\x96RG", "\xff\xfe", "very" * 60, "a,b", "(c)", "1", "+"]
DOMAINS = ["example.com", "EXAMPLE.com", ".example.com", "sub.example.com", "[192.0.2.1]", "[IPv6:2001:db8::1]", "xn--bcher-kva.example",
           "b\xc3\xbccher.example", "", "localhost", "192.0.2.1", "2001:db8::1", "10.0", "*"]
VALUES = ["OK", "REJECT no", "DUNNO", "smtp:[mail.example.com]:25", "user@example.net, other@example.net", "a\tb", "value # no comment", "x  y", "\"q\"",
          "550 5.1.1 \xc3\xa9t\xc3\xa9", "bad \xc3", "{ a, b }", "$1", "1", "v\\"]


def key(rng):
    kind = rng.randint(0, 5)
    if kind == 0:
        return rng.choice(LOCAL)
    if kind == 1:
        return rng.choice(DOMAINS) or "@"
    if kind == 2:
        return "@" + rng.choice(DOMAINS)
    return rng.choice(LOCAL) + "@" + rng.choice(DOMAINS)


def source(rng, lines):
    """Lines of a postmap source, some of them wrong."""
    out, keys = [], []
    for _ in range(lines):
        k, v, form = key(rng), rng.choice(VALUES), rng.randint(0, 20)
        keys.append(k)
        if form == 0:
            out.append("# comment")
        elif form == 1:
            out.append(rng.choice(["", "   ", "\t# comment", "  \r"]))
        elif form == 2:
            out.append(k)
        elif form == 3:
            out.append("%s %s\n  more %s\n# inside\n\t%s" % (k, v, v, v))
        elif form == 4:
            out.append("%s:\t%s" % (k, v))
        elif form == 5:
            out.append("%s%s%s  \t" % (k, rng.choice(["\t", "  ", " \t ", "\r", "\v", "\f"]), v))
        elif form == 6:
            out.append("\"%s %s" % (k, v))
        elif form == 7 and not out:
            out.append("  starts with a blank")
        elif form == 8:
            out.append("%s\n %s" % (k, v))
        elif form == 9:
            out.append("%s %s" % (rng.choice(keys), v))
        else:
            out.append("%s %s" % (k, v))
    return "\n".join(out) + rng.choice(["\n", "\n", ""]), keys


def questions(rng, keys, count):
    out = []
    for _ in range(count):
        k = rng.choice(keys) if rng.random() < 0.7 else key(rng)
        raw = k.encode("latin-1")  # ASCII alone changes its case
        k = rng.choice([k, k, raw.upper().decode("latin-1"), raw.lower().decode("latin-1"), k + " ", " " + k, k.split("@")[0]])
        out.append(k)
    return out


def unquoted(k):
    return re.sub(r'\\(.)|"', lambda m: m.group(1) or "", k)


# A line ends at a NUL byte; where nothing is left of it, the neighbour says so in some tables only.
NULS = ["a b\0c\nd\0 e\nf g\n", "\0a b\n c d\0\n\0e\n", "\"a\0\" b\nc \xc3\0\xa9\n", "a b\n\0\0\0\0", "if /a/\0\n/a/ x\0y\nendif\0\n/\0c/ z\n", "1.2.3.0/24\0 a\n1.2.3.4 a\0b\n::\x001 x\n",
        "a\0: b\nc: d\0, e\nf: \"g\0h\"\n"]


def add_nuls(cases):
    for i, text in enumerate(NULS):
        empty = re.search(r"(?m)^\0", text)
        for spec in ["hash:t", "lmdb:t", "texthash:t", "cidr:t"] + ([] if empty else ["regexp:t", "pcre:t"]):
            made = [["postmap", spec], ["postmap", "-s", spec]] if spec[0] in "hl" else []
            cases.add("nul%d" % i, {"t": text}, *made, (["postmap", "-q", "-", spec], "a\nd\n\"a\"\nc\n1.2.3.4\n::1\nb\n"))
        if not empty:
            cases.add("nul-alias%d" % i, {"t": text}, ["postalias", "btree:t"], ["postalias", "-s", "btree:t"])


def add_plain(cases):
    rng = random.Random(20261120)
    for i in range(48):
        kind = PLAIN[i % 4]
        text, keys = source(rng, rng.randint(1, 14))
        keys += [unquoted(k) for k in keys]
        ask = questions(rng, keys, 12)
        spec = kind + ":t"
        if kind == "lmdb":
            ask = [q or "none" for q in ask]  # the neighbour fails for an empty key
        options = rng.choice([[], [], ["-f"], ["-N"], ["-n"], ["-r"], ["-w"], ["-u"], ["-v"][:0], ["-o"], ["-p"], ["-fN"], ["-rw"], ["-U"]])
        steps = [] if kind == "texthash" else [["postmap"] + options + [spec]]
        steps += [["postmap", "-s", spec], (["postmap", "-q", "-", spec], "\n".join(ask) + "\n")]
        if "-f" in options:
            steps.append((["postmap", "-fq", "-", spec], "\n".join(ask) + "\n"))
        steps += [["postmap", "-q", q, spec] for q in ask[:4] if q != "-"]
        steps += [["postmap", "-uq", q, spec] for q in ask[4:6]]
        if kind != "texthash":
            more = source(rng, 3)[0]
            steps += [(["postmap", rng.choice(["-i", "-ir", "-iw", "-if", "-iN"]), spec], more), ["postmap", "-s", spec]]
            steps += [["postmap", rng.choice(["-d", "-fd"]), q, spec] for q in ask[:3]]
            steps += [(["postmap", "-d", "-", spec], "\n".join(ask[3:7]) + "\n"), ["postmap", "-s", spec]]
        cases.add("plain%d" % i, {"t": text}, *steps)


# Alias files.

NAMES = ["postmaster", "Root", "\"quoted name\"", "\"with:colon\"", "a b", "j\xc3\xb6rg", "x@y", "\"a@b\"", "owner-list", "", "\\\"esc", "very" * 40, "(comment) name",
         "name (comment)", "a.b", "|x", "/dev/null", "user+ext", "\xff", "a,b", "<angle>", "\"unclosed", "a;b"]
TARGETS = ["root", "user@example.com", "\"|/bin/cat -n\"", "|/bin/cat", "/var/mail/x", "\":include:/etc/list\"", ":include:/etc/list", "a, b", "a,b , c", "", "\"a, b\"",
           "<u@example.com>", "Name <u@example.com>", "u@example.com (comment)", "a b", "u@[192.0.2.1]", "\"two words\"@example.com", "\\root", "a,,b",
           "x\n  y", "x,\n\ty", "\"|a b\n  c\"", "\"unclosed", "(only comment)", "a # no comment", "j\xc3\xb6rg", "\xff"]


# Words, quotes and marks of a line.
ALIAS_LINES = r"""x: a\,b
y: a\ b, c
z: \"root
w: "a b" c
v: a@b c
u: a\@b@c
t: foo.bar (com) x
s: |"a, b"
r: /x y
q q: a
p<TAB>q: a
o"o": a
a\ b: c
"x"y: z
l: "|prog \"a\""
l2: |prog a
k: a\\b
a1: (c) <x>
a2: g: <x>, y;
a3: "q" <x>
a4: [l] <x>
a5: x (c)<y>
a6: a.b .c d
a7: a % b ! c
a8: a (c) (d) b
a9: a ; b
b1: ] a
b2: a\
b3: "a\b\"c\\d"
b4: "a<TAB>b"
b5: a[b]c
b6: a (b(c)d) e
b7: (a\)b) c
b8: [a\]b]
b9: <a> <b>
c1: <a>"b"
c2: |"/x y" z
c3: "|/x y" z
c4: :include: /x y
c5: a@ b . c
c6: ""
c7: a""
c8: "" a
d1: a,, b,
d2: a,(c),b
d3: a
<TAB>b
 "c
<TAB>d" e
(x)y(z): a
<k> l: a
k.l : a
[k]: a
k;l: a
k,l: a
k|l: a
|k l "m n" o.p % q: a
"k@l": a
k\@m: a
k\ n: a
(only): a
k"": a
\k: \k
k"o: p, q
"a:b: c" : d
a\:b : e
(x:y) z : f
[x:y] : f
a%b: x
a!b: x
|k: x
|k l: x
o.p c: x
"m n" o: x
k "m n" o: x
k %: x
% k: x
a:b:c
a: x:y
<a@b>: x
a b, c: d
a b@c: d
[x@y]: d
(x@y) z: d
"x%y": d
x\%y: d
x;: y
xyz:
:
: x
(c): (d)
(c):
x: (d)
[]: x
x2: []
<>: x
x3: <>
""".replace("<TAB>", "\t")


def add_aliases(cases):
    for kind in ("hash", "btree"):
        cases.add("alias-lines-" + kind, {"a": ALIAS_LINES}, ["postalias", kind + ":a"], ["postalias", "-s", kind + ":a"],
                  (["postalias", "-q", "-", kind + ":a"], "a b\nk@m\n\"k@l\"\nk;l\n"))
    rng = random.Random(7)
    for i, name in enumerate(NAMES):
        target = TARGETS[i % len(TARGETS)]
        cases.add("alias-name%d" % i, {"a": "%s: %s\n" % (name, "x"), "b": "%s : %s\n" % (name, target)}, ["postalias", "hash:a"],
                  ["postalias", "-s", "hash:a"], ["postalias", "hash:b"], ["postalias", "-s", "hash:b"], ["postalias", "-q", name, "hash:a"])
    for i, target in enumerate(TARGETS):
        cases.add("alias-target%d" % i, {"a": "name: %s\nother:%s, %s\n" % (target, rng.choice(TARGETS), target)}, ["postalias", "btree:a"],
                  ["postalias", "-s", "btree:a"], (["postalias", "-q", "-", "btree:a"], "name\nOther\n"))
    for i in range(12):
        lines = ["%s%s%s" % (rng.choice(NAMES), rng.choice([": ", ":", " : ", " "]), rng.choice(TARGETS)) for _ in range(8)]
        cases.add("aliases%d" % i, {"a": "\n".join(lines) + "\n"}, ["postalias", rng.choice(["-f", "-N", "-n", "-r", "-w", "-u", "-o", "-p"]), "hash:a"],
                  ["postalias", "-s", "hash:a"], (["postalias", "-i", "hash:a"], "new: x, y\nRoot: again\n"), ["postalias", "-s", "hash:a"],
                  ["postalias", "-d", rng.choice(["new", "ROOT", "none"]), "hash:a"], (["postalias", "-q", "-", "hash:a"], "new\nroot\n"))


# Networks.

def address(rng):
    if rng.random() < 0.6:
        return ".".join(str(rng.choice([0, 1, 10, 127, 128, 172, 192, 255])) for _ in range(4))
    groups = ["%x" % rng.choice([0, 1, 0x2001, 0xdb8, 0xff, 0xffff]) for _ in range(8)]
    text = ":".join(groups)
    return rng.choice([text, re.sub(r"(:0)+", ":", text, count=1) if ":0:0" in text else text, ":".join(groups[:3]) + "::" + groups[7], text.upper()])


def cidr_rule(rng, depth=0):
    a = address(rng)
    bits = rng.randint(0, 33 if "." in a else 129)
    pattern = rng.choice(["%s/%d" % (a, bits), "%s/%d" % (a, bits), a, "[%s]/%d" % (a, bits), "[%s]" % a, "!%s/%d" % (a, bits), "!%s" % a, "%s/%dx" % (a, bits), "%s/" % a])
    if depth < 2 and rng.random() < 0.15:
        return "if %s\n%s\n%s" % (pattern, "\n".join(cidr_rule(rng, depth + 1) for _ in range(2)), rng.choice(["endif", "endif", "endif", "", "ENDIF", "endif x"]))
    return pattern + rng.choice(["  ", "\t", " "]) + rng.choice(["OK", "REJECT %d" % bits, "x y", "", "OK"])


CIDR_ODD = ["1.2.3/24 x", "1.2.3.4/-1 x", "1.2.3.256 x", "::1/129 x", "0.0.0.0/0 all4\n::/0 all6", "1.2.3.4/08 x", "01.2.3.4 x", "1.2.3.4/ 8 x", "! 1.2.3.4 x", "!!1.2.3.4 x",
            "1.2.3.0/24\tx\n\ty", "1.2.3.4 x\f\n\f\nif 0.0.0.0/0\f\n\f1.2.3.4\n1.2.3.0\vy\nendif\f", "# only", "", "if 1.2.3.0/24\n1.2.3.4 x", "endif", "if", "if 1.2.3.4 x\n1.2.3.4 y\nendif", "fe80::1%lo x",
            "1.2.3.4", "host.example x", "!1.2.3.4", "[::1] x", "[1.2.3.4]/24 x", "1.2.3.0/24 x # y", "IF 1.2.3.0/24\n1.2.3.4 up\nENDIF", "1.2.3.4/32 $1", "1.2.3.4/24 nonnull"]
CIDR_KEYS = ["1.2.3.4", "1.2.3.0", "::1", "0.0.0.0", "255.255.255.255", "::", "host.example", "1.2.3", "[1.2.3.4]", "", "1.2.3.4 ", "01.2.3.4",
             "2001:db8::1", "2001:DB8:0:0::1", "1.2.3.4/32", "1.2.3.4.5", "fe80::1", "IPv6:::1", "a@b"]


def add_cidr(cases):
    rng = random.Random(11)
    for i in range(25):
        text = "\n".join(cidr_rule(rng) for _ in range(rng.randint(1, 10))) + "\n"
        near = re.findall(r"[0-9a-fA-F:.]{4,}", text)
        ask = [a for a in near if rng.random() < 0.7] + [address(rng) for _ in range(8)] + rng.sample(CIDR_KEYS, 3)
        cases.add("cidr%d" % i, {"t": text}, (["postmap", "-q", "-", "cidr:t"], "\n".join(ask) + "\n"), ["postmap", "-q", ask[0], "cidr:t"], ["postmap", "-s", "cidr:t"])
    for i, text in enumerate(CIDR_ODD):
        cases.add("cidr-odd%d" % i, {"t": text + "\n"}, (["postmap", "-q", "-", "cidr:t"], "\n".join(CIDR_KEYS) + "\n"), ["postmap", "-q", CIDR_KEYS[i % len(CIDR_KEYS)], "cidr:t"])


# Patterns.

ATOMS = ["a", "b", "user", "example", "[a-c]", "[^@]", "[[:alpha:]]", "[[:digit:]]+", ".", "(a|b)", "(.*)", "([^@]+)", "\\.", "\\$", "@", "^", "$", "x?", "a*", "b+", "a{2}", "a{1,2}",
         "\\/", "-", "_", " ", "=", "(", ")", "[", "*", "\\", "()", "(a(b)?)", "user@", "\xc3\xb6"]
PCRE_ATOMS = ["\\d+", "\\w+", "\\s", "(?:a|b)", "(?i)a", "\\b", "(?=u)", "(?!x)", "a*?", "(?P<n>a)", "\\1", "[\\w.]+", "\\x41", "\\Q.\\E", "(?#c)", "\\"]
RESULTS = ["OK", "REJECT $1", "${1}x", "$(2)", "$$", "$9", "$0", "x$", "$a", "a ${1", "REJECT text $1 and $2", "", "$1", "prefix-$(1)-$2", "a$$b", "${10}", "\\$1", "{a}", "$1$2"]
PATTERN_KEYS = ["user@example.com", "USER@EXAMPLE.COM", "a@b", "aab", "a", "b", "ab.c", "user+ext@example", "", "x", "1234", "a b", "a/b", "a$b", "^", "user_name", "j\xc3\xb6rg", "(a)", "a-b=c", "AAA", "a.b",
                "a\\b", "bad\xff", "[x]", "*"]


def pattern_rule(rng, pcre, depth=0):
    atoms = ATOMS[:24] + (PCRE_ATOMS if pcre else [])
    text = "".join(rng.choice(atoms if rng.random() < 0.93 else ATOMS) for _ in range(rng.randint(1, 4)))
    mark = rng.choice(["/", "/", "/", "!", "#", ",", "|"]) if depth == 0 else "/"
    text = text.replace(mark, "") if mark != "/" else text
    flags = rng.choice(["", "", "", "i", "m", "x", "im", "q"] + (["s", "A", "E", "U", "X", "ix"] if pcre else []))
    prefix = rng.choice(["", "", "", "", "!"]) if mark != "!" else ""
    rule = "%s%s%s%s%s" % (prefix, mark, text, mark, flags)
    if depth < 2 and rng.random() < 0.12:
        return "if %s\n%s\nendif" % (rule, "\n".join(pattern_rule(rng, pcre, depth + 1) for _ in range(2)))
    both = "%s!/%s/" % (rule, rng.choice(ATOMS[:8])) if not pcre and rng.random() < 0.1 else rule
    return "%s%s%s" % (both, rng.choice([" ", "\t", "  "]), rng.choice(RESULTS))


PATTERN_ODD = ["/a/", "/a", "a b", "/a/ x\n  y", "/(a/ x", "/[a/ x", "/a/z x", "if /a/\n/aa/ x", "endif", "if /a/ text\n/a/ x\nendif", "if", "if a\n/a/ x\nendif", "!/a/ $1", "/(a)(b)?/ $2", "/(a)|(b)/ [$1][$2]",
               "# c\n\n/a/ x", "/a/i x", "/^$/ empty", "/a/ x\n/a/ y", "/a\\/b/ slash", "/a$$/ x", "!!/a/ x", "//  x", "/ /x", "/a/!/b/ only a", "/(.)\\1/ twice $1",
               "IF /a/\n/aa/ x\nENDIF", "if !/a/\n/b/ y\nendif", "/a/ ${1}", "!/zz/ none\n/a/ x", " /a/ x", "/(a)/ $1 $1 ${1} $(1)", "/a/ {x}", "endif\n/a/ x", "if /a/\nif /b/\n/ab/ deep\nendif\n/a/ x\nendif",
               "/a*{/ x", "/a**/ x", "/" + "(a)" * 12 + "/ $12", "/\xc3\xb6/ eight", "/a/ \xff", "/\xff/ raw", "if /a/\nendif\n/a/ behind", "/a/D x", "/a/ x\x0by",
               "/a/! x", "/a/!", "/a/!b\n/b/ x", "/a/! /b/ x", "!/a/!/b/ x", "/a/!!/b/ x", "!!/a/ !/b/ x", "if /a/!/b/\n/ab/ x\nendif", "if /a/!/b\n/a/ x\nendif", "/(a)!/b/ $1", "/(a)/!/(b)/ $2",
               "!/(a)/!/b/ $1", "/a/!/b/!/x/ y", "/a/!/b/i!", "/a/\t!x", "\f/a/ x\n\f\n/b/ y\f\n\v/a/\n\f# c\n/x/ z", "if /a/\f\n/b/ y\nendif\f", "!\f/a/ x"]


def add_patterns(cases):
    rng = random.Random(13)
    for kind in ("regexp", "pcre"):
        for i in range(30):
            text = "\n".join(pattern_rule(rng, kind == "pcre") for _ in range(rng.randint(1, 6))) + "\n"
            cases.add("%s%d" % (kind, i), {"t": text}, (["postmap", "-q", "-", kind + ":t"], "\n".join(PATTERN_KEYS) + "\n"),
                      ["postmap", "-q", rng.choice(PATTERN_KEYS), kind + ":t"])
        for i, text in enumerate(PATTERN_ODD):
            cases.add("%s-odd%d" % (kind, i), {"t": text + "\n"}, (["postmap", "-q", "-", kind + ":t"], "\n".join(PATTERN_KEYS) + "\n"),
                      ["postmap", "-fq", "AAA", kind + ":t"])


# Tables without a source.

SPECS = ["inline:{a=1}", "inline:{a=1,b=2}", "inline:{ a=1, {b = two words}, {c=} }", "inline:{a}", "inline:{}", "inline:{{a = x}{b = y}}", "inline:{A=1,a=2}", "inline:{a=1", "inline:a=1", "inline:{=1}",
         "inline:{a=1,a=2}", "inline:{ {a b = c} }", "inline:{a = 1}", "inline:{a=1}x", "inline: {a=1}", "inline:{\"a b\"=1}", "static:x", "static:", "static:{a b}", "static:{ a b }", "static:{a b", "static:a b",
         "static:{a}b", "static:{}", "unionmap:{static:a,static:b}", "unionmap:{inline:{a=1},inline:{a=2}}", "unionmap:{inline:{a=1},inline:{b=2}}", "unionmap:{}", "unionmap:{static:a,fail:x}",
         "unionmap:static:a", "unionmap:{static:a", "unionmap:{nosuch:x}", "unionmap:{static}", "unionmap:{ static:one , inline:{ {a = x y} } }", "pipemap:{inline:{a=b},inline:{b=c}}",
         "pipemap:{inline:{a=b},fail:x}", "pipemap:{}", "pipemap:{static:a}", "pipemap:{inline:{a=b},static:z}", "pipemap:{inline:{x=b},fail:x}", "pipemap:static:a", "pipemap:{nosuch:x}", "randmap:{one}",
         "randmap:{ one }", "randmap:{}", "randmap:one", "randmap:{one", "randmap:{one}x", "randmap:{{a b}}", "environ:", "environ:x", "fail:x", "fail:", "unix:passwd.byname", "unix:group.byname", "unix:nosuch",
         "nosuch:x", "hash:nosuch", "texthash:nosuch", "regexp:nosuch", "pcre:nosuch", "cidr:nosuch", "lmdb:nosuch", "btree:nosuch", "hash:", "texthash:", "cidr:", "regexp:{ {/a/ x} }", "regexp:{ {/a/ x}, {/b(.*)/ $1} }",
         "pcre:{{/^(.)$/ <$1>}}", "cidr:{{1.2.3.0/24 x}, {::/0 y}}", "texthash:{ {a b} }", "regexp:{/a/ x}", "regexp:{}", "regexp:{ {if /a/} {/aa/ x} {endif} }", "pcre:{ {/(/ x} }", "cidr:{ {1.2.3.4/33 x} }", "cidr:{ {a b} } x",
         "nosuch", "", ":", "a:", ":a", "static", "sdbm:x", "dbm:x",
         "unionmap:{inline:{a={x,y}},static:z}", "pipemap:{unionmap:{static:a,static:b},inline:{ {a,b = both} }}", "regexp:{ {/a/i x}\n {/b/ y} }", "inline:{ {a = 1 = 2} }", "inline:{a==1}", "inline:{ {a=x},, {b=y} }"]
SPEC_KEYS = ["a", "A", "b", "aa", "root", "nosuchuser", "VAR", "var", "1.2.3.4", "::1", "a b", "x y", "EMPTY", "", "bin", "0"]


def add_specs(cases):
    for i, spec in enumerate(SPECS):
        others = [["postmap", "-q", "a", spec], ["postmap", "-fq", "VAR", spec], (["postmap", "-i", spec], "x y\n"), ["postmap", spec], (["postalias", "-q", "-", spec], "a\nb\n")]
        cases.add("spec%d" % i, {}, (["postmap", "-q", "-", spec], "\n".join(SPEC_KEYS) + "\n"), ["postmap", "-s", spec], ["postmap", "-d", "a", spec], others[i % 5])
    for i in range(0, len(SPECS) - 3, 3):
        three = SPECS[i:i + 3]
        cases.add("specs%d" % i, {}, (["postmap", "-q", "-"] + three, "\n".join(SPEC_KEYS) + "\n"), (["postmap", "-q", "a"] + three))


# Command lines.

LINES = [[], ["-q"], ["-q", "a"], ["-x", "hash:t"], ["-q", "a", "-s", "hash:t"], ["-s", "-i", "hash:t"], ["-d", "a", "-q", "a", "hash:t"], ["-q", "", "hash:t"], ["-q", "-", "hash:t", "hash:u"], ["-s", "hash:t", "hash:u"],
         ["-d", "a", "hash:t", "hash:u"], ["-dA", "hash:t"], ["-fdA", "hash:t"], ["-qa", "hash:t"], ["-fqA", "hash:t"], ["t"], ["-s", "t"], ["-q", "a", "t"], ["hash:t", "hash:missing"], ["hash:missing", "hash:t"], ["-N", "hash:t"],
         ["-h", "-q", "a", "hash:t"], ["-b", "-s", "hash:t"], ["-bq", "a", "hash:t"], ["-m", "-q", "-", "hash:t"], ["-hm", "hash:t"], ["-b", "hash:t"], ["-d", "", "hash:t"], ["-i", "hash:new"], ["-i", "missing"], ["-iN", "hash:t"], ["-rw", "hash:t"],
         ["-F", "hash:files"], ["-Fs", "hash:t"], ["-Fq", "a", "hash:t"], ["-F", "hash:t"], ["-Fq", "-", "hash:t"], ["-v", "-q", "a", "texthash:t"][1:], ["--", "hash:t"], ["-q", "a", "--", "hash:t"], ["hash:t", "-s"], ["-bq", "-", "hash:t"],
         ["-hq", "-", "hash:t"], ["-Uq", "a", "hash:t"], ["-uq", "\xff", "hash:t"], ["-q", "\xff", "hash:t"], ["-q", "\xc3\x96", "hash:t"], ["-q", "a\nb", "hash:t"], ["hash:./t"], ["hash:t/x"], ["hash:d"], ["-o", "hash:t"], ["-p", "hash:t"], ["proxy:hash:t"]]


def add_lines(cases):
    files = {"t": "a one\nB two\nj\xc3\xb6rg three\n\xc3\xb6 four\n", "u": "a other\nz last\n", "f1": "content of f1\n", "f2": "f2 without end", "files": "a f1\nb f1, f2\nc f2 f1\nd missing\ne f1,,f2\n"}
    for i, argv in enumerate(LINES):
        for program in ("postmap", "postalias"):
            if program == "postalias" and set("".join(a for a in argv if a.startswith("-"))) & set("bhmFU"):
                continue  # postalias has no such options: its usage is compared once
            cases.add("line%d %s %s" % (i, program, argv), files, ["postmap", "hash:t"], ["postmap", "hash:u"], ([program] + argv, "a\nzz\nB\n"), ["postmap", "-s", "hash:t"],
                      (["postmap", "-q", "-", "hash:u"], "a\nb\n"))
    cases.add("twice", {"t": "Key One\nkey two\nKEY three\n"}, *[["postmap"] + options + ["-q", "KeY", "texthash:t"] for options in ([], ["-f"])])
    cases.add("files", files, ["postmap", "-F", "hash:files"], ["postmap", "-s", "hash:files"], ["postmap", "-Fs", "hash:files"], ["postmap", "-Fq", "b", "hash:files"], (["postmap", "-Fq", "-", "hash:files"], "a\nb\nc\nd\n"),
              ["postmap", "-Fq", "c", "texthash:files"], ["postmap", "-Fs", "texthash:files"], ["postmap", "-Fq", "a", "inline:{a=f1}"], ["postmap", "-Fq", "a", "static:f1"], ["postmap", "-Fq", "a", "static:missing"],
              ["postmap", "-Fq", "a", "regexp:{{/a/ f1}}"], ["postmap", "-Fq", "a", "pcre:{{/a/ f1,f2}}"], ["postmap", "-Fq", "1.2.3.4", "cidr:{{0.0.0.0/0 f2}}"], ["postmap", "-Fq", "a", "randmap:{f1}"],
              ["postmap", "-Fq", "a", "unionmap:{static:f1,static:f2}"], ["postmap", "-Fq", "a", "pipemap:{static:f1}"], (["postmap", "-Fi", "hash:files"], "n f2\nm missing\n"), ["postmap", "-Fs", "hash:files"])


# Messages as keys.

HEADERS = ["Subject: hello", "Subject: a\n b\n\tc", "From: user@example.com", "X-Empty:", "X-Blank : before the colon", "Content-Type: text/plain", "Content-Type: multipart/mixed; boundary=b1", "Content-Type: multipart/mixed;\n boundary=\"b 2\"",
           "Content-Type: message/rfc822", "Content-Type: multipart/digest; boundary=b1", "Content-Transfer-Encoding: base64", "Content-Transfer-Encoding: 8bit", "MIME-Version: 1.0", "NoColon here", "X-Eight: \xc3\xb6 \xff", "X-Bad\x01: y",
           "bad header: x", ": no name", "X:y", "Received: from x\n\tby y", "X-Long: " + "word " * 60, " starts folded", "From someone Fri Nov 20", "Content-Type: message/partial; id=x", "X-CR: x\r", "Content-Disposition: attachment;\n filename=x"]
BODY = ["text", "", " indented", "--b1", "--b1--", "--b 2", "--b 2--", "-- signature", "--b1x", ".", "Subject: in the body", "From here", "\xc3\xb6", "\xff raw", "x" * 200, "--", "Content-Type: text/html\n\nhtml", "a\rb", "end\r", "Content-Type: message/rfc822\n\nSubject: inner\n\ninner body"]


def message(rng):
    if rng.random() < 0.5:
        return "\n".join(rng.choice(HEADERS) for _ in range(rng.randint(0, 5))) + rng.choice(["\n\n", "\n\n", "\n", "\n \n"]) + "\n".join(rng.choice(BODY) for _ in range(rng.randint(0, 8))) + rng.choice(["\n", ""])
    part = lambda depth: "\n".join(rng.choice(HEADERS[:13]) for _ in range(rng.randint(0, 3))) + "\n\n" + "\n".join(  # noqa: E731
        rng.choice(BODY[:12]) if depth > 1 or rng.random() < 0.7 else "--b1\n" + part(depth + 1) for _ in range(rng.randint(1, 4)))
    return "Subject: m\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b1\n\npreamble\n--b1\n" + part(0) + "\n--b1\n" + part(1) + "\n--b1--\nepilogue\n"


def add_messages(cases):
    rng = random.Random(17)
    all_keys = "pcre:{{/^(.{0,40})/s <$1>}}"
    for i in range(60):
        text = message(rng)
        modes = rng.sample(["-bq", "-hq", "-bhq", "-bmq", "-hmq", "-bhmq", "-Ubhmq", "-ubhq", "-fhq", "-hfbq", "-mq"], 4)
        cases.add("message%d" % i, {}, *[(["postmap", mode, "-", all_keys], text) for mode in modes], (["postmap", "-bhmq", "-", "regexp:{{/^subject: (.*)/ $1}, {/^--/ boundary}}"], text))
    for i, h in enumerate(HEADERS):
        cases.add("header%d" % i, {}, *[(["postmap", mode, "-", all_keys], "A: b\n%s\nC: d\n\nbody\n--b1\nE: f\n\npart\n--b1--\n" % h) for mode in ("-hq", "-bq", "-hmq", "-bmq", "-bhq", "-bhmq")])


# All of alias_database.

def add_newaliases(cases):
    files = {"a": "name: b\nRoot: x, y\n", "b": "z: q\n", "bad": "no pair\n"}
    asked = [["postalias", "-q", "root", "hash:a"], ["postalias", "-s", "hash:b"]]
    for i, (setting, argv) in enumerate([
            ("hash:HERE/a", ["newaliases"]), ("hash:HERE/a", ["sendmail", "-bi"]), ("hash:HERE/a", ["sendmail", "-I"]), ("HERE/a, hash:HERE/b", ["newaliases"]), ("", ["newaliases"]),
            ("hash:HERE/none", ["newaliases"]), ("hash:HERE/a", ["newaliases", "-oAHERE/b"]), ("hash:HERE/a", ["sendmail", "-bi", "-oAhash:HERE/b"]), ("hash:HERE/bad", ["newaliases"]),
            ("hash:HERE/a nosuch:x", ["newaliases"]), ("hash:HERE/a", ["newaliases", "extra"]), ("static:x", ["newaliases"]),
            ("hash:HERE/a", ["sendmail", "-bi", "-oA", "b"])]):
        cases.add("newaliases%d" % i, files, argv, *asked, main="alias_database = %s\n" % setting)


def all_cases():
    cases = Cases()
    for add in (add_plain, add_nuls, add_aliases, add_cidr, add_patterns, add_specs, add_lines, add_messages, add_newaliases):
        add(cases)
    return cases.all


# Comparing.

def run(cases, directory, who, commands):
    cases = [dict(case, files=dict(case["files"])) for case in cases]
    for i, case in enumerate(cases):
        case["directory"] = os.path.join(directory, who, "%04d" % i)
        case["files"]["main.cf"] = MAIN + "meta_directory = %s\ncommand_directory = %s\n" % (directory, commands) + "".join(
            "%s_directory = %s/%s\n" % (d, case["directory"], d) for d in ("queue", "data")) + case["main"].replace("HERE", case["directory"])
        case["steps"] = [([a.replace("HERE", case["directory"]) for a in argv], text) for argv, text in case["steps"]]
    with open(os.path.join(directory, "dynamicmaps.cf"), "w") as f:
        f.write("lmdb postfix-lmdb.so dict_lmdb_open mkmap_lmdb_open\npcre postfix-pcre.so dict_pcre_open\n")
    paths = [os.path.join(directory, name + who) for name in ("runner.py.", "cases.", "out.")]
    with open(paths[0], "w") as f:
        f.write(RUNNER)
    with open(paths[1], "w") as f:
        json.dump(cases, f)
    argv = ["/usr/bin/python3", paths[0], paths[1], commands, paths[2]]
    done = postfix.command(*argv) if who == "theirs" else subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout
    with open(paths[2]) as f:
        return json.load(f)


# What is ours on purpose: docs/differences.md. A case's name and command; what is compared all the same.
OWN = [
    (r"-\w*d .*\xff", "a key that is no UTF-8 is not found"),
    (r"^pcre24 ", "an expression that is none is told of first"),
    (r"-uq J\xc3\x96", "-u leaves folding as it is"),
    (r"-d \S+ lmdb:nosuch", "a table that is not there is told of"),
    (r"unionmap:\{static\}", "the member is told of, not the whole"),
    (r"-Fq a unionmap:", "a unionmap of files joins what is in them"),
    (r"inline:\{ \{a b = c\} \}|inline:\{=1\}|inline:\{\"a b\"=1\}", "names in braces may hold blanks, and must not be empty"),
    (r"randmap:\{\{a b\}\}", "a result may stand in braces"),
    (r"environ:x -s|-s environ:x", "the environment can be listed"),
    (r"-s hash:t hash:u", "-s lists all tables"),
    (r"-s -i ", "contradicting options are refused"),
]


def comparable(result, argv):
    """Lists are in the order of the database. What differs on purpose: a message names a table as it was given, not its file; it has the line, too; "
    options that contradict each other are told of in one way; -j is ours."""
    status, out, err = result
    if "fatal: " in err:
        out = ""  # the neighbour loses what it found before
    lines = [re.sub(r"(, )+", ", ", line) for line in out.split("\n") if not re.match(r"(@|YP_LAST_MODIFIED|YP_MASTER_NAME):?\t", line)]  # for NIS
    listed = any(re.match(r"-\w*s$", a) for a in argv[3:])
    if listed:
        lines.sort()
    for pattern, instead in SAME:
        err = re.sub(pattern, instead, err)
    return ["status %d" % status] + [line.rstrip(", ") for line in lines] + (sorted if listed else list)(err.split("\n"))


SAME = [(r"(?m)^\S*(postmap|postalias|newaliases|sendmail): ", r"\1: "),
        (r"/\S*/(?:theirs|ours)/\d+/", ""),
        (r"\b(?:(?:hash|btree|lmdb):)?(\w+)(?:\.db|\.lmdb)?: (duplicate entry|non-UTF-8|key .*: malformed)", r"\1: \2"),
        (r"(table \w+:\w+)\.db", r"\1"),
        (r", line \d+: logical line must", ": logical line must"),
        (r"(?:pcre|regexp) map \S+, line \d+: (truncated|empty) macro", r"\1 macro"),
        (r"[ ?]*\" -- ignoring", '" -- ignoring'),
        (r'whitespace: "(.*?) *"', r'whitespace: "\1"'),
        (r"(?m)^.*: no replacement text: using empty string\n", ""),
        (r"out-of-range", "out of range"),
        (r"\. Is the postfix-\S* package installed\?", ""),
        (r"table (.*): delete operation is not supported", r"\1 map requires O_RDONLY access mode"),
        (r"open database ", "open "),
        (r"specify only one of .*", "specify only one"),
        (r"\[-bfFhijm", "[-bfFhim"),
        (r"\[-Nfijno", "[-Nfino"),
        (r"query error: the value is not base64", "query error"),
        (r"(?m)^postmap: warning: .* malformed BASE64.*\n(.*fatal)", r"\1")]


def difference(left, right):
    left, right = [line for line in left if line not in right] or left, [line for line in right if line not in left] or right
    return "    theirs %r\n    ours   %r" % (left, right)


def test_same_as_the_neighbour():
    cases = all_cases()
    differences, compared = [], 0
    with tempfile.TemporaryDirectory(prefix="postern-postmap-", dir="/tmp") as directory:
        os.chmod(directory, 0o755)
        theirs = run(cases, directory, "theirs", "/usr/sbin")
        ours = run(cases, directory, "ours", os.path.abspath(postern.BIN))
    for case, a, b in zip(cases, theirs, ours):
        for (argv, text), left, right in zip(case["steps"], a, b):
            compared += 1
            if any(re.search(pattern, case["name"] + " " + " ".join(argv[3:])) for pattern, _ in OWN):
                continue
            left, right = comparable(left, argv), comparable(right, argv)
            if case["name"].startswith("spec") and argv[3] == "-d":  # which of two reasons is told
                left, right = left[:1], right[:1]
            if left != right:
                differences.append("%s: %s\n%s" % (case["name"], argv[0:1] + argv[3:], difference(left, right)))
    assert compared > 1200
    assert not differences, "%d of %d differ\n%s" % (len(differences), compared, "\n".join(differences))


CACHED = {"plain": {"key_format": "%s-k:%%s"}, "domain": {"key_format": "%s-d:%%u@%%d", "domain": "one.example"},
          "backup": {"key_format": "%s-b:%%s", "backup": "btree:source"}, "fixed": {"backup": "inline:{a=b}", "key_format": "%s-f:%%s"},
          "dead": {"memcache": "inet:127.0.0.1:1", "backup": "btree:source", "retry_pause": "1"}, "dead-alone": {"memcache": "inet:127.0.0.1:1", "retry_pause": "1"},
          "missing": {"backup": "btree:nowhere", "key_format": "%s-m:%%s"}}
CACHED_STEPS = [("-d", "a", ""), ("-d", "A", ""), ("-fd", "A", ""), ("-d", "none", ""), ("-d", "x@one.example", ""), ("-d", "x@two.example", ""), ("-d", "two words", ""),
                ("-q", "b", ""), ("-d", "-", "b\nq\nnone\n"), ("-q", "c", ""), ("-s", "c", ""), ("-i", "c", "n new\n"), ("-d", "c", "")]


def cached_case(server, who, name, commands):
    """What becomes of each step with a memcache: table and with what is in the server and in the table behind it."""
    done = []
    with tempfile.TemporaryDirectory(prefix="postern-memcache-", dir="/tmp") as directory:
        os.chmod(directory, 0o755)
        settings = dict({"memcache": "inet:127.0.0.1:%d" % server.port}, **CACHED[name])
        for file, text in {"main.cf": MAIN, "master.cf": "", "source": "a one\nb two\nc three\n", "t.cf": "".join("%s = %s\n" % pair for pair in settings.items())}.items():
            with open(os.path.join(directory, file), "w") as f:
                f.write(text.replace("%s-", who + "-").replace("%%", "%").replace("btree:", "btree:%s/" % directory))

        def postmap(*words, text=""):
            return commands("postmap", "-c", directory, *words, input=text)
        assert postmap("btree:%s/source" % directory).returncode == 0
        keys = [who + key for key in ("-k:a", "-k:b", "-k:q", "-k:c", "-d:x@one.example", "-b:a", "-b:only")]
        for key in keys:
            server.put(key, "cached")
        steps = CACHED_STEPS[::4] if name in ("fixed", "missing", "dead-alone") else CACHED_STEPS  # Postfix rests before it dies
        for option, key, text in steps:
            spec = "memcache:%s/t.cf" % directory
            result = postmap(option, *([key] if option[-1] in "dq" else []), spec, text=text)
            out = re.sub(r"(?m)^postmap: warning: .*\n|\S*postmap: |(table )?memcache:\S*/t.cf: |\S*/(?=t.cf|nowhere)| error: .*refused$", "", result.stdout)
            present = [key[len(who):] for key in keys if server.say("get %s\r\n" % key).startswith("VALUE")]
            done.append((option, key[:20], result.returncode, out.replace("open database ", "open "), present))
        return done, postmap("-s", "btree:%s/source" % directory).stdout


@pytest.mark.parametrize("name", CACHED)
def test_deletion_from_a_cache(name):
    def ours(program, *words, **keywords):
        return subprocess.run([os.path.join(os.path.abspath(postern.BIN), program), *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **keywords)
    server = Memcached()
    try:
        is_now, is_to_be = cached_case(server, "ours", name, ours), cached_case(server, "theirs", name, postfix.command)
    finally:
        server.stop()
    if "backup" not in CACHED[name]:  # what cannot be listed is an error
        is_now, is_to_be = [([step for step in done if step[0] != "-s"], left) for done, left in (is_now, is_to_be)]
    assert is_now == is_to_be
