"""A before-queue filter (smtpd_proxy_filter) beside Debian's Postfix: what the filter is told, what it gets, what the client hears, and the log."""
import os
import re
import sys
import threading

import pytest

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), p) for p in ("../system", "../peers")]
import postern  # noqa: E402
import postfix  # noqa: E402
from postern import Sink, exercises  # noqa: E402

pytestmark = pytest.mark.skipif(not postern.ROOT_USER, reason="the neighbour needs root")

KEYWORDS = ("PIPELINING", "SIZE", "8BITMIME", "DSN", "XFORWARD NAME ADDR PROTO HELO SOURCE PORT IDENT", "SMTPUTF8")
ANSWERS = {"bad": "550 5.1.1 no such user", "temp": "451 4.2.0 try later", "multi": "550-5.7.1 line one\r\n550 5.7.1 line two", "lost": None}
HELLO, FROM, TO, MESSAGE = "EHLO c.example", "MAIL FROM:<s@x.example>", "RCPT TO:<u@test.example>", "Subject: x\r\n\r\n..dot\r\nbody\r\n.\r\n"


class Filter(Sink):
    def __init__(self):
        self.dialogue, self.dots = {}, []  # what each connection said, by its thread: the farewell of one may come after the hello of the next
        super().__init__(keywords=KEYWORDS, rules={
            "EHLO": lambda line: self.note(line), "XFOR": lambda line: self.note(re.sub(r"PORT=\d+", "PORT=N", line)), "MAIL": lambda line: self.note(line),
            "RCPT": self.recipient, "DOT": lambda _: self.dots.pop(0) if self.dots else "250 2.0.0 Ok: queued as ABC", "QUIT": lambda line: self.note(line)})

    def note(self, line):
        self.dialogue.setdefault(threading.current_thread(), []).append(line)

    def recipient(self, line):
        self.note(line)
        word = re.search("<(.*?)@", line).group(1)
        return ANSWERS.get(word, "250 2.1.5 filter ok")


class FilterSession(postern.SinkSession):
    """Rules that answer None mean: as usual; "lost" ends the connection."""

    def ask(self, key, argument, default):
        if key == "RCPT" and "<lost@" in argument:
            raise ConnectionError(key)
        rule = self.sink.rules.get(key)
        answer = rule(argument) if rule else None
        return default if answer is None else answer


class Side:
    def __init__(self, module, directory):
        self.filter = Filter()
        proxy = {"smtpd_proxy_filter": "127.0.0.1:%d" % self.filter.port}
        dead = {"smtpd_proxy_filter": "127.0.0.1:1"}
        table = "check_client_access static:"
        self.instance = module.Instance(directory, {
            "smtpd_relay_restrictions": "permit_mynetworks, reject", "default_transport": "discard:", "local_transport": "discard:",
            "notify_classes": "", "message_size_limit": "10000", "smtpd_authorized_xclient_hosts": "127.0.0.0/8", "mail_name": "Postfix",
            "smtpd_authorized_xforward_hosts": "127.0.0.0/8", "smtpd_banner": "$myhostname ESMTP", "smtpd_client_connection_rate_limit": "0"}, {
            "plain": proxy, "fast": dict(proxy, smtpd_proxy_options="speed_adjust"), "dead": dead, "dead-fast": dict(dead, smtpd_proxy_options="speed_adjust"),
            "prepend": dict(proxy, smtpd_recipient_restrictions=table + "{PREPEND X-B: c}", smtpd_end_of_data_restrictions=table + "{PREPEND X-A: b}"),
            **{a.lower(): dict(proxy, smtpd_recipient_restrictions=table + "{%s}" % a) for a in ("HOLD", "DISCARD", "FILTER x:y", "REDIRECT a@b.example")},
            "named": dict(proxy, smtpd_proxy_ehlo="other.name.example", mynetworks="192.0.2.0/24", smtpd_relay_restrictions="reject_unauth_destination"),
        }).start()

    def close(self):
        self.instance.stop(check=False)
        self.filter.close()

    def talk(self, listener, lines, dots=()):
        self.filter.dots, mark, before = list(dots), self.instance.log_size(), len(self.filter.mails)
        self.filter.dialogue.clear()
        replies = []
        with self.instance.client(listener) as client:
            for line in lines:
                client.raw(line if line.endswith("\n") else line + "\r\n")
                replies.append(client.reply())
                if not replies[-1]:
                    break
        self.instance.wait_log(r"disconnect from", since=mark)
        postern.wait_for(lambda: self.filter.open == 0, what="the end of the filter's connections")
        mails = [re.sub(rb"; \w+, .*\(UTC\)", b"; DATE", m["data"]) for m in self.filter.mails[before:]]
        return replies, list(self.filter.dialogue.values()), mails, self.log(mark)

    def log(self, mark):
        lines = [re.sub(r"127\.0\.0\.1:\d{2,}", "FILTER", line.split("]: ", 1)[1]) for line in self.instance.log(mark).splitlines() if "/smtpd[" in line]
        return [line.replace("??", "") for line in lines if not re.match(r"(connect|disconnect|lost connection after) |warning: (connect to|non-SMTP)", line)]


