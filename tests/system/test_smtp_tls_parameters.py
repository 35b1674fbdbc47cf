"""TLS of the SMTP client by rows: settings, a server, and how they come together: what the log says of the server, the cipher, the client's certificate."""
import re

import pytest

from postern import exercises
from test_smtp_client import CLIENT, dns, outcome  # noqa: F401
from test_smtp_parameters import DATA, DOT, MAIL, RCPT, SILENT, Script
from test_smtp_tls import ZONE, TlsSink
from test_smtpd_tls import AES128, AES256, LISTS, V12, fingerprint, keys  # noqa: F401

CA = {"smtp_tls_CAfile": "$keys/ca.pem"}
MUST = {"smtp_tls_security_level": "encrypt"}
MAY = {"smtp_tls_security_level": "may"}
FAILED = "deferred 4.7.5"


def ciphers(level, **options):
    return dict(LISTS, smtp_tls_security_level=level, **options)


def taken(word, cipher=r"\S+", certificate="None"):
    return r"sent 2\.0\.0 %s %s %s" % (word, cipher, certificate)


# Settings, server (certificate and cipher), outcome.
ROWS = [
    (MUST, {}, taken("Untrusted")),
    (dict(MUST, **CA), {}, taken("Trusted")),
    (dict(MUST, smtp_tls_CApath="$keys/hashed"), {}, taken("Trusted")),
    (dict(MUST, **CA), {"name": "deeper"}, taken("Trusted")),
    (dict(MUST, **CA, smtp_tls_scert_verifydepth="1"), {"name": "deep"}, taken("Trusted")),
    (dict(MUST, **CA, smtp_tls_scert_verifydepth="1"), {"name": "deeper"}, taken("Untrusted")),
    *(({"smtp_tls_security_level": "fingerprint", "smtp_tls_fingerprint_cert_match": mark, "smtp_tls_fingerprint_digest": digest}, {"name": "alone"}, expected)
      for mark, digest, expected in (("$alone_sha1", "sha1", taken("Verified")), ("$alone_sha1", "sha256", FAILED), ("$alone_sha256", "sha256", taken("Verified")))),
    (dict(MUST, smtp_tls_cert_file="$keys/client.pem", smtp_tls_key_file="$keys/client.key"), {}, taken("Untrusted", certificate="client")),
    (dict(MUST, smtp_tls_eccert_file="$keys/client.pem", smtp_tls_eckey_file="$keys/client.key"), {}, taken("Untrusted", certificate="client")),
    (dict(MUST, smtp_tls_eccert_file="$keys/ec.all"), {}, taken("Untrusted", certificate="ec")),
    (dict(MUST, smtp_tls_chain_files="$keys/rsa.all"), {}, taken("Untrusted", certificate="rsa")),
    *((ciphers("may", smtp_tls_ciphers=grade), {"cipher": cipher}, taken("Untrusted", cipher) if cipher in good else FAILED)
      for grade, good in (("medium", [AES128, AES256]), ("high", [AES256]), ("low", [AES128]), ("export", [AES128]), ("null", [AES256]))
      for cipher in (AES128, AES256)),
    *((ciphers("encrypt", smtp_tls_mandatory_ciphers=grade), {"cipher": cipher}, taken("Untrusted", cipher) if cipher in good else FAILED)
      for grade, good in (("medium", [AES128, AES256]), ("high", [AES256])) for cipher in (AES128, AES256)),
    (ciphers("may", smtp_tls_mandatory_ciphers="high", smtp_tls_mandatory_exclude_ciphers="AES128"), {"cipher": AES128}, taken("Untrusted", AES128)),
    (ciphers("encrypt", smtp_tls_ciphers="high"), {"cipher": AES128}, taken("Untrusted", AES128)),
    (ciphers("may", smtp_tls_exclude_ciphers="AES128"), {"cipher": AES128}, FAILED),
    (ciphers("encrypt", smtp_tls_exclude_ciphers="AES128"), {"cipher": AES128}, FAILED),
    (ciphers("encrypt", smtp_tls_mandatory_exclude_ciphers="AES128"), {"cipher": AES128}, FAILED),
]


