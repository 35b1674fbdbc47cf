"""smtp_header_checks and the like in Debian's SMTP client and ours: the mail that arrives, and what is logged."""
import os
import re
import sys

import pytest

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), p) for p in ("../system", "../peers")]
import postern  # noqa: E402
import postfix  # noqa: E402

pytestmark = pytest.mark.skipif(not postern.ROOT_USER, reason="the neighbour needs root")

ACTIONS = ["INFO some text", "INFO", "info lower", "WARN text", "WARN", "IGNORE", "IGNORE text", "STRIP why", "STRIP", "PREPEND X-Pre: p", "PREPEND no colon", "PREPEND", "REPLACE X-New: $1 replaced",
           "REPLACE bad text", "REPLACE", "REJECT no", "DISCARD d", "HOLD", "FILTER smtp:x", "REDIRECT a@b", "BCC a@b", "PASS", "FOO bar", "DUNNO", "OK", "  WARN   two  blanks ", "PREPEND X-Two:$1",
           "REPLACE Subject: $1", "PREPEND .dot", "REPLACE .", "PREPEND .."]
RULES = {
    "smtp_header_checks": "".join("/^X-Rule%d: (.*)/ %s\n" % (i, a) for i, a in enumerate(ACTIONS)) + "/^From:/ PREPEND X-From: seen\n/^Reply-To:/ REPLACE Reply-To: inside@x.example, a@x.example\n/^Subject: first/ REPLACE Subject: not looked at again\n"
                          "/^Subject: not/ IGNORE\n/^To:/ WARN to\n/^Content-Type/ WARN not here\n/^Received:/ INFO received\n",
    "smtp_mime_header_checks": "/^Content-Type: .*/ PREPEND X-Mime: type\n/^Content-Disposition:/ IGNORE\n/^X-Part:/ WARN part\n/^MIME-Version:/ INFO version\n"
                               "/^Content-Transfer-Encoding: (.*)/ INFO $1\n",
    "smtp_nested_header_checks": "/^Subject:/ REPLACE Subject: nested\n/^X-N:/ STRIP\n/^To:/ WARN nested\n",
    "smtp_body_checks": "".join("/^rule%d (.*)/ %s\n" % (i, a) for i, a in enumerate(ACTIONS)) + "/^--b/ INFO boundary\n/^$/ INFO empty\n/^long/ REPLACE short\n/^=C3/ WARN encoded\n/^dot/ REPLACE .dot\n/very long/ INFO\n",
}
HEADERS = "".join("X-Rule%d: v%d\r\n" % (i, i) for i in range(len(ACTIONS)))
BODY = "".join("rule%d v%d\r\n" % (i, i) for i in range(len(ACTIONS)))
NESTED = ("MIME-Version: 1.0\r\nContent-Type: multipart/mixed;\r\n boundary=b\r\n\r\npre\r\n--b\r\nContent-Type: text/plain\r\nX-Part: 1\r\nContent-Disposition: x\r\n\r\n" + BODY +
          "--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\nX-N: 1\r\nTo: a@x.example\r\nContent-Type: text/plain\r\n\r\nrule0 nested\r\n\r\nX-Rule1: body\r\n--b--\r\nend\r\n")
EIGHT = "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\xf6\xf6 text\r\nrule0 x = \r\nrule5 x\r\nlong " + "\xf6 " * 60 + "\r\n.\xf6\r\n"
MESSAGES = {
    "headers": HEADERS + "X-Rule3: a\r\n\tb\r\n c\r\nX-Rule12: a\r\n\tb\r\nX-Rule26: a\r\n b\r\nFrom: u@x.example\r\nTo: a@x.example\r\nSubject: first\r\nX-Rule3: \xf6\r\n\r\nX-Rule1: in the body\r\n",
    "nested": "From: u@x.example\r\n" + NESTED,
    "first": "rule0 no header\r\nX: y\r\n\r\nmore\r\n",
    "long": "X: y\r\n\r\n" + "rule0 " + "x" * 1900 + "\r\nlong " + "y" * 1500 + "\r\nvery long\r\n" + "dot\r\n" + ".dot\r\nend",
    "pieces": "X: y\r\n\r\n" + "rule0 " + "x" * 2042 + "rule3 " + "y" * 2042 + "rule5 " + "z" * 2042 + "rule0 " + "z" * 10 + "\r\n" + "rule5 " + "x" * 3000 + "\r\nend\r\n",
    "eight": EIGHT,
    "encodings": "Content-Transfer-Encoding: 8bit\r\nContent-Type : multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: 7bit\r\n\r\n--b\r\nX-Part: 1\r\nContent-Transfer-Encoding: base64\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\xf6\r\n"
                 "--b\r\nContent-Transfer-Encoding: binary\r\nContent-Transfer-Encoding: base64\r\n\r\nabcd\r\n--b--\r\n",
    "blanks": "Content-Type: multipart/mixed; boundary=b\r\nX-Rule0 : a\r\n\r\n--b\r\nX-Part : 1\r\nSubject\t : x\r\n\r\nX-Part : 1\r\n--b--\r\n",
    "utf8": "X-Rule0: \xc3\xa4\r\n\r\nrule0 \xc3\xa4\r\n",
    "plain": "From: u@x.example\r\nReply-To: o@x.example\r\nContent-Type: text/plain\r\n\r\n" + BODY,
}
GENERIC = {"smtp_generic_maps": "inline:{u@x.example=out@y.example,a@x.example=b@y.example,inside@x.example=was@y.example}"}


