"""Address verification beside Debian's Postfix: replies, and the log lines of probes."""
import os
import re
import sys

import pytest

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), p) for p in ("../system", "../peers")]
import postern  # noqa: E402
import postfix  # noqa: E402
from postern import Sink, exercises, wait_for  # noqa: E402

pytestmark = pytest.mark.skipif(not postern.ROOT_USER, reason="the neighbour needs root")

ANSWERS = {"bad": "550 5.1.1 no such user", "temp": "451 4.2.0 try later", "multi": "550-5.7.1 line one\r\n550 5.7.1 line two", "short": "550 nope"}
SERVICES = {
    "recipient": {"smtpd_recipient_restrictions": "reject_unverified_recipient"},
    "firm": {"smtpd_recipient_restrictions": "reject_unverified_recipient", "unverified_recipient_reject_code": "550",
             "unverified_recipient_defer_code": "250", "unverified_recipient_reject_reason": "we do not know"},
    "sender": {"smtpd_recipient_restrictions": "reject_unverified_sender", "unverified_sender_reject_code": "550"},
    "shut": {"smtpd_client_restrictions": "reject"},
    "early": {"smtpd_sender_restrictions": "reject", "smtpd_delay_reject": "no"},
}


def main(sink):
    return {
        "default_transport": "smtp:[127.0.0.1]:%d" % sink.port, "smtpd_relay_restrictions": "permit_mynetworks, reject", "notify_classes": "",
        "address_verify_poll_delay": "1s", "address_verify_poll_count": "50", "relay_domains": "dead.example", "enable_long_queue_ids": "no",
        "transport_maps": "inline:{dead.example=smtp:[127.0.0.1]:1, void.example=discard:}", "virtual_alias_domains": "v.example",
        "virtual_alias_maps": "inline:{ {both@v.example=x@w.example, bad@w.example} {single@v.example=bad@w.example} }",
        "smtpd_client_connection_rate_limit": "0",
    }


class Side:
    def __init__(self, module, directory):
        self.sink = Sink(rules={"RCPT": self.answer})
        self.instance = module.Instance(directory, main(self.sink), SERVICES).start()

    @staticmethod
    def answer(line):
        return ANSWERS.get(re.search("<(.*?)@", line).group(1), "250 2.1.5 fine")

    def close(self):
        self.instance.stop(check=False)
        self.sink.close()

    def ask(self, listener, sender, recipient):
        """Replies, and what the log says of the probe."""
        mark = self.instance.log_size()
        with self.instance.client(listener) as c:
            replies = [c.command(line) for line in ("EHLO client.example", "MAIL FROM:<%s>" % sender, "RCPT TO:<%s>" % recipient)]
        self.instance.wait_log(r"disconnect from", since=mark)
        wait_for(lambda: not self.instance.queued(), what="an empty queue")
        self.instance.wait_logged()
        lines = re.findall(r"postfix/(smtp|local|discard|error|qmgr)\[\d+\]: \w+: (to=.*)", self.instance.log(mark))
        return replies[1:], [re.sub(r"delays?=[\d./]+|127\.0\.0\.1\]:\d+", "N", text) for program, text in lines]


@pytest.fixture(scope="module")
def sides(tmp_path_factory):
    with postfix.beside(Side, tmp_path_factory) as pair:
        yield pair


QUESTIONS = [("recipient", "s@x.example", r) for r in (
    "good@w.example", "bad@w.example", "temp@w.example", "multi@w.example", "short@w.example", "u@dead.example", "u@void.example",
    "no-such-user@test.example", "both@v.example", "single@v.example", "other@v.example", "postmaster")]
QUESTIONS += [("firm", "s@x.example", r + "@w.example") for r in ("good", "bad", "temp")]
QUESTIONS += [("sender", s, "u@w.example") for s in ("good@w.example", "bad@w.example", "temp@w.example", "", "double-bounce@test.example")]
QUESTIONS += [(listener, "s@x.example", r) for listener in ("shut", "early") for r in ("double-bounce@test.example", "double-bounce", "u@w.example")]
QUESTIONS += [("shut", "double-bounce@test.example", "u@w.example")]


@exercises("reject_unverified_recipient", "reject_unverified_sender", "address_verify_sender", "unverified_sender_reject_code",
           "unverified_recipient_reject_code", "unverified_recipient_reject_reason")
@pytest.mark.parametrize("listener, sender, recipient", QUESTIONS)
def test_questions(sides, listener, sender, recipient):
    ours, theirs = [side.ask(listener, sender, recipient) for side in sides]
    # To several recipients of an alias Postfix sends nothing, and has a line in the log for it.
    if recipient == "both@v.example":
        theirs = theirs[0], []
    assert ours == theirs
