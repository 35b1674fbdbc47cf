#!/usr/bin/python3
"""Keeps the marks of src/config/parameters*.def true: a parameter marked INERT or MOOT that the code reads, or one not so marked that nothing
reads, is told of. Reading is the field of struct config (cfg->name), or the name in a string, in src/ outside the rows. Exit status 1
when a row is wrong. --fix sets ACTIVE and INERT as the code has it."""
import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SRC = os.path.join(ROOT, "src")
ROW = re.compile(r'^PARAM_(\w+)\((\w+), .*, (ACTIVE|NEEDED|INERT|MOOT|INFO|LEGACY), "(.*)"\)$')
TWIN_NAMES = [("_ehlo_", "_lhlo_"), ("_helo_", "_lhlo_")]
# cfg->name, a word of a string, or the argument of a macro or offsetof that makes a table of fields
READ = re.compile(r"(?:->|\.)\s*(\w+)|offsetof\(struct config, (\w+)\)|\b[A-Z][A-Z_]+\((\w+)[,)]|\b[A-Z][A-Z_]+\([^()]*, (\w+)\)")
STRING = re.compile(r'"((?:[^"\\\n]|\\.)*)"')


def rows():
    for name in sorted(os.listdir(os.path.join(SRC, "config"))):
        if not name.startswith("parameters_") or not name.endswith(".def"):
            continue
        with open(os.path.join(SRC, "config", name)) as f:
            for number, line in enumerate(f, 1):
                if not line.startswith("PARAM_"):
                    continue
                match = ROW.match(line.rstrip("\n"))
                where = "src/config/%s:%d" % (name, number)
                yield where, line, match


def words_of_sources():
    """Fields and words of strings; postconf shows every parameter and reads none."""
    words = set()
    for folder, _, names in os.walk(SRC):
        for name in names:
            if not name.endswith((".c", ".h")) or name == "rows.c" or name.startswith("postconf"):
                continue
            with open(os.path.join(folder, name), errors="replace") as f:
                text = re.sub(r"/\*.*?\*/", " ", f.read(), flags=re.S)
            for string in STRING.findall(text):
                words.update(re.findall(r"\w+", string))
            for match in READ.findall(text):
                words.update(w for w in match if w)
    return words


def references():
    """Names that the defaults of other rows expand, and the settings that stand behind per-transport ones."""
    names = set()
    for _, line, _ in rows():
        default = line.split('"')[1] if '"' in line else ""
        names.update(re.findall(r"\$[{(]?\{?\$?([A-Za-z0-9_]+)", default))
    with open(os.path.join(SRC, "config", "rows.c")) as f:
        pairs = re.findall(r'\{"(_\w+)",\s*"(\w+)"\}', f.read())
    return names, {fallback: suffix for suffix, fallback in pairs}


def twin(name):
    if not name.startswith("smtp_"):
        return None
    result = "lmtp_" + name[5:]
    for smtp, lmtp in TWIN_NAMES:
        result = result.replace(smtp, lmtp)
    return result


def is_read(name, words, expanded, suffixes):
    if name in words or twin(name) in words:
        return True
    return suffixes.get(name) in words or any(
        name.endswith(s) and s in words and "_" not in name[:-len(s)] for s in suffixes.values())


def fix(where, old, new):
    """One word of one row."""
    name, number = where.split(":")
    path = os.path.join(ROOT, name)
    with open(path) as f:
        lines = f.readlines()
    lines[int(number) - 1] = lines[int(number) - 1].replace(", %s, \"" % old, ", %s, \"" % new)
    with open(path + ".new", "w") as f:
        f.writelines(lines)
    os.replace(path + ".new", path)


def main():
    words = words_of_sources()
    expanded, suffixes = references()
    problems = 0
    for where, line, match in list(rows()):
        if not match:
            print("%s: not a row: %s" % (where, line.strip()[:60]))
            problems += 1
            continue
        name, mark, text = match.group(2), match.group(3), match.group(4)
        read = is_read(name, words, expanded, suffixes)
        if mark in ("INERT", "MOOT") and read:
            print("%s: %s is marked %s, but the code reads it" % (where, name, mark))
            problems += 1
            if mark == "INERT" and "--fix" in sys.argv:
                fix(where, "INERT", "ACTIVE")
        if mark in ("ACTIVE", "NEEDED") and not read and name not in expanded:
            print("%s: %s is not marked INERT, but nothing reads it" % (where, name))
            problems += 1
            if mark == "ACTIVE" and "--fix" in sys.argv:
                fix(where, "ACTIVE", "INERT")
        if not text:
            print("%s: %s has no text" % (where, name))
            problems += 1
    return 1 if problems else 0


sys.exit(main())