def run(kind, directory, main, rules, keywords=("PIPELINING", "SIZE", "8BITMIME", "DSN")):
    """The messages as they arrive, with the lines that the client logged, without what differs each time."""
    sink = postern.Sink(keywords=keywords)
    os.makedirs(directory)
    main = dict({"mydestination": "test.example", "inet_interfaces": "127.0.0.1", "smtpd_relay_restrictions": "permit_mynetworks, reject", "inet_protocols": "ipv4",
                 "relayhost": "[127.0.0.1]:%d" % sink.port, "enable_long_queue_ids": "no", "always_add_missing_headers": "yes"}, **main)
    for parameter in rules:
        with open(os.path.join(directory, parameter), "w", encoding="latin-1") as f:
            f.write(RULES[parameter])
        main[parameter] = "regexp:" + os.path.join(directory, parameter)
    instance = kind(os.path.join(directory, "i"), main)
    result = {}
    try:
        instance.start()
        for count, (name, message) in enumerate(MESSAGES.items(), 1):
            before = instance.log_size()
            with instance.client() as c:
                c.mail("s@client.example", ["u@any.example"], message.encode("latin-1"))
            mail = sink.wait(count)[-1]
            instance.wait_log("removed", since=before)
            lines = re.findall(r"/smtp\[\d+\]: (.*)", instance.log(before))
            result[name] = [steady(mail["data"].decode("latin-1")), sorted(steady(line) for line in lines if "status=sent" not in line)]
    finally:
        instance.stop(check=False)
        sink.close()
    return result


def steady(text):
    text = text.replace("\r\n", "\n")  # the neighbour sends bare LF where the text of a rule has one
    text = re.sub(r"header Received: .*: received", "header Received", text)
    text = re.sub(r"(?s)Received:.*?\(UTC\)", "Received:", text)
    text = re.sub(r"Message-Id: <\d+\.[0-9A-F]+@", "Message-Id: <", text)
    text = re.sub(r"Date: .*\(UTC\)", "Date:", text)
    return re.sub(r"^[0-9A-F]{6,}: ", "QID: ", text)


@pytest.mark.parametrize("main,rules,keywords", [
    ({}, list(RULES), None), (GENERIC, list(RULES), None), ({}, ["smtp_header_checks"], None), (GENERIC, ["smtp_mime_header_checks"], None), ({}, ["smtp_nested_header_checks"], None),
    ({}, ["smtp_body_checks"], None), ({}, list(RULES), ("SIZE",)), ({"disable_mime_output_conversion": "yes"}, ["smtp_body_checks", "smtp_mime_header_checks"], ("SIZE",)), ({}, [], ("SIZE",)),
], ids=["all", "generic", "header", "mime", "nested", "body", "seven", "unconverted", "none"])
def test_same_mail_and_log(tmp_path, main, rules, keywords):
    more = {"keywords": keywords} if keywords else {}
    theirs = run(postfix.Instance, str(tmp_path / "theirs"), main, rules, **more)
    ours = run(postern.Instance, str(tmp_path / "ours"), main, rules, **more)
    for name in MESSAGES:
        if name == "blanks" and rules == ["smtp_header_checks"]:
            continue  # nothing looks into the parts, and they stay as they are
        assert ours[name][0].split("\n") == theirs[name][0].split("\n"), name
        assert ours[name][1] == theirs[name][1], name
