"""Servers whose answers are out of the protocol: for which of them Debian's Postfix and ours tell the postmaster, and what."""
import os
import re
import sys

import pytest

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), p) for p in ("../system", "../peers")]
import postern  # noqa: E402
import postfix  # noqa: E402
from postern import Sink, exercises, wait_for  # noqa: E402
from test_faults_client import scripted  # noqa: E402

pytestmark = pytest.mark.skipif(not postern.ROOT_USER, reason="the neighbour needs root")

REPLIES = {
    "fine": {}, "recipient": {"RCPT": "550 5.1.1 no"}, "later": {"RCPT": "450 4.1.1 no"}, "sender": {"MAIL": "550 5.1.1 no"}, "what": {"MAIL": "500 5.5.1 what"},
    "closed": {"": "554 no"}, "busy": {"": "421 no"}, "old": {"EHLO": "500 what"}, "deaf": {"EHLO": "500 what", "HELO": "500 what"}, "data": {"DATA": "554 no"},
    "spam": {".": "554 5.7.1 spam"}, "number": {"RCPT": "999 x"}, "order": {"DATA": "503 5.5.1 order"}, "stray": {"RCPT": "junk\r\n250 ok"}, "shy": {"RCPT": "505 x"}, "extra": {"MAIL": "250 ok\r\n250 extra"},
    "full": {"RCPT": "552 5.2.2 full"}, "syntax": {"RCPT": "501 5.5.4 syntax"}, "farewell": {"QUIT": "500 x"}, "space": {"RCPT": "452 4.3.1 space"},
}
CLASSES = ("bounce", "data", "policy", "protocol", "resource", "software")


def transports():
    return "".join("smtp-%s unix - - n - - smtp\n  -o { notify_classes = %s }\n  -o { error_notice_recipient = %s@pm.example }\n  -o { bounce_notice_recipient = %s@pm.example }\n"
                   % (c, c, c, c) for c in CLASSES)


def routes(servers, postmaster):
    return "inline:{ %s }" % ", ".join(["{%s.%s.example = smtp-%s:[127.0.0.1]:%d}" % (name, c, c, s.port) for name, s in servers.items() for c in CLASSES]
                                       + ["{pm.example = smtp:[127.0.0.1]:%d}" % postmaster.port])


def told(sink):
    """(class, transcript) of the notices so far."""
    with sink.condition:
        found = [(m["recipients"][0].split("@")[0].strip("<"), m["data"].decode()) for m in sink.mails]
    return [(name, re.sub(r"\]:\d+", "]:PORT", text.split("\r\n\r\n", 1)[1])) for name, text in found]


def outcomes(kind, directory):
    postmaster, servers = Sink(), {name: scripted(replies) for name, replies in REPLIES.items()}
    instance = kind(directory, {"transport_maps": routes(servers, postmaster), "smtpd_relay_restrictions": "permit_mynetworks, reject", "default_transport": "discard:",
                                "notify_classes": "", "maximal_queue_lifetime": "0", "bounce_queue_lifetime": "0", "smtp_connection_cache_on_demand": "no", "default_destination_concurrency_failed_cohort_limit": "0"},
                    {"smtpd": {}}, master=transports())
    found = {}
    try:
        instance.start()
        for name in REPLIES:
            for c in CLASSES:
                instance.wait_handled(instance.send(sender="s@x.example", recipients=["u@%s.%s.example" % (name, c)]))  # and then the notice is in the queue
            wait_for(lambda: not instance.queued(), 10, "empty queue")
            found[name] = sorted(told(postmaster))
            postmaster.mails.clear()
        return found
    finally:
        instance.stop(check=False)
        postmaster.close()


@exercises("notify_classes", "error_notice_recipient")
def test_what_the_postmaster_hears(tmp_path):
    theirs, ours = outcomes(postfix.Instance, str(tmp_path / "theirs")), outcomes(postern.Instance, str(tmp_path / "ours"))
    assert {n: ([c for c, _ in theirs[n]], [c for c, _ in ours[n]]) for n in REPLIES if [c for c, _ in theirs[n]] != [c for c, _ in ours[n]]} == {}
    differences = ["%s\n--- theirs\n%s\n--- ours\n%s" % (n, theirs[n][0][1], ours[n][0][1]) for n in ("what", "number", "syntax", "order") if heads(theirs[n]) != heads(ours[n])]
    assert not differences, "\n".join(differences)


def heads(notices):
    """What was said up to the end of the message; how the session is left is up to each."""
    return [re.split(r"(?m)^ Out: (?:\.|RSET)\r$", text)[0] for _, text in notices]
