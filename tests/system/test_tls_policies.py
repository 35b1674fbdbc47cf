"""Entries of smtp_tls_policy_maps: what each attribute means at each level, and entries that cannot be followed, for which mail waits.
tests/differential/test_client_tls.py asks Debian's Postfix the rows."""
import re

import pytest

from postern import exercises
from test_smtp_client import CLIENT, dns, outcome  # noqa: F401
from test_smtp_tls import TAKEN, UNVERIFIED, ZONE, fingerprint, keys, server  # noqa: F401

WRONG = ("4.7.5", "deferred", "client TLS configuration problem")
DNSSEC = {"smtp_dns_support_level": "dnssec"}
PRINT, OTHER = {"smtp_tls_fingerprint_cert_match": "$mx"}, {"smtp_tls_fingerprint_cert_match": "$self"}
# The entry, other settings, what becomes of the mail, and what the log says of the connection ("": there is no TLS).
ROWS = [
    ("none", {}, TAKEN, ""), ("none match= tafile=/nowhere foo", {}, TAKEN, ""),
    *(("%s match=mx.example" % level, {}, WRONG, "") for level in ("may", "encrypt", "dane", "dane-only")),
    *(("%s tafile=$keys/ca.pem" % level, {}, WRONG, "") for level in ("may", "encrypt", "fingerprint match=$mx")),
    *(("verify " + attribute, {}, WRONG, "") for attribute in (
        "match=", "match", "ciphers=", "ciphers=hihg", "tafile=", "tafile=/nowhere", "servername=", "servername=a@b", "connection_reuse=", "connection_reuse=maybe", "foo=bar", "foo",
        "ciphers=high ciphers=medium", "protocols=TLSv1.3 protocols=TLSv1.2", "exclude=AES128 exclude=AES256")),
    *(("verify " + attribute, {}, TAKEN, "Verified TLSv1.3") for attribute in (
        "protocols= exclude=", "connection_reuse=no", "connection_reuse=YES", "ciphers=HIGH", "servername=nexthop", "match=other.example match=hostname", "match=other.example:hostname",
        "MATCH=mx.example", "tafile=$keys/self.pem tafile=$keys/ca.pem")),
    ("verify match=other.example match=nexthop", {}, UNVERIFIED, "Trusted TLSv1.3"),
    ("secure match=nexthop match=mx.example", {}, TAKEN, "Verified TLSv1.3"),
    ("fingerprint", {}, WRONG, ""), ("fingerprint", PRINT, TAKEN, "Verified TLSv1.3"), ("fingerprint", OTHER, UNVERIFIED, "Trusted TLSv1.3"),
    ("fingerprint match=$mx", OTHER, TAKEN, "Verified TLSv1.3"), ("fingerprint match=$self", PRINT, UNVERIFIED, "Trusted TLSv1.3"),
    ("fingerprint match=$self match=$mx", {}, TAKEN, "Verified TLSv1.3"), ("fingerprint match=$self|$mx", {}, TAKEN, "Verified TLSv1.3"),
    ("fingerprint match=mx.example", {}, WRONG, ""), ("fingerprint match=12:3", {}, WRONG, ""),
    # What the entry says holds for the level that dane comes to without records as well.
    ("dane protocols=TLSv1.2 servername=hostname", DNSSEC, TAKEN, "Trusted TLSv1.2"),
    ("dane protocols=TLSv1.2", {}, TAKEN, "Trusted TLSv1.2"),
]


def transports(rows, keys):  # noqa: F811
    """master.cf lines and a transport table: u0@dest.example goes by the first row, and so on."""
    words = {"$keys": str(keys), "$mx": fingerprint(keys, "mx"), "$self": fingerprint(keys, "self")}
    text, table = "", ""
    for i, (entry, settings, _, _) in enumerate(rows):
        text += "p%d unix - - n - - smtp\n" % i
        for parameter, value in dict(settings, smtp_tls_policy_maps="inline:{ {dest.example = %s} }" % entry).items():
            text += "  -o { %s = %s }\n" % (parameter, re.sub(r"\$\w+", lambda m: words[m.group()], value))
        table += " {u%d@dest.example = p%d:}" % (i, i)
    return text, "inline:{%s }" % table


def settings(keys, table):  # noqa: F811
    return dict(CLIENT, smtp_tls_CAfile=str(keys / "ca.pem"), smtp_tls_loglevel="1", smtp_tls_security_level="may", transport_maps=table)


def wrong_rows(instance, rows):
    wrong = []
    for i, (entry, main, expected, line) in enumerate(rows):
        mark = instance.log_size()
        address = "u%d@dest.example" % i
        instance.send(sender="", recipients=[address])
        found = outcome(instance, address, since=mark, seconds=30)[:3]
        said = " ".join(re.sub(" TLS.*: ", " ", text) for text in re.findall(r"smtp\[\d+\]: (\w+ TLS connection .*: TLSv\S+)", instance.log(mark)))
        if (found, said) != (expected, line):
            wrong.append("%s %s:\n  %s %s\n  %s %s" % (entry, main, found, said, expected, line))
    return "\n".join(wrong)


@exercises("smtp_tls_policy_maps", "smtp_tls_fingerprint_cert_match", "transport_maps")
def test_rows(mta, dns, keys, server):  # noqa: F811
    dns(ZONE)
    server()
    master, table = transports(ROWS, keys)
    instance = mta(settings(keys, table), master=master).start()
    wrong = wrong_rows(instance, ROWS)
    assert not wrong, wrong
