"""smtpd_log_access_permit_actions and smtpd_sasl_mechanism_filter beside Debian's Postfix."""
import os
import re
import sys

import pytest

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), p) for p in ("../system", "../peers")]
import postern  # noqa: E402
import postfix  # noqa: E402
from policy_server import PolicyServer  # noqa: E402
from postern import exercises  # noqa: E402
from test_smtpd_secure import DovecotAuth  # noqa: E402

pytestmark = pytest.mark.skipif(not postern.ROOT_USER, reason="the neighbour needs root")

LISTS = ["permit", "permit_mynetworks", "check_client_access static:OK", "check_client_access static:RELAY", "check_client_access static:200",
         "check_sender_access static:{OK}", "check_client_access static:{permit_mynetworks,reject}", "check_policy_service POLICY", "cls",
         "permit_auth_destination", "check_client_access static:DISCARD", "permit_inet_interfaces", "warn_if_reject reject, permit",
         "check_helo_access static:OK", "check_recipient_access static:OK", "static:OK", "sleep 0, permit_auth_destination",
         "check_client_access static:PERMIT", "check_client_access static:{permit_auth_destination}"]
NAMES = ["static:all", "permit_mynetworks, OK", "!permit, static:all", "Permit", ""]
STAGES = {"smtpd_%s_restrictions" % s: "permit" if s in ("helo", "data", "end_of_data", "etrn") else "permit_mynetworks"
          for s in ("client", "helo", "sender", "data", "end_of_data", "etrn")}
FILTERS = ["!external, static:rest", "plain", "!login, static:rest", "PLAIN, login"]


def services(policy):
    found = {"list%d" % i: {"smtpd_recipient_restrictions": text.replace("POLICY", policy.endpoint)} for i, text in enumerate(LISTS)}
    found.update({"name%d" % i: {"smtpd_recipient_restrictions": "permit_mynetworks", "smtpd_sender_restrictions": "check_client_access static:OK",
                                 "smtpd_client_restrictions": "permit", "smtpd_log_access_permit_actions": text} for i, text in enumerate(NAMES)})
    found.update({"filter%d" % i: {"smtpd_sasl_mechanism_filter": text, "smtpd_sasl_auth_enable": "yes"} for i, text in enumerate(FILTERS)})
    return dict(found, late=STAGES, early=dict(STAGES, smtpd_delay_reject="no"))


class Side:
    def __init__(self, module, directory):
        self.policy, self.auth = PolicyServer(b"action=OK text\n\n"), DovecotAuth(("PLAIN\tplaintext", "LOGIN\tplaintext", "EXTERNAL"))
        self.policy.answer = lambda request: b"action=permit_mynetworks\n\n"
        self.instance = module.Instance(directory, {
            "smtpd_relay_restrictions": "reject_unauth_destination", "smtpd_log_access_permit_actions": "static:all", "smtpd_restriction_classes": "cls",
            "cls": "permit_mynetworks", "local_transport": "discard:", "notify_classes": "", "fast_flush_domains": "", "enable_long_queue_ids": "no",
            "smtpd_sasl_type": "dovecot", "smtpd_sasl_path": "inet:127.0.0.1:%d" % self.auth.port, "smtpd_client_connection_rate_limit": "0"},
            services(self.policy)).start()

    def close(self):
        self.instance.stop(check=False)
        self.policy.close()

    def talk(self, listener, lines):
        mark = self.instance.log_size()
        with self.instance.client(listener) as client:
            replies = [client.command(line) for line in lines]
        self.instance.wait_log(r"disconnect from", since=mark)
        found = re.findall(r"smtpd\[\d+\]: \w+: (permit: .*)", self.instance.log(mark))
        return replies, [re.sub(r"127\.0\.0\.1:\d+", "SERVER", line) for line in found]


@pytest.fixture(scope="module")
def sides(tmp_path_factory):
    with postfix.beside(Side, tmp_path_factory) as pair:
        yield pair


@exercises("smtpd_log_access_permit_actions")
@pytest.mark.parametrize("listener", ["list%d" % i for i in range(len(LISTS))] + ["name%d" % i for i in range(len(NAMES))])
def test_permits(sides, listener):
    ours, theirs = [side.talk(listener, ["EHLO c.example", "MAIL FROM:<s@x.example>", "RCPT TO:<u@test.example>"])[1] for side in sides]
    assert ours == theirs


@exercises("smtpd_log_access_permit_actions")
@pytest.mark.parametrize("listener", ["late", "early"])
def test_stages(sides, listener):
    lines = ["EHLO c.example", "MAIL FROM:<s@x.example>", "RCPT TO:<u@test.example>", "DATA", "Subject: x\r\n\r\nx\r\n.", "ETRN test.example"]
    ours, theirs = [side.talk(listener, lines)[1] for side in sides]
    assert ours == theirs and len(ours) > 4


@exercises("smtpd_sasl_mechanism_filter")
@pytest.mark.parametrize("number", range(len(FILTERS)))
def test_mechanisms(sides, number):
    ours, theirs = [[line for line in side.talk("filter%d" % number, ["EHLO c.example"])[0][0].split("\n") if "AUTH" in line] for side in sides]
    assert ours == theirs