@pytest.fixture(scope="module")
def sides(tmp_path_factory):
    usual, postern.SinkSession = postern.SinkSession, FilterSession
    with postfix.beside(Side, tmp_path_factory) as pair:
        yield pair
        postern.SinkSession = usual


DIALOGUES = {
    "recipients": ([HELLO, FROM + " SIZE=100 BODY=8BITMIME", TO + " NOTIFY=NEVER", "RCPT TO:<bad@test.example>", "RCPT TO:<multi@test.example>", "DATA",
                    MESSAGE, "QUIT"], ()),
    "twice": ([HELLO, "MAIL FROM:<>", TO, "RSET", FROM, TO, "DATA", MESSAGE, "MAIL FROM:s@x.example", "RCPT TO:<\"a b\"@test.example>", "QUIT"], ()),
    "refused": ([HELLO, FROM, TO, "DATA", MESSAGE, FROM, TO, "QUIT"], ["550 5.7.1 spam"]),
    "several lines": ([HELLO, FROM, TO, "DATA", MESSAGE, "QUIT"], ["550-5.7.1 spam\r\n550 5.7.1 two"]),
    "closing": ([HELLO, FROM, TO, "DATA", MESSAGE, "NOOP", "QUIT"], ["421 4.3.0 bye"]),
    "chunks": ([HELLO, FROM, TO, "BDAT 14\r\nSubject: x\r\n\r\n", "BDAT 5 LAST\r\n.x\r\n\n", "QUIT"], ()),
    "hello": (["HELO c.example", FROM, TO, "DATA", MESSAGE, "QUIT"], ()),
    "xforward": (["EHLO c.example", "XFORWARD NAME=far.example ADDR=192.0.2.7 PORT=99 HELO=a+2Bb PROTO=SMTP IDENT=ABC SOURCE=REMOTE", FROM, TO, "DATA", MESSAGE,
                  "QUIT"], ()),
}


@exercises("smtpd_proxy_filter", "smtpd_proxy_options")
@pytest.mark.parametrize("listener", ["plain", "fast"])
@pytest.mark.parametrize("name", DIALOGUES)
def test_dialogues(sides, name, listener):
    ours, theirs = [side.talk(listener, *DIALOGUES[name]) for side in sides]
    assert ours == theirs


@exercises("smtpd_proxy_ehlo")
def test_strangers(sides):
    lines = ["XCLIENT NAME=h.example ADDR=192.0.2.9 PORT=4000", HELLO, FROM, TO, "DATA", MESSAGE, "QUIT"]
    ours, theirs = [side.talk("named", lines) for side in sides]
    for side in (ours, theirs):  # permit_inet_interfaces, docs/differences.md
        side[1][0][1] = re.sub("SOURCE=.*", "SOURCE", side[1][0][1])
    assert ours == theirs and "EHLO other.name.example" in ours[1][0]


@pytest.mark.parametrize("listener", ["plain", "fast", "dead", "dead-fast"])
def test_trouble(sides, listener):
    lost = listener in ("plain", "fast")
    lines = [HELLO, FROM, "RCPT TO:<lost@test.example>" if lost else TO] + (["DATA", MESSAGE] if "fast" in listener else []) + ["QUIT"]
    ours, theirs = [side.talk(listener, lines) for side in sides]
    assert ours[:3] == theirs[:3]


@pytest.mark.parametrize("listener", ["plain", "fast"])
def test_too_big(sides, listener):
    ours, theirs = [side.talk(listener, [HELLO, FROM, TO, "DATA", "Subject: x\r\n\r\n" + ("y" * 70 + "\r\n") * 200 + ".\r\n", "NOOP", "QUIT"]) for side in sides]
    assert ours[0] == theirs[0] and ours[2] == theirs[2] == []


@pytest.mark.parametrize("action", ["prepend", "hold", "discard", "filter x:y", "redirect a@b.example"])
def test_actions(sides, action):
    ours, theirs = [side.talk(action, [HELLO, FROM, TO, "DATA", MESSAGE, "QUIT"]) for side in sides]
    assert ours == theirs
