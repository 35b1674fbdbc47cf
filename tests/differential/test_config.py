"""postconf of Debian's Postfix and ours on the same main.cf and master.cf: what is shown, expanded, warned of, and how files are edited."""
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
from test_moving_in import DEBIAN_MAIN  # noqa: E402

pytestmark = pytest.mark.skipif(not postern.ROOT_USER, reason="the neighbour needs root")

# Defaults that are ours on purpose: paths, names, and tables that Debian compiles differently.
OWN_DEFAULTS = set("""address_verify_map alias_database alias_maps command_directory config_directory daemon_directory data_directory
    default_database_type html_directory milter_macro_v mail_name mail_owner mail_release_date mail_version meta_directory postscreen_cache_map process_id
    queue_directory readme_directory sample_directory shlib_directory
    smtp_tls_dane_insecure_mx_policy smtpd_forbid_bare_newline syslog_name manpage_directory""".split())

NAMES = ["relayhost", "myorigin", "mydestination", "smtpd_banner", "relay_domains", "smtpd_client_restrictions", "smtpd_helo_restrictions",
         "smtp_helo_name", "lmtp_lhlo_name", "virtual_alias_maps", "canonical_maps", "smtpd_recipient_restrictions", "mynetworks", "default_rbl_reply",
         "smtpd_timeout", "smtp_tls_policy_maps", "forward_path", "compatibility_level", "myhostname", "mydomain", "header_checks", "fallback_relay"]
OWN = ["foo", "bar", "baz", "site_list", "table", "own_class"]
WORDS = ["a", "example.com", "permit", "reject", "[10.0.0.1]:25", "check_client_access", "hash:/etc/x", "10", "9", "yes", "no", "{a b}", "x=y"]
MASTER = """\
smtp       inet  n       -       y       -       -       smtpd
pickup     unix  n       -       y       60      1       pickup
smtp       unix  -       -       y       -       -       smtp
relay      unix  -       -       y       -       -       smtp
        -o syslog_name=postfix/$service_name
local      unix  -       n       n       -       -       local
maildrop   unix  -       n       n       -       -       pipe
  flags=DRXhu user=vmail argv=/usr/bin/maildrop -d ${recipient}
"""


def value(rng, depth=0):
    kinds = ["word", "words", "ref", "ref", "cond", "cond2", "compare", "level", "table", "fold"]
    kind = rng.choice(kinds if depth < 3 else ["word", "ref"])
    name = rng.choice(NAMES[:14] + OWN + ["nosuch", "stress", "process_name", "virtual_maps"])
    more = lambda: value(rng, depth + 1).replace("\n", " ")  # noqa: E731
    if kind == "word":
        return rng.choice(WORDS)
    if kind == "words":
        return rng.choice([", ", " ", "   ", "\t"]).join(rng.choice(WORDS) for _ in range(rng.randint(1, 14)))
    if kind == "ref":
        return rng.choice(["$%s", "${%s}", "$(%s)"]) % name
    if kind == "cond":
        return "${%s%s%s}" % (name, rng.choice("?:"), rng.choice(["plain", "{%s}" % more()]))
    if kind == "cond2":
        return "${%s?{%s}:{%s}}" % (name, more(), more())
    if kind == "compare":
        return "${{%s} %s {%s} ? {%s} : {%s}}" % (more(), rng.choice(["==", "!=", "<", "<=", ">", ">="]), more(), more(), more())
    if kind == "level":
        return "${{%s} %slevel {%s} ? {%s} : {%s}}" % (rng.choice(["$compatibility_level", "3.6", "2"]), rng.choice(["<", ">=", "=="]),
                                                      rng.choice(["3.6", "3.10", "1"]), more(), more())
    if kind == "table":
        return rng.choice(["ldap:%s", "proxy:mysql:%s", "pgsql:%s", "{ sqlite:%s }", "memcache:%s", "pipemap:{ldap:%s}"]) % rng.choice(OWN)
    return "a\n  %s\n# comment\n\n  %s" % (rng.choice(WORDS), rng.choice(WORDS))


