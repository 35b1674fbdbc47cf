"""Whom the SMTP client trusts: anchors in place of authorities, wildcards, digests of TLSA records, and servers that answer before they are asked.
tests/differential/test_client_trust.py asks Debian's Postfix the rows."""
import hashlib
import subprocess

import pytest

from postern import exercises
from test_smtp_client import dns, outcome  # noqa: F401
from test_smtp_tls import TAKEN, UNTRUSTED, UNVERIFIED, ZONE, SecureDns, keys, run, server  # noqa: F401

WRONG = ("4.7.5", "deferred", "client TLS configuration problem")
FAR = {"far.example": {"MX": [(10, "a.b.hosts.example")]}, "a.b.hosts.example": {"A": ["127.0.0.3"]}}
VERIFY, SECURE = {"smtp_tls_security_level": "verify"}, {"smtp_tls_security_level": "secure"}


def policy(entry, **main):
    return dict(main, smtp_tls_security_level="may", smtp_tls_policy_maps="inline:{ {dest.example = %s} }" % entry)


# Settings, the server's certificate, where mail goes, what becomes of it.
ROWS = [
    (VERIFY, "mx", "dest.example", UNTRUSTED),
    (dict(VERIFY, smtp_tls_CAfile="$keys/ca.pem"), "mx", "dest.example", TAKEN),
    (dict(VERIFY, smtp_tls_trust_anchor_file="$keys/ca.pem"), "mx", "dest.example", TAKEN),
    (dict(VERIFY, smtp_tls_trust_anchor_file="$keys/self.pem, $keys/ca.pub"), "mx", "dest.example", TAKEN),
    (dict(VERIFY, smtp_tls_trust_anchor_file="$keys/ca.pem"), "domain", "dest.example", UNVERIFIED),
    (dict(SECURE, smtp_tls_trust_anchor_file="$keys/ca.pub"), "domain", "dest.example", TAKEN),
    (dict(VERIFY, smtp_tls_CAfile="$keys/ca.pem", smtp_tls_trust_anchor_file="$keys/self.pem"), "mx", "dest.example", UNTRUSTED),
    (dict(VERIFY, smtp_tls_trust_anchor_file="$keys/other.pub"), "mx", "dest.example", UNTRUSTED),
    (policy("verify tafile=$keys/ca.pem"), "mx", "dest.example", TAKEN),
    (policy("verify tafile=$keys/self.pem tafile=$keys/ca.pub"), "mx", "dest.example", TAKEN),
    (policy("secure match=.example tafile=$keys/ca.pem"), "mx", "dest.example", TAKEN),
    (policy("verify tafile=$keys/other.pub", smtp_tls_CAfile="$keys/ca.pem"), "mx", "dest.example", UNTRUSTED),
    (policy("verify tafile=$keys/self.pem", smtp_tls_trust_anchor_file="$keys/ca.pem"), "mx", "dest.example", UNTRUSTED),
    (policy("verify tafile=$keys/none.pem"), "mx", "dest.example", WRONG),
    (policy("encrypt tafile=$keys/ca.pem"), "mx", "dest.example", WRONG),
    (dict(VERIFY, smtp_tls_CAfile="$keys/ca.pem"), "wild", "wild.example", TAKEN),
    (dict(VERIFY, smtp_tls_CAfile="$keys/ca.pem"), "wild", "far.example", TAKEN),
    (dict(VERIFY, smtp_tls_CAfile="$keys/ca.pem", tls_wildcard_matches_multiple_labels="no"), "wild", "wild.example", TAKEN),
    (dict(VERIFY, smtp_tls_CAfile="$keys/ca.pem", tls_wildcard_matches_multiple_labels="no"), "wild", "far.example", UNVERIFIED),
]


@pytest.fixture(scope="session")
def anchors(tmp_path_factory):
    """Filled from the keys of a module: public keys beside the certificates."""
    def make(keys):  # noqa: F811
        for name, key in (("ca", "ca"), ("other", "self")):
            subprocess.run(["openssl", "pkey", "-in", key + ".key", "-pubout", "-out", name + ".pub"], cwd=keys, check=True)
        return keys

    return make


def outcome_of(instance, domain):
    mark = instance.log_size()
    instance.send(sender="", recipients=["u@" + domain])
    return outcome(instance, "u@" + domain, since=mark, seconds=30)[:3]


def with_files(main, folder):
    return {p: v.replace("$keys", str(folder)) for p, v in main.items()}


@exercises("smtp_tls_trust_anchor_file", "lmtp_tls_trust_anchor_file", "tls_wildcard_matches_multiple_labels", "smtp_tls_policy_maps")
@pytest.mark.parametrize("main, certificate, domain, expected", ROWS)
def test_rows(mta, dns, keys, anchors, server, main, certificate, domain, expected):  # noqa: F811
    dns(dict(ZONE, **FAR))
    server(certificate)
    instance = run(mta, anchors(keys), **with_files(dict({"smtp_tls_CAfile": ""}, **main), keys))
    assert outcome_of(instance, domain) == expected


def digest_record(keys, name, digest, right=True):  # noqa: F811
    """DANE-EE of the public key, or of something else."""
    done = subprocess.run("openssl x509 -in %s.pem -noout -pubkey | openssl pkey -pubin -outform DER" % name, shell=True, cwd=keys, stdout=subprocess.PIPE, check=True)
    return "0301%02x%s" % ({"sha256": 1, "sha512": 2}[digest], hashlib.new(digest, done.stdout if right else b"another").hexdigest())


