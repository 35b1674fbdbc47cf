"""Mail of sendmail(1) and of SMTP clients past Debian's Postfix and ours: variable envelope return paths, headers that are missing or dropped, the form of names in
From, and how often a recipient that comes twice gets its copy."""
import itertools
import os
import re
import sys

import pytest

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), p) for p in ("../system", "../peers")]
import postern  # noqa: E402
import postfix  # noqa: E402
from postern import exercises  # noqa: E402

pytestmark = pytest.mark.skipif(not postern.ROOT_USER, reason="the neighbour needs root")

MAIN = {
    "smtpd_relay_restrictions": "permit_mynetworks, reject", "notify_classes": "", "mail_name": "Postfix", "smtpd_reject_unlisted_recipient": "no",
    "enable_long_queue_ids": "no", "smtpd_authorized_verp_clients": "127.0.0.1", "smtpd_hard_error_limit": "1000", "smtpd_soft_error_limit": "1000", "smtpd_error_sleep_time": "0",
}
CONFIGURATIONS = {
    "plain": {}, "filter": {"verp_delimiter_filter": "#=", "default_verp_delimiters": "#="},
    "nobody": {"smtpd_authorized_verp_clients": "192.0.2.1", "header_from_format": "obsolete", "enable_original_recipient": "no"},
    "missing": {"always_add_missing_headers": "yes", "undisclosed_recipients_header": "To: nobody we tell of:;", "message_drop_headers": "subject, x-dropped, Received"},
    "obsolete": {"header_from_format": "obsolete", "always_add_missing_headers": "yes", "undisclosed_recipients_header": "", "message_drop_headers": ""},
    "returned": {"transport_maps": "inline:{y.example=error:no}"}, "reported": {"transport_maps": "inline:{y.example=error:no}", "disable_verp_bounces": "yes"},
    "strict": {"sendmail_fix_line_endings": "strict"}, "never": {"sendmail_fix_line_endings": "never", "remote_header_rewrite_domain": "remote.invalid"},
    "few": {"duplicate_filter_limit": "2"}, "one": {"duplicate_filter_limit": "1", "enable_original_recipient": "no"},
}
ALIASES = "inline:{{many@y.example=a@y.example, b@y.example, c@y.example, a@y.example, b@y.example, d@y.example, c@y.example}, {more@y.example=c@y.example, a@y.example, e@y.example}}"
LIST, TWO = ["-f", "list@x.example"], ["a@y.example", "b+x@z.example"]
SUBJECT = "Subject: s\n\nx\n"
# Arguments and message of sendmail.
VERP = [([option] + sender + to, SUBJECT) for option, sender, to in itertools.product(
    ("-V", "-XV", "-V+=", "-XV#=", "-V==", "-V-+", "-V*=", "-V+", "-XV+=-", "-V+ "), (LIST, ["-f", "list+of@x.example"]), (TWO,))]
VERP += [(["-V"] + sender + to, SUBJECT) for sender, to in (
    (["-f", ""], TWO), (["-f", "local"], TWO), ([], TWO), (LIST, ["local"]), (LIST, ["a=b@y.example", "a+b=c@y.example"]), (["-f", '"q r"@x.example'], TWO),
    (LIST, ["many@y.example"]), (LIST, ["u@[127.0.0.1]"]))]
# When such mail is returned, 3.7 quotes the sender twice.
QUOTED = [(["-V"] + LIST + ['"q r"@y.example'], SUBJECT)]
HEADERS = [SUBJECT, "x\n", "\nx\n", "From: a\nTo: b\n\nx\n", "Cc: c\n\nx\n", "Bcc: c\n\nx\n", "Resent-From: r\n\nx\n", "Resent-To: r@y.example\nFrom: f\nTo: g\n\nx\n", "X-Dropped: a\n b\nKeep: c\nsubject: d\nReceived: e\n\nx\n",
           "Return-Path: <a>\nDate: d\nMessage-Id: <m>\nFrom: f\n\nx\n", "Content-Length: 5\nX: y\n\nx\n", "From x\nA: b\n\nx\n"]