def main_cf(rng):
    """Names refer only to names that come later in a fixed order, so that no value refers to itself."""
    lines = []
    for name in rng.sample(NAMES, rng.randint(1, 6)) + rng.sample(OWN, rng.randint(0, 3)):
        text = rng.choice(["3.6", "2", "0"]) if name == "compatibility_level" else rng.choice(["10s", "5m"]) if name == "smtpd_timeout" else value(rng)
        if name in OWN or name in ("myhostname", "mydomain", "mynetworks"):
            text = re.sub(r"\$", "", text)
        lines.append("%s%s%s" % (name, rng.choice([" = ", "=", " =  "]), text))
    for name in rng.sample(OWN, 2):
        lines.append("%s_%s = x" % (name, rng.choice(["server_host", "query", "hosts", "dbname", "dbpath", "memcache", "domain", "nosuch", "user"])))
    if rng.random() < 0.4:
        lines.append("smtpd_restriction_classes = " + ", ".join(rng.sample(OWN, 2)))
    if rng.random() < 0.4:
        lines.append(rng.choice(["maildrop_time_limit = 3600s", "relay_destination_recipient_limit = 1", "foo_transport_rate_delay = 1s"]))
    return "\n".join(lines) + "\n"


def option(rng, service):
    name = rng.choice(NAMES[:12] + OWN + ["process_name", "syslog_name", service + "_recipient_limit", service + "_time_limit"])
    text = rng.choice(["x", "$mydomain", "$" + rng.choice(OWN), "$process_name", "ldap:foo", "a,b", "", "$service_name.x", "{}",
                       "$%s_time_limit" % service])
    forms = ["-o %s=%s" % (name, text), "-vo %s=%s" % (name, text), "-o { %s = %s y z }" % (name, text), "-o {%s=%s}" % (name, text), "-v", "-D",
             "-o\n  %s=%s" % (name, text)]
    if "o" not in name + text:  # Postfix 3.7 takes names with an o apart
        forms.append("-o%s=%s" % (name, text))
    return rng.choice(forms)


def master_cf(rng):
    lines = [MASTER] if rng.random() < 0.7 else []
    for i in range(rng.randint(0, 4)):
        name = rng.choice(["smtp", "relay", "foo", "bar-x", "a.b", "127.0.0.1:25"]) + str(i)
        fields = [name, rng.choice(["inet", "unix", "unix", "fifo", "pass", "unix-dgram"])] + [rng.choice("-yn") for _ in range(3)]
        fields += [rng.choice(["-", "60", "1000?", "0"]), rng.choice(["-", "0", "1", "20"])]
        fields.append(rng.choice(["smtpd", "smtp", "lmtp", "pipe", "spawn", "local", "virtual", "other", "qmgr", "error", "cleanup", "discard"]))
        words = [" ".join(fields)] + [option(rng, name) for _ in range(rng.randint(0, 4))]
        if fields[-1] == "pipe":
            words.append("flags=R user=x argv=/bin/sh -c $nexthop ($recipient)")
        lines.append(rng.choice([" ", "\n  ", "\t"]).join(words) + rng.choice(["\n", "\n# comment\n", "\n\n"]))
    return "".join(lines)


SHOWING = [["-n"], ["-nx"], ["-nf"], ["-M"], ["-Mf"], ["-Mx"], ["-F"], ["-P"], ["-Px"], ["-C", "user"], ["-C", "service"], ["-nh"], ["-nH"],
           ["-n", "-o", "relayhost=override", "-o", "foo=1"], ["relayhost", "nosuch", "foo", "maildrop_time_limit"],
           ["-Ff"], ["-Pf"], ["-PH"], ["-M", "foo0"], ["-M", "*/unix"], ["-F", "*/*/chroot"], ["-P", "*/*/foo"], ["-C", "builtin,user", "-n"],
           ["-x", "-o", "stress=yes", "smtpd_timeout", "relayhost"], ["-d", "relayhost", "foo", "foo0_time_limit"],
           ["-hx", "relayhost", "mynetworks"], ["-f", "mydestination", "smtpd_banner"], ["-dC", "service"], ["-Ph"], ["-Fx"], ["-nfx"]]