@exercises("tls_dane_digests")
@pytest.mark.parametrize("digests, records, expected", [
    ("sha512 sha256", [("sha256", True)], TAKEN),
    ("sha512 sha256", [("sha512", False), ("sha256", True)], UNTRUSTED),
    ("sha256, sha512", [("sha512", False), ("sha256", True)], TAKEN),
    ("sha256=1", [("sha512", False), ("sha256", True)], TAKEN),
    ("sha512=2 sha256", [("sha512", True), ("sha256", False)], TAKEN),
    ("sha512", [("sha256", False)], TAKEN),  # nothing to go by: encrypted is enough (RFC 7672 section 2.2)
])
def test_digests(mta, keys, server, digests, records, expected):  # noqa: F811
    zone = {"dest.example": {"SECURE": True, "MX": [(10, "mx.example")]}, "mx.example": {"SECURE": True, "A": ["127.0.0.3"]},
            "_25._tcp.mx.example": {"SECURE": True, "TLSA": [digest_record(keys, "mx", *r) for r in records]}}
    resolver = SecureDns(zone)
    server("mx")
    instance = run(mta, keys, smtp_tls_security_level="dane", smtp_dns_support_level="dnssec", tls_dane_digests=digests)
    try:
        assert outcome_of(instance, "dest.example") == expected
    finally:
        resolver.close()
    ignored = [name for name, _ in records if name not in digests]
    if ignored:
        instance.wait_log("warning: _25._tcp.mx.example: TLSA record with a digest that tls_dane_digests does not list: ")


@pytest.mark.parametrize("digests", ["sha256=2", "nonsense", "sha512 sha256=x"])
def test_digests_that_are_none(mta, dns, keys, digests):  # noqa: F811
    """Without DANE, mail waits rather than go out with less."""
    dns(ZONE)
    instance = run(mta, keys, smtp_tls_security_level="dane", smtp_dns_support_level="dnssec", tls_dane_digests=digests)
    instance.send(recipients=["u@dest.example"])
    instance.wait_log(r"smtp\[\d+\]: fatal: .*tls_dane_digests: ")


@exercises("smtp_tls_block_early_mail_reply", "lmtp_tls_block_early_mail_reply")
@pytest.mark.parametrize("block, trick, expected", [
    ("no", "", TAKEN), ("yes", "", TAKEN),
    ("yes", "early", ("4.7.0", "deferred", "host mx.example[127.0.0.3] sent a reply before its command, right after the TLS handshake")),
])
def test_early_replies(mta, dns, keys, server, block, trick, expected):  # noqa: F811
    dns(ZONE)
    sink = server("mx", trick=trick)
    instance = run(mta, keys, smtp_tls_security_level="may", smtp_tls_block_early_mail_reply=block)
    assert outcome_of(instance, "dest.example") == expected
    assert trick != "early" or not any(c.startswith("tls MAIL") for c in sink.commands)


# smtp_tls_per_site: what main.cf says, the words for next hop and host, and whether the server's certificate of the wrong name will do, or there is no TLS.
PLAIN, LOOSE, STRICT = "plain", "loose", "strict"
LEVELS = {"none": {"smtp_tls_security_level": "none"}, "may": {"smtp_tls_security_level": "may"}, "verify": {"smtp_tls_security_level": "verify"}}
SITES = [
    ("none", "", "", PLAIN), ("none", "MAY", "", LOOSE), ("none", "", "MAY", LOOSE), ("none", "NONE", "MAY", PLAIN), ("none", "MUST", "", STRICT), ("none", "", "must", STRICT),
    ("none", "MUST_NOPEERMATCH", "", LOOSE), ("may", "NONE", "", PLAIN), ("may", "", "NONE", PLAIN), ("may", "NONE", "MUST_NOPEERMATCH", LOOSE),
    ("may", "MUST", "NONE", STRICT), ("may", "MUST_NOPEERMATCH", "MUST", STRICT), ("may", "MAY", "MUST", STRICT), ("verify", "MAY", "", STRICT), ("verify", "", "NONE", PLAIN),
    ("verify", "MUST_NOPEERMATCH", "", LOOSE), ("verify", "MAY", "NONE", PLAIN), ("verify", "", "", STRICT),
]


def sites(nexthop, host, **main):
    entries = "".join(" {%s = %s}" % (key, word) for key, word in (("dest.example", nexthop), ("MX.example", host), ("other.example", "MUST")) if word)
    return dict(main, smtp_tls_per_site="inline:{%s }" % entries)


def kind_of(instance, sink):
    """What became of a message: how it went, or that it did not."""
    result = outcome_of(instance, "dest.example")
    if result == TAKEN:
        return LOOSE if sink.mails == [True] else PLAIN
    assert result[1] == "deferred" and "Server certificate not" in result[2], result
    return STRICT


@exercises("smtp_tls_per_site", "lmtp_tls_per_site")
@pytest.mark.parametrize("level, nexthop, host, expected", SITES)
def test_sites(mta, dns, keys, server, level, nexthop, host, expected):  # noqa: F811
    dns(ZONE)
    sink = server("domain")
    assert kind_of(run(mta, keys, **sites(nexthop, host, **LEVELS[level])), sink) == expected


@exercises("smtp_tls_per_site")
@pytest.mark.parametrize("main, expected", [
    (sites("MUST", "", smtp_tls_security_level="may", smtp_tls_policy_maps="inline:{ {elsewhere.example = none} }"), TAKEN),
    (sites("NONSENSE", "", smtp_tls_security_level="may"), WRONG),
    ({"smtp_tls_security_level": "may", "smtp_tls_per_site": "fail:x"}, WRONG),
])
def test_sites_that_do_not_count(mta, dns, keys, server, main, expected):  # noqa: F811
    """With smtp_tls_policy_maps there is no other table; a table or word that is broken keeps mail back."""
    dns(ZONE)
    server("domain")
    assert outcome_of(run(mta, keys, **main), "dest.example") == expected
