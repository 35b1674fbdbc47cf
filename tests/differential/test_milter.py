"""The same milter at Debian's Postfix and at ours: what it is told, what clients are told, what goes on to the next server."""
import os
import re
import sys

import pytest

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), p) for p in ("../system", "../peers")]
import milter as M  # noqa: E402
import postern  # noqa: E402
import postfix  # noqa: E402
from postern import exercises, wait_for  # noqa: E402

pytestmark = pytest.mark.skipif(not postern.ROOT_USER, reason="the neighbour needs root")

# Which macros have a value at which event; some have one at more events of ours.
ALWAYS = "i j _ v {client_addr} {client_name} {client_ptr} {daemon_addr} {daemon_name} {auth_authen} {auth_type} {tls_version} {cipher} {x} "
MACROS = {"connect": "{client_connections}", "helo": "", "mail": "{mail_addr} {mail_host} {mail_mailer} {auth_author}",
          "rcpt": "{rcpt_addr} {rcpt_host} {rcpt_mailer}", "data": "", "end_of_header": "", "end_of_data": "", "unknown_command": ""}
HELLO, FROM, TO = "EHLO client.example", "MAIL FROM:<s@client.example> SIZE=100 BODY=8BITMIME", "RCPT TO:<u@test.example> NOTIFY=NEVER"
CONTENT = "Received: from x\r\n\tby y\r\nX-B: 1\r\nX-B: 2\r\nSubject: subj\r\n\r\nbody\r\n.\r\n"
MESSAGE = [HELLO, FROM, TO, "DATA", CONTENT, "QUIT"]


def at(letter, *answers):
    return lambda dialogue, command, data: list(answers) if command == letter else None


def edits(*changes):
    return at("E", *changes, M.CONTINUE)


ANSWERS = {"reject": M.REJECT, "tempfail": M.TEMPFAIL, "accept": M.ACCEPT, "discard": M.DISCARD, "reply": M.reply_code("550 5.7.9 nope"),
           "lines": M.reply_code("550-5.7.9 one\r\n550 5.7.9 two"), "421": M.reply_code("421 4.7.9 bye"), "plain": M.reply_code("452 full up"),
           "percent": M.reply_code("550 5.7.1 100%% of %s"), "malformed": M.reply_code("550"), "progress": [M.PROGRESS, M.CONTINUE]}

# name: (what the milter answers, lines); the listener is the part of the name before a slash, if there is one
CASES = {"plain": (None, MESSAGE)}
for _letter in "CHMRTLNBE":
    for _name, _answer in ANSWERS.items():
        CASES["%s at %s" % (_name, _letter)] = (at(_letter, *(_answer if isinstance(_answer, list) else [_answer])), MESSAGE)
for _letter in "CH":
    del CASES["malformed at " + _letter]  # ours gives such a filter a new chance at MAIL
for _letter in "MRTLNBE":
    CASES["hang up at " + _letter] = (at(_letter, M.HANG_UP), MESSAGE)
for _letter in "CHMRT":
    CASES["shutdown at " + _letter] = (at(_letter, M.SHUTDOWN_CLIENT), MESSAGE)
for _listener in ("v2", "v3", "v4", "macros", "off", "checked"):
    CASES[_listener + "/plain"] = (None, MESSAGE)