EDITING = [["-e", "relayhost=new value", "own=1"], ["-X", "relayhost", "foo"], ["-#", "myorigin", "foo"], ["-M", "new/unix=new unix - n n - - smtp -o a=b"],
           ["-Me", "local/unix=local unix - n n - 3 local -v"], ["-MX", "relay/unix"], ["-M#", "smtp/inet"], ["-F", "smtp/*/chroot=n", "local/unix/command=local -v"],
           ["-P", "relay/unix/syslog_name=z", "smtp/inet/x=1"], ["-PX", "relay/unix/syslog_name"],
           ["-Fe", "*/*/process_limit=9"], ["-F", "foo0/*/wakeup=3"], ["-P", "*/*/foo=bar"], ["-PX", "*/*/foo"], ["-MX", "*/unix"], ["-M#", "*/inet"],
           ["-F", "*/unix/command=new -o a=b c"], ["-e", "foo =  x y ", "myorigin=$bar"], ["-#", "foo", "bar", "relayhost"], ["-X", "nosuch"],
           ["-M", "foo0/unix=foo0 unix - n n 9? 3 smtp -vo a=b -o{ c = d e }"]]

# Options that exclude each other, names that are none, and where options end.
OPTIONS = [["-d", "-o", "foo=1"], ["-e", "-x", "foo=2"], ["-f", "foo=2"], ["-h", "foo=2"], ["-H", "-X", "foo"], ["-o", "a=b", "foo=2"], ["-x", "-#", "foo"],
           ["-F", "-f", "local/unix/chroot=n"], ["-P", "-x", "relay/unix/foo=2"], ["-M", "-o", "a=b", "-X", "relay/unix"], ["=x"], ["-e", " #foo=x"],
           ["-X", ""], ["-#", " "], ["-X", "foo=1"], ["-PX", "relay/unix/*"], ["-P", "relay/unix/*=x"], ["-F", "relay/unix/*=y"], ["-b", "/nonexistent"],
           ["-t", "/nonexistent"], ["foo", "-n"], ["-o", "process_name=x", "process_name"], ["-o", "service_name=x", "-x", "service_name"],
           ["-M"], ["-Mf"], ["-P"], ["-n"], ["-P", "end/unix/new=1"], ["-P", "late/unix/new=1"]]
OPTIONS_MAIN = "foo=1\nfoo=1\nbar = $foo\nfoo = 2\n\n#c\n  3\nrelayhost=\nrelayhost = a\n b\n"
OPTIONS_MASTER = MASTER + "end unix - - n - - smtp -v -- -o foo=3\nlate unix - - n - - pipe argv={a b} c\n"


class Case:
    def __init__(self, directory, name, main, master, commands):
        self.path = os.path.join(directory, name)
        self.main, self.master, self.commands = main, master, commands

    def write(self):
        os.makedirs(self.path, exist_ok=True)
        for name, text in (("main.cf", self.main), ("master.cf", self.master)):
            with open(os.path.join(self.path, name), "w") as f:
                f.write(text)
            os.utime(os.path.join(self.path, name), (1e9, 1e9))


def cases(directory):
    rng = random.Random(20261120)
    made = [Case(directory, "empty", "", "", SHOWING), Case(directory, "debian", DEBIAN_MAIN, MASTER, SHOWING)]
    made += [Case(directory, "show%d" % i, main_cf(rng), master_cf(rng), rng.sample(SHOWING, 5)) for i in range(120)]
    made += [Case(directory, "edit%d" % i, DEBIAN_MAIN if i % 2 else main_cf(rng), master_cf(rng), [EDITING[i % len(EDITING)]]) for i in range(2 * len(EDITING))]
    made += [Case(directory, "options%d" % i, OPTIONS_MAIN, OPTIONS_MASTER, [argv]) for i, argv in enumerate(OPTIONS)]
    return made


def quoted(word):
    return "'" + word.replace("'", "'\\''") + "'"