class Server(TlsSink):
    def __init__(self, keys, number, name="rsa", cipher=None):  # noqa: F811
        super().__init__(keys, host="127.0.0.3", port=2500 + number, name="rsa")
        self.context.load_cert_chain(keys / ("%s.chain" % name if name != "rsa" else "rsa.pem"), keys / (name + ".key"))
        if cipher:
            self.context.set_ciphers(cipher)
            self.context.maximum_version = V12


@exercises(*{p for options, _, _ in ROWS for p in options})
def test_rows(mta, dns, keys):  # noqa: F811
    """A transport of its own for each row."""
    dns(ZONE)
    words = {"$keys": str(keys), "$alone_sha256": fingerprint(keys, "alone"), "$alone_sha1": fingerprint(keys, "alone", "sha1")}
    servers, master, routes = [], "", []
    for i, (options, server, _) in enumerate(ROWS):
        servers.append(Server(keys, i, **server))
        master += "to-%d unix - - n - - smtp\n" % i
        master += "".join("  -o { %s = %s }\n" % (p, re.sub(r"\$\w+", lambda m: words.get(m.group(), m.group()), v)) for p, v in options.items())
        routes.append("{ r%d.example = to-%d:[mx.example]:%d }" % (i, i, servers[-1].port))
    instance = mta(dict(CLIENT, smtp_tls_loglevel="1", transport_maps="inline:{ %s }" % " ".join(routes)), master=master).start()
    for i in range(len(ROWS)):
        instance.send(recipients=["u@r%d.example" % i])
    wrong = []
    for i, (options, server, expected) in enumerate(ROWS):
        status, verdict, _, _ = outcome(instance, "u@r%d.example" % i)
        found = "%s %s" % (verdict, status)
        if verdict == "sent":
            line = instance.wait_log(r"(\w+) TLS connection established to mx.example\[127.0.0.3\]:%d: \S+ with cipher (\S+)" % servers[i].port)
            subject = servers[i].clients[0]
            found += " %s %s %s" % (line.group(1), line.group(2), subject and subject[0][0][1])
        if not re.fullmatch(expected, found):
            wrong.append("%s %s:\n  %s\n  %s" % (options, server, found, expected))
    for server in servers:
        server.close()
    assert not wrong, "\n".join(wrong)


@exercises("smtp_starttls_timeout", "smtp_tls_note_starttls_offer")
def test_offers(mta):
    """A server that says no more after STARTTLS, and one whose offer is passed over but noted."""
    silent, ready = Script("220 hello", None, "250-ok", "250 STARTTLS", None, SILENT), Script("220 hello", None, "250-ok", "250 STARTTLS", *MAIL, *RCPT, *DATA, *DOT)
    master = "".join("to-%s unix - - n - - smtp\n%s" % (name, "".join("  -o %s=%s\n" % pair for pair in options.items())) for name, options in {
        "silent": {"smtp_tls_security_level": "may", "smtp_starttls_timeout": "1s"}, "note": {"smtp_tls_security_level": "none", "smtp_tls_note_starttls_offer": "yes"},
        "quiet": {"smtp_tls_security_level": "none"}}.items())
    routes = "inline:{ {silent.example=to-silent:[127.0.0.1]:%d} {note.example=to-note:[127.0.0.1]:%d} {quiet.example=to-quiet:[127.0.0.1]:%d} }" % (
        silent.port, ready.port, ready.port)
    instance = mta(dict(CLIENT, transport_maps=routes), master=master).start()
    for name in ("quiet", "note", "silent"):
        instance.send(recipients=["u@%s.example" % name])
        status = outcome(instance, "u@%s.example" % name)
        assert status[1] == ("deferred" if name == "silent" else "sent")
    assert "timed out" in status[2]
    assert len(re.findall(r"smtp\[\d+\]: (?:\w+: )?Host offered STARTTLS: \[127.0.0.1\]", instance.log())) == 1