EDITS = {
    "insert": [M.insert_header(1, "X-1", "a"), M.insert_header(3, "X-3", "b")], "insert top": [M.insert_header(0, "X-0", "a"), M.insert_header(1, "X-1", "b")],
    "insert end": [M.insert_header(99, "X-99", "a")], "add": [M.add_header("X-A", "1"), M.add_header("X-E", ""), M.add_header("X-M", "1\ntwo\n three")],
    "change": [M.change_header(1, "X-B", "one"), M.change_header(2, "X-B", "two"), M.change_header(1, "X-B", "")],
    "change zero": [M.change_header(0, "X-B", "zero")], "change beyond": [M.change_header(5, "X-B", "five")], "change new": [M.change_header(1, "X-N", "n")],
    "change received": [M.change_header(1, "Received", "r")], "delete none": [M.change_header(1, "X-N", "")], "case": [M.change_header(1, "x-b", "low")],
    "body": [M.body(b"new\nline\r\nend")], "body in parts": [M.body(b"one\r\nt"), M.body(b"wo\r\n")], "no body": [M.body(b"")],
    "recipients": [M.add_recipient("<w@other.example>"), M.delete_recipient("<u@test.example>")], "same": [M.delete_recipient("<U@test.example>")],
    "add and delete": [M.add_recipient("<w@other.example>"), M.delete_recipient("<w@other.example>")],
    "recipient options": [M.add_recipient("<w@other.example>", "NOTIFY=SUCCESS ORCPT=rfc822;x@y")],
    "bad options": [M.add_recipient("<w@other.example>", "NOTIFY=NEVER,SUCCESS FOO=bar")],
    "sender": [M.change_sender("<n@client.example>")], "sender options": [M.change_sender("<n@client.example>", "RET=HDRS ENVID=e+2Bx FOO")],
    "null sender": [M.change_sender("<>")], "all recipients": [M.delete_recipient("u@test.example")], "quarantine": [M.quarantine("why")],
}
for _name, _changes in EDITS.items():
    CASES[_name] = (edits(*_changes), MESSAGE)
CASES.update({
    "several": (None, [HELLO, FROM, TO, "DATA", CONTENT, FROM, TO, "RSET", HELLO, FROM, TO, HELLO, FROM, TO, "DATA", CONTENT, "NOOP", "VRFY x", "QUIT"]),
    "chunks": (None, [HELLO, FROM, TO, "BDAT 12\r\nSubject: y\r\n", "BDAT 2 LAST\r\n\r\n", "QUIT"]),
    "no name": (None, [FROM.split(" SIZE")[0], TO, "QUIT"]), "old greeting": (None, ["HELO client.example", "MAIL FROM:<s@client.example>", TO, "QUIT"]),
    "addresses": (None, [HELLO, "MAIL FROM:s@client.example", 'RCPT TO: <@a,@b:"a b"@test.example>', "RCPT TO:u@test.example", "RCPT TO:<postmaster>", "QUIT"]),
    "header forms": (None, [HELLO, FROM, TO, "DATA", "X-A:  two\r\nX-B:\r\nX-C:none\r\nX-D : blank\r\nX-E:\ttab\r\n fold\r\n\tfold\r\nFrom: x\r\n\r\n\r\n.\r\n", "QUIT"]),
    "only header": (None, [HELLO, FROM, TO, "DATA", "Subject: x\r\n.\r\n", "QUIT"]), "null": (None, [HELLO, "MAIL FROM:<>", TO, "DATA", CONTENT, "QUIT"]),
    "checked/refused": (None, [HELLO, FROM, "RCPT TO:<bad@test.example>", TO, "DATA", CONTENT, "QUIT"]),
    "checked/headers": (edits(*[M.add_header(n, "x") for n in ("X-Rep", "X-Ign", "X-Red")]), MESSAGE),
    "checked/rejected": (edits(M.add_header("X-Rej", "x")), MESSAGE),
})
CHECKS = "/^X-Rep/ REPLACE X-New: 1\n/^X-Ign/ IGNORE\n/^X-Red/ REDIRECT e@other.example\n/^X-Rej/ REJECT no\n"
MACRO_LISTS = ["milter_%s_macros" % s for s in MACROS]