ODD = ["J. (D) O'x", "\\", "(", "J. (x) D"]
NAMED = [(LIST + ["-F", name, "a@y.example"], "x\n") for name in ODD + ["Some One", 'Q "r" s', "", "a@b", "x" * 100, "J. D", "a <b>"]]
SENT = [(LIST + [option for option in options] + ["a@y.example"], text) for text, options in itertools.product(HEADERS, ([], ["-F", "Full Name"]))]
SENT += [(["-G"] + LIST + ["a@y.example"], text) for text in HEADERS[:4]] + [(["-G", "-t", "-F", "Full Name"], "To: a@y.example\n\nx\n")]
ENDS = [(LIST + options + ["a@y.example"], text) for options in ([], ["-i"]) for text in (
    "A: b\r\r\n c\r\r\r\n\r\r\nx: y\r\r\n", "A: b\r\n\r\nx\ny\r\r\n.\r\nz\n", "A: b\n\nx\r\n.\r\nz\r\r\n", "A: b\n\nx\r\r\n.\r\r\nz\n", "From x\r\nA: b\nC: d\r\n\nx\r\n", "From x\nA: b\r\n\nx\r\r\n.\n.")]
SENT += [(["-t"] + LIST, "To: a@y.example, B <b@y.example>\nCc: a@y.example\nBcc: c@y.example\n\nx\n")]
TWICE = [(LIST + to, SUBJECT) for to in (["a@y.example", "a@y.example"], ["a@y.example", "A@y.example", "a@Y.example"], ["many@y.example"], ["many@y.example", "a@y.example"],
                                         ["a@y.example", "many@y.example"], ["many@y.example", "more@y.example"], ["c@y.example", "more@y.example", "many@y.example", "e@y.example"])]
OPTIONS = [option.split("~") for option in ("-V~id1", "-V~id", "-V~+=", "-V~=", "-Vabc", "-Va", "-V~-XV", "-XV~-Vid1", "-Vid1~-XV+=", "-iV", "-iVid1", "-V~", "-V~-i", "-V~-", "-XVV", "-V-i",
                                            "-V=+", "-V--", "-V~-oi", "-oi~-V~-i")]
OLD = [(options + LIST + ["a@y.example"], SUBJECT) for options in OPTIONS] + [(["-V"] + LIST + ["-t"], "To: a@y.example\n\nx\n"), (["-XV", "-f", "", "-t"], SUBJECT), (LIST + ["-V", "a@y.example"], SUBJECT),
                                                                            (LIST + ["a@y.example", "-V", "-X"], SUBJECT), (LIST + ["-t"], "x\n"), (["-f", "A <b@y.example>"], "x\n"), ([], "x\n")]
# What a client says in MAIL FROM.
XVERP = ["<%s> XVERP%s" % pair for pair in itertools.product(("list@x.example", "list+of@x.example", "", "local", '"q r"@x.example'), ("", "=+=", "=#=", "=-+", "==", "=", "=*=", "=+=-", "=++", "=+2B="))]
XVERP += ["<list@x.example> xverp=+= SIZE=100", "<list@x.example> XVERP XVERP=-=", "<list@x.example> RET=HDRS XVERP ENVID=e"]


def masked(data):
    text = data.decode("latin-1")
    text = re.sub(r"20\d{12}\.[0-9A-F]{6,15}@", "STAMP@", text)
    text = re.sub(r"\w{3}, +\d+ \w{3} \d{4} [\d:]+ \S+( \(\w+\))?", "DATE", text)
    return re.sub(r"\b[0-9A-F]{6,15}\b", "ID", text)


def once(outcome):
    """An alias that names somebody twice: one copy is enough, and all that ours sends. Beyond the limit Postfix sends several."""
    return (*outcome[:-1], [(mail[0], sorted(set(mail[1])), mail[2]) for mail in sorted({repr(m): m for m in outcome[-1]}.values())])