def script(all_cases, postconf, suffix):
    """One shell script for all, because entering the neighbour's tree costs more than a command in it."""
    lines = ["export LC_ALL=C"]
    for case in all_cases:
        lines.append("cd " + quoted(case.path))
        for i, argv in enumerate(case.commands):
            words = " ".join(quoted(w) for w in [postconf, "-c", "."] + argv)
            lines.append("%s >out.%d.%s 2>&1 </dev/null; echo \"status $?\" >>out.%d.%s" % (words, i, suffix, i, suffix))
        lines.append("cat main.cf master.cf >files." + suffix)
    return "\n".join(lines) + "\n"


def read(path):
    with open(path, errors="replace") as f:
        return f.read()


def comparable(text):
    """Postfix reads files several times and says the same again; its order of names is that of a hash table. What follows a fatal error is not
    compared, nor its words: only that there was one; values that refer to themselves can make Postfix crash."""
    text = re.sub(r"(?m)^\S*postconf: ", "postconf: ", text)
    text = text.replace("Postern", "Postfix").replace("/lib/postern", "/lib/postfix")
    if ": fatal: " in text or "Segmentation fault" in text:
        return ["fatal"]
    return sorted(set(line for line in text.split("\n") if line.strip() and "syntax error after '}'" not in line))


@pytest.fixture(scope="module")
def outputs():
    with tempfile.TemporaryDirectory(prefix="postern-config-", dir="/tmp") as directory:
        all_cases = cases(directory)
        path = os.path.join(directory, "run.sh")
        for suffix, command, postconf in (("theirs", postfix.command, "/usr/sbin/postconf"), ("ours", None, os.path.join(os.path.abspath(postern.BIN), "postconf"))):
            for case in all_cases:
                case.write()
            with open(path, "w") as f:
                f.write(script(all_cases, postconf, suffix))
            if command:
                command("sh", path)
            else:
                subprocess.run(["sh", path], check=True)
        yield all_cases


def test_shown_and_edited(outputs):
    differences = []
    for case in outputs:
        for i, argv in enumerate(case.commands):
            theirs, ours = (comparable(read(os.path.join(case.path, "out.%d.%s" % (i, who)))) for who in ("theirs", "ours"))
            if theirs != ours:
                differences.append("%s %s\n  only theirs %s\n  only ours %s" % (os.path.basename(case.path), argv, sorted(set(theirs) - set(ours)),
                                                                             sorted(set(ours) - set(theirs))))
        theirs, ours = (comparable(read(os.path.join(case.path, "files." + who))) for who in ("theirs", "ours"))
        if theirs != ours:
            differences.append("%s: files\n  only theirs %s\n  only ours %s" % (os.path.basename(case.path), sorted(set(theirs) - set(ours)),
                                                                             sorted(set(ours) - set(theirs))))
    assert not differences, "%d differences\n%s" % (len(differences), "\n".join(differences[:20]))


def listing(text):
    return dict(re.match(r"(\S+) =\s?(.*)$", line).groups() for line in text.split("\n") if re.match(r"\S+ =", line))


@pytest.mark.parametrize("options", [["-d"], ["-dx"], []])
def test_defaults(options, tmp_path):
    """Every parameter of the neighbour exists here, with the same default but for those that are ours on purpose."""
    with tempfile.TemporaryDirectory(prefix="postern-config-", dir="/tmp") as directory:
        case = Case(directory, "d", "" if options else DEBIAN_MAIN, MASTER, [options])
        case.write()
        theirs = listing(postfix.command("/usr/sbin/postconf", "-c", case.path, *options).stdout)
        done = subprocess.run([os.path.join(postern.BIN, "postconf"), "-c", case.path] + options, text=True, stdout=subprocess.PIPE, check=True)
    ours = listing(done.stdout)
    assert len(theirs) > 700
    assert sorted(set(theirs) - set(ours)) == []
    different = {n: (theirs[n], ours[n]) for n in theirs if theirs[n] != ours[n] and n not in OWN_DEFAULTS}
    if options == ["-dx"]:
        different = {n: d for n, d in different.items() if not re.search("postfix|Postfix|btree|hash:", d[0])}
    assert different == {}