class Side:
    """One mail system with its milter and the server that its mail goes to."""

    def __init__(self, module, directory):
        self.answer, self.sink = None, postern.Sink()
        self.milter = M.Milter(lambda *event: self.answer(*event) if self.answer else None)
        route = "smtp:[127.0.0.1]:%d" % self.sink.port
        main = {"mydestination": "test.example", "local_recipient_maps": "", "local_transport": route, "default_transport": route, "mail_name": "Postfix",
                "smtpd_milters": self.milter.endpoint, "milter_macro_v": "$mail_name V", "notify_classes": "", "smtpd_banner": "$myhostname ESMTP",
                "smtp_connection_cache_on_demand": "no", "milter_macro_defaults": "{x}=default"}
        services = {"usual": {}, "v2": {"milter_protocol": "2"}, "v3": {"milter_protocol": "3"}, "v4": {"milter_protocol": "4"},
                    "macros": {"milter_%s_macros" % s: ALWAYS + more for s, more in MACROS.items()}, "off": {"receive_override_options": "no_milters"},
                    "checked": {"cleanup_service_name": "checked",
                                "smtpd_recipient_restrictions": "check_recipient_access inline:{bad@test.example=REJECT}, permit"}}
        cleanup = "checked unix n - n - 0 cleanup\n  -o milter_header_checks=regexp:$config_directory/checks\n"
        self.instance = module.Instance(directory, main, services, cleanup)
        with open(os.path.join(self.instance.config, "checks"), "w") as f:
            f.write(CHECKS)
        self.instance.start()

    def close(self):
        self.instance.stop(check=False)
        self.milter.close()
        self.sink.close()

    def run(self, listener, answer, lines):
        self.answer = answer
        first, mails = len(self.milter.dialogues), len(self.sink.mails)
        replies = []
        with self.instance.client(listener) as client:
            replies.append(client.greeting)
            for line in lines:
                client.raw(line if line.endswith("\r\n") or "BDAT" in line else line + "\r\n")
                replies.append(client.reply())
                if not replies[-1]:
                    break
        sessions = list(self.milter.dialogues)[first:]
        wait_for(lambda: all(d.closed for d in sessions), 20, "the end of the session")
        return replies, sessions, mails


@pytest.fixture(scope="module")
def sides(tmp_path_factory):
    with postfix.beside(Side, tmp_path_factory) as pair:
        yield pair


def normal_reply(text):
    return re.sub(r"queued as \w+", "queued as ID", text or "")


def normal_text(data):
    text = data.decode("latin-1")
    text = re.sub(r"Received: from client\.example.*?\r\n(?![ \t])", "Received: own\r\n", text, flags=re.S)
    text = re.sub(r"<\d{14}\.\w+@", "<ID@", text)
    return re.sub(r"Date: \w+, .*", "Date: D", text)


def normal_event(command, data):
    if command == "C":
        data = re.sub(rb"\x004..", b"\x004PP", data, count=1, flags=re.S)
    return "%s %r" % (command, normal_text(data.rstrip(b"\0").replace(b"\0", b": ")))


def normal_dialogue(dialogue):
    """Lines. Postfix says twice that a transaction is over, and does not say goodbye to filters whose answer it will not need any more."""
    lines = ["offer %r" % (dialogue.offer,)] + [normal_event(c, d) for c, d in dialogue.events if c not in "AQ"]
    for command, values in sorted(dialogue.macros.items()):
        lines += ["macro %s %s=%s" % (command, n, "ID" if n == "i" else re.sub(r":\d+$", ":PORT", v)) for n, v in sorted(values.items())]
    return "\n".join(lines)


def results(side, name):
    listener = name.split("/")[0] if "/" in name else "usual"
    answer, lines = CASES[name]
    replies, sessions, mails = side.run(listener, answer, lines)
    queued = [r for r in replies if r and "queued as" in r]
    return [normal_reply(r) for r in replies], [normal_dialogue(d) for d in sessions], queued, mails


# What Postfix accepts and throws away without anybody being told, or keeps.
NOT_DELIVERED = ("discard", "quarantine", "all recipients")


def delivered(side, name, queued, mails):
    if not queued or name.startswith(NOT_DELIVERED) and name not in ("discard at C", "discard at H"):
        return []
    got = side.sink.wait(mails + len(queued))[mails:]
    return [(re.sub(r" SIZE=\d+", "", m["sender"]), sorted(m["recipients"]), normal_text(m["data"])) for m in got]


@pytest.mark.parametrize("name", sorted(CASES))
@exercises("smtpd_milters", "milter_protocol", "milter_header_checks", "receive_override_options", "milter_macro_defaults", "cleanup_service_name", *MACRO_LISTS)
def test_milter(sides, name):
    (our_replies, our_sessions, our_queued, our_mails), (replies, sessions, queued, mails) = [results(side, name) for side in sides]
    assert "\n".join(our_replies) == "\n".join(replies)
    assert "\n--\n".join(our_sessions) == "\n--\n".join(sessions)
    assert delivered(sides[0], name, our_queued, our_mails) == delivered(sides[1], name, queued, mails)