class Side:
    def __init__(self, make, directory, main):
        self.sink = postern.Sink()
        everything = "smtp:[127.0.0.1]:%d" % self.sink.port
        self.instance = make(directory, dict(MAIN, default_transport=everything, local_transport=everything, virtual_alias_maps=ALIASES, **main)).start()

    def stop(self):
        self.instance.stop(check=False)
        self.sink.close()

    def arrived(self, mark, before, *ids):
        """What the next server got of these messages and of all that was queued since."""
        def done():
            log = self.instance.log(mark)
            return all(re.search(r"%s: removed" % i, log) for found in re.findall(r"(?:pickup|cleanup)\[\d+\]: (\w+): (?:uid|message-id)=|notification: (\w+)", log) + [ids] for i in found if i)
        postern.wait_for(done, 60, "deliveries")
        mails = list(self.sink.mails)[before:]
        return sorted((re.sub(" SIZE=[0-9]+", "", m["sender"]), sorted(m["recipients"]), masked(m["data"])) if m["sender"][:2] != "<>" else
                      ("report", re.match("<.*?>", m["recipients"][0]).group(), sorted(re.findall(rb"-Recipient: .*", m["data"]))) for m in mails)

    def sendmail(self, arguments, text):
        mark, before = self.instance.log_size(), len(self.sink.mails)
        done = self.instance.command("sendmail", *arguments, input=text, check=False)
        if done.returncode == 0:
            self.instance.wait_log(r"pickup\[\d+\]: \w+: uid=", 60, since=mark)
        said = [re.sub(r"^\S*sendmail: ", "", line) for line in done.stdout.splitlines()]
        return done.returncode, said, self.arrived(mark, before)

    def xverp(self, said):
        mark, before = self.instance.log_size(), len(self.sink.mails)
        with self.instance.client() as client:
            client.expect(250, "EHLO client.example")
            ids, replies = [], [client.command("MAIL FROM:" + said)]
            if replies[0].startswith("250"):
                for to in TWO:
                    client.expect(250, "RCPT TO:<%s>" % to)
                ids.append(client.data(SUBJECT.replace("\n", "\r\n")))
            client.command("QUIT")
        return replies, self.arrived(mark, before, *ids)


def cases(name):
    """What the settings matter for."""
    settings = CONFIGURATIONS[name]
    if "duplicate_filter_limit" in settings:
        return TWICE + VERP[-5:]
    if "sendmail_fix_line_endings" in settings:
        return ENDS + SENT[-7:]
    if "transport_maps" in settings:
        return VERP[:12] + VERP[-8:]
    if "always_add_missing_headers" in settings:
        return SENT + (NAMED if settings.get("header_from_format") != "obsolete" else NAMED[len(ODD):])  # 3.7 makes comments without end of some
    return VERP + QUOTED + OLD + XVERP + (SENT + ENDS + NAMED + TWICE if name == "plain" else TWICE)


@exercises("default_verp_delimiters", "verp_delimiter_filter", "smtpd_authorized_verp_clients", "header_from_format", "message_drop_headers", "always_add_missing_headers",
           "undisclosed_recipients_header", "enable_original_recipient", "duplicate_filter_limit", "sendmail_fix_line_endings", "remote_header_rewrite_domain")
@pytest.mark.parametrize("name", sorted(CONFIGURATIONS))
def test_submission(tmp_path_factory, name):
    pair = [Side(make, str(tmp_path_factory.mktemp(make.__module__)), CONFIGURATIONS[name]) for make in (postern.Instance, postfix.Instance)]
    wrong, compared = [], 0
    try:
        for case in cases(name):
            ours, theirs = (side.xverp(case) if isinstance(case, str) else side.sendmail(*case) for side in pair)
            compared += 1
            if "duplicate_filter_limit" in CONFIGURATIONS[name]:
                ours, theirs = once(ours), once(theirs)
            if ours != theirs:
                wrong.append("%r\n  is       %r\n  is to be %r" % (case, ours, theirs))
    finally:
        for side in pair:
            side.stop()
    assert compared > 10 and not wrong, "%d of %d\n%s" % (len(wrong), compared, "\n".join(wrong[:20]))
