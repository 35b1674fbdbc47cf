"""TLS of the SMTP server by rows: settings of a listener, a client, and how they come together: protocol, cipher, the server's certificate, what the
log says of the client, and whether the client may relay. tests/differential/test_smtpd_tls.py asks Debian's Postfix the same."""
import hashlib
import os
import re
import ssl
import subprocess

import pytest

from postern import Client, exercises

V10, V12, V13 = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
MAIN = {"smtpd_relay_restrictions": "permit_mynetworks, reject_unauth_destination", "mynetworks": "192.0.2.1", "smtpd_tls_loglevel": "1", "smtpd_tls_security_level": "may",
        "worker_processes": "1", "smtpd_tls_cert_file": "$keys/rsa.pem", "smtpd_tls_key_file": "$keys/rsa.key", "local_recipient_maps": ""}


@pytest.fixture(scope="session")
def keys(tmp_path_factory):
    """An authority, two below it, server certificates of two kinds, clients of each authority and one that signed itself."""
    folder = tmp_path_factory.mktemp("keys")
    path = str(folder)
    while os.geteuid() == 0 and len(path) > 1 and path != "/tmp":
        os.chmod(path, os.stat(path).st_mode | 0o755)
        path = os.path.dirname(path)

    def run(*argv):
        subprocess.run(["openssl", *argv], cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def certificate(name, issuer=None, authority=False, rsa=False, days=3):
        run(*(["genrsa", "-out", name + ".key", "2048"] if rsa else ["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", name + ".key"]))
        (folder / "ext").write_text("basicConstraints=CA:%s\nsubjectAltName=DNS:%s.example" % ("TRUE" if authority else "FALSE", name))
        run("req", "-new", "-key", name + ".key", "-subj", "/CN=" + name, "-out", "csr")
        signer = ["-signkey", name + ".key"] if issuer is None else ["-CA", issuer + ".pem", "-CAkey", issuer + ".key", "-CAcreateserial"]
        run("x509", "-req", "-in", "csr", *signer, "-days", str(days), "-extfile", "ext", "-out", name + ".pem")

    certificate("ca", authority=True)
    certificate("ca1", "ca", authority=True)
    certificate("ca2", "ca1", authority=True)
    certificate("rsa", "ca", rsa=True)
    certificate("ec", "ca")
    certificate("expired", "ca", days=-1)
    (folder / "expired.chain").write_text((folder / "expired.pem").read_text())
    for name, chain in (("client", ["ca"]), ("deep", ["ca1", "ca"]), ("deeper", ["ca2", "ca1", "ca"]), ("alone", [])):
        certificate(name, chain[0] if chain else None)
        text = "".join((folder / (c + ".pem")).read_text() for c in [name, *chain[:-1]])
        (folder / (name + ".chain")).write_text(text)
    for name in ("rsa", "ec"):
        (folder / (name + ".all")).write_text((folder / (name + ".key")).read_text() + (folder / (name + ".pem")).read_text())
    (folder / "hashed").mkdir()
    (folder / "hashed/ca.pem").write_text((folder / "ca.pem").read_text())
    run("rehash", "hashed")
    return folder


def fingerprint(keys, name, digest="sha256", public=False):
    def openssl(*argv, **keywords):
        return subprocess.run(["openssl", *argv], stdout=subprocess.PIPE, check=True, **keywords).stdout

    certificate = str(keys / (name + ".pem"))
    if public:
        data = openssl("pkey", "-pubin", "-outform", "DER", input=openssl("x509", "-in", certificate, "-noout", "-pubkey"))
    else:
        data = openssl("x509", "-in", certificate, "-outform", "DER")
    return ":".join("%02X" % b for b in hashlib.new(digest, data).digest())


AES128, AES256 = "ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-AES256-GCM-SHA384"
BOTH = AES128 + ":" + AES256
OLD = {"max": V12, "ciphers": BOTH}
ANCIENT = {"max": V10, "ciphers": "ALL:@SECLEVEL=0"}
NO_CERTIFICATE = {"smtpd_tls_cert_file": "none", "smtpd_tls_key_file": ""}
UNAVAILABLE = "454 4.7.0 TLS not available due to local problem"
ASK = {"smtpd_tls_ask_ccert": "yes", "smtpd_tls_CAfile": "$keys/ca.pem"}
DEMAND = dict(ASK, smtpd_tls_req_ccert="yes", smtpd_tls_security_level="encrypt")
LISTS = {"tls_medium_cipherlist": BOTH, "tls_high_cipherlist": AES256, "tls_low_cipherlist": AES128, "tls_export_cipherlist": AES128, "tls_null_cipherlist": AES256}
FULL = r"TLSv1\.3 TLS_\w+ rsa Anonymous 554"


def ciphers(level, **options):
    return dict(LISTS, smtpd_tls_security_level=level, tls_preempt_cipherlist="no", **options)


def with_cipher(cipher):
    return r"TLSv1\.2 %s rsa Anonymous 554" % cipher


def client_is(word, relay=554):
    return r"TLSv1\.3 \S+ rsa %s %d" % (word, relay)


ROWS = [
    # Whether there is TLS at all.
    ({}, {}, FULL),
    ({"smtpd_tls_security_level": "none"}, {}, "not offered"),
    ({"smtpd_tls_security_level": "", "smtpd_use_tls": "yes"}, {}, FULL),
    ({"smtpd_tls_security_level": ""}, {}, "not offered"),
    ({"smtpd_tls_security_level": "", "smtpd_enforce_tls": "yes"}, {"clear": True}, "530 5.7.0 Must issue a STARTTLS command first"),
    ({"smtpd_tls_security_level": "encrypt"}, {"clear": True}, "530 5.7.0 Must issue a STARTTLS command first"),
    ({"smtpd_tls_security_level": "verify"}, {"clear": True}, "530 5.7.0 Must issue a STARTTLS command first"),
    ({"smtpd_tls_security_level": "encrypt", "smtpd_enforce_tls": "no"}, {}, FULL),
    # Protocols: those of "may", and the mandatory ones.
    ({"smtpd_tls_protocols": ">=TLSv1.3"}, {"max": V12}, "failed"),
    ({"smtpd_tls_protocols": "!TLSv1.3"}, {}, r"TLSv1\.2 \S+ rsa Anonymous 554"),
    ({"smtpd_tls_mandatory_protocols": ">=TLSv1.3"}, {"max": V12}, r"TLSv1\.2 \S+ rsa Anonymous 554"),
    ({"smtpd_tls_security_level": "encrypt", "smtpd_tls_mandatory_protocols": ">=TLSv1.3"}, {"max": V12}, "failed"),
    ({"smtpd_tls_security_level": "encrypt", "smtpd_tls_protocols": ">=TLSv1.3"}, {"max": V12}, r"TLSv1\.2 \S+ rsa Anonymous 554"),
    # The settings decide how old or weak it may be, unless certificates are demanded.
    ({}, ANCIENT, r"TLSv1 \S+ rsa Anonymous 554"),
    ({"smtpd_tls_security_level": "encrypt"}, ANCIENT, r"TLSv1 \S+ rsa Anonymous 554"),
    (ASK, ANCIENT, r"TLSv1 \S+ rsa Anonymous 554"),
    (DEMAND, ANCIENT, "failed"),
    ({"smtpd_tls_protocols": ">=TLSv1.2"}, ANCIENT, "failed"),
    ({}, {"max": V12, "ciphers": "aNULL:@SECLEVEL=0"}, r"TLSv1\.2 \S+ nobody Anonymous 554"),
    (ASK, {"max": V12, "ciphers": "aNULL:@SECLEVEL=0"}, "failed"),
    # Ciphers: each grade has its list.
    *((ciphers("may", smtpd_tls_ciphers=grade), dict(OLD, ciphers=cipher), with_cipher(cipher) if cipher in good else "failed")
      for grade, good in (("medium", [AES128, AES256]), ("high", [AES256]), ("low", [AES128]), ("export", [AES128]), ("null", [AES256]))
      for cipher in (AES128, AES256)),
    *((ciphers("encrypt", smtpd_tls_mandatory_ciphers=grade), dict(OLD, ciphers=cipher), with_cipher(cipher) if cipher in good else "failed")
      for grade, good in (("medium", [AES128, AES256]), ("high", [AES256])) for cipher in (AES128, AES256)),
    (ciphers("may", smtpd_tls_mandatory_ciphers="high"), dict(OLD, ciphers=AES128), with_cipher(AES128)),
    (ciphers("encrypt", smtpd_tls_ciphers="high"), dict(OLD, ciphers=AES128), with_cipher(AES128)),
    (ciphers("may", smtpd_tls_exclude_ciphers="AES128"), dict(OLD, ciphers=AES128), "failed"),
    (ciphers("may", smtpd_tls_exclude_ciphers="AES128"), OLD, with_cipher(AES256)),
    (ciphers("encrypt", smtpd_tls_exclude_ciphers="AES128"), dict(OLD, ciphers=AES128), "failed"),
    (ciphers("may", smtpd_tls_mandatory_exclude_ciphers="AES128"), dict(OLD, ciphers=AES128), with_cipher(AES128)),
    (ciphers("encrypt", smtpd_tls_mandatory_exclude_ciphers="AES128"), dict(OLD, ciphers=AES128), "failed"),
    # The server's keys.
    ({"smtpd_tls_eccert_file": "$keys/ec.pem", "smtpd_tls_eckey_file": "$keys/ec.key"}, {"max": V12, "ciphers": "ECDHE-ECDSA-AES256-GCM-SHA384"},
     r"TLSv1\.2 ECDHE-ECDSA-AES256-GCM-SHA384 ec Anonymous 554"),
    ({"smtpd_tls_eccert_file": "$keys/ec.pem", "smtpd_tls_eckey_file": "$keys/ec.key"}, dict(OLD, ciphers=AES256), with_cipher(AES256)),
    ({"smtpd_tls_eccert_file": "$keys/ec.all"}, {"max": V12, "ciphers": "ECDHE-ECDSA-AES256-GCM-SHA384"},
     r"TLSv1\.2 ECDHE-ECDSA-AES256-GCM-SHA384 ec Anonymous 554"),
    ({"smtpd_tls_chain_files": "$keys/ec.all"}, {}, r"TLSv1\.3 \S+ ec Anonymous 554"),
    ({"smtpd_tls_chain_files": "$keys/ec.all, $keys/rsa.all"}, dict(OLD, ciphers=AES256), with_cipher(AES256)),
    (dict(NO_CERTIFICATE, smtpd_tls_eccert_file="$keys/ec.all"), {}, r"TLSv1\.3 \S+ ec Anonymous 554"),
    (NO_CERTIFICATE, {}, "failed"),
    (NO_CERTIFICATE, {"ciphers": "aNULL:@SECLEVEL=0"}, r"TLSv1\.2 \S+ nobody Anonymous 554"),
    # TLS that cannot be had.
    (dict(NO_CERTIFICATE, smtpd_tls_ask_ccert="yes"), {}, UNAVAILABLE),
    ({"smtpd_tls_cert_file": "", "smtpd_tls_key_file": ""}, {}, UNAVAILABLE),
    ({"smtpd_tls_key_file": "$keys/ec.key"}, {}, UNAVAILABLE),
    ({"smtpd_tls_CAfile": "$keys/nothing", "smtpd_tls_security_level": "encrypt"}, {}, UNAVAILABLE),
    # The client's certificate.
    ({"smtpd_tls_CAfile": "$keys/ca.pem"}, {"certificate": "client"}, client_is("Anonymous")),
    (ASK, {}, client_is("Anonymous")),
    (ASK, {"certificate": "client"}, client_is("Trusted")),
    (ASK, {"certificate": "alone"}, client_is("Untrusted")),
    ({"smtpd_tls_ask_ccert": "yes"}, {"certificate": "client"}, client_is("Untrusted")),
    ({"smtpd_tls_ask_ccert": "yes", "smtpd_tls_CApath": "$keys/hashed"}, {"certificate": "client"}, client_is("Trusted")),
    (ASK, {"certificate": "deeper"}, client_is("Trusted")),
    (dict(ASK, smtpd_tls_ccert_verifydepth="1"), {"certificate": "client"}, client_is("Trusted")),
    (dict(ASK, smtpd_tls_ccert_verifydepth="1"), {"certificate": "deep"}, client_is("Trusted")),
    (dict(ASK, smtpd_tls_ccert_verifydepth="1"), {"certificate": "deeper"}, client_is("Untrusted")),
    *((DEMAND, client, "421 4.7.1 mail.test.example Error: No client certificate presented") for client in ({}, OLD)),
    *((DEMAND, dict(client, certificate=name), "421 4.7.1 mail.test.example Error: Client certificate not trusted")
      for client in ({}, OLD) for name in ("alone", "expired")),
    (DEMAND, {"certificate": "client"}, client_is("Trusted")),
    ({"smtpd_tls_CAfile": "$keys/ca.pem", "smtpd_tls_req_ccert": "yes"}, {"certificate": "client"}, client_is("Anonymous")),
    (dict(ASK, smtpd_tls_req_ccert="yes"), {}, client_is("Anonymous")),
    # What it may.
    (dict(ASK, smtpd_recipient_restrictions="permit_tls_all_clientcerts, reject", smtpd_relay_restrictions="permit"), {"certificate": "client"},
     client_is("Trusted", 250)),
    (dict(ASK, smtpd_recipient_restrictions="permit_tls_all_clientcerts, reject", smtpd_relay_restrictions="permit"), {"certificate": "alone"},
     client_is("Untrusted")),
    *((dict(ASK, smtpd_recipient_restrictions="permit_tls_clientcerts, reject", smtpd_relay_restrictions="permit", relay_clientcerts="inline:{ {%s=x} }" % mark,
            smtpd_tls_fingerprint_digest=digest), {"certificate": "alone"}, client_is("Untrusted", reply))
      for mark, digest, reply in (("$alone_sha256", "sha256", 250), ("$alone_key", "sha256", 250), ("$alone_sha1", "sha1", 250), ("$alone_sha1", "sha256", 554))),
    *((dict(ASK, smtpd_recipient_restrictions="check_ccert_access inline:{ {%s=OK} }, reject" % mark, smtpd_relay_restrictions="permit",
            smtpd_tls_fingerprint_digest="sha256"), {"certificate": "alone"}, client_is("Untrusted", reply))
      for mark, reply in (("$alone_sha256", 250), ("$alone_key", 250), ("$alone_sha1", 554))),
    *((dict(ASK, smtpd_recipient_restrictions="check_ccert_access { inline:{ {%s=OK} }, { search_order = %s } }, reject" % (mark, order), smtpd_relay_restrictions="permit",
            smtpd_tls_fingerprint_digest="sha256"), {"certificate": "alone"}, client_is("Untrusted", reply))
      for mark, order, reply in (("$alone_sha256", "cert_fingerprint", 250), ("$alone_key", "cert_fingerprint", 554), ("$alone_key", "pubkey_fingerprint", 250),
                                 ("$alone_sha256", "pubkey_fingerprint", 554), ("$alone_key", "cert_fingerprint, pubkey_fingerprint", 250), ("$alone_key", "subject", 451))),
    (dict(ASK, smtpd_recipient_restrictions="check_ccert_access { inline:{ {$alone_key=OK} } }, reject", smtpd_relay_restrictions="permit", smtpd_tls_fingerprint_digest="sha256"),
     {"certificate": "alone"}, client_is("Untrusted", 250)),
]


NOBODY = {"subject": [(("commonName", "nobody"),)]}


def listeners(rows, keys):
    """The listeners that the rows need, one for each set of options, and the listener of each row."""
    words = {"$keys": str(keys), "$alone_sha256": fingerprint(keys, "alone"), "$alone_sha1": fingerprint(keys, "alone", "sha1"),
             "$alone_key": fingerprint(keys, "alone", public=True)}
    names, services, of_row = {}, {}, []
    for options, _, _ in rows:
        name = names.setdefault(repr(sorted(options.items())), "s%d" % len(names))
        services[name] = {p: re.sub(r"\$\w+", lambda m: words.get(m.group(), m.group()), v) for p, v in options.items()} or {"smtpd_banner": "$myhostname"}
        of_row.append(name)
    return services, of_row


def outcome(instance, listener, keys, **client):
    """Returns when the log has the whole session: its lines are not the next one's."""
    mark = instance.log_size()
    found = talk(instance, listener, keys, mark, **client)
    instance.wait_log(r"disconnect from", since=mark)
    return found


def talk(instance, listener, keys, mark, clear=False, max=V13, ciphers=None, certificate=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(keys / "ca.pem")
    context.maximum_version = max
    if max < V12:
        context.minimum_version = max
    if ciphers:
        context.set_ciphers(ciphers)
    if certificate:
        context.load_cert_chain(keys / (certificate + ".chain"), keys / (certificate + ".key"))
    with Client(instance.ports[listener]) as c:
        if "STARTTLS" not in c.expect(250, "EHLO c.example"):
            return "not offered"
        if clear:
            return c.command("MAIL FROM:<a@c.example>")
        answer = c.command("STARTTLS")
        if not answer.startswith("220"):
            return answer
        try:
            c.socket = context.wrap_socket(c.socket)
            answer = c.command("EHLO c.example")
            if not answer.startswith("250"):
                return answer or "failed"
        except OSError:
            return "failed"
        server = dict(pair[0] for pair in (c.socket.getpeercert() or NOBODY)["subject"])["commonName"]
        found = (c.socket.version(), c.socket.cipher()[0], server)
        c.expect(250, "MAIL FROM:<a@c.example>")
        reply = c.command("RCPT TO:<x@elsewhere.example>")
    word = instance.wait_log(r"(Anonymous|Untrusted|Trusted|Verified) TLS connection established from", since=mark).group(1)
    return " ".join((*found, word, reply[:3]))


def wrong_rows(instance, rows, of_row, keys):
    wrong = []
    for (options, client, expected), name in zip(rows, of_row):
        found = outcome(instance, name, keys, **client)
        if not re.fullmatch(expected, found):
            wrong.append("%s %s:\n  %s\n  %s" % (options, client, found, expected))
    return "\n".join(wrong)


def with_keys(main, keys):
    return {p: v.replace("$keys", str(keys)) for p, v in main.items()}


def batches():
    return [ROWS[start:start + 20] for start in range(0, len(ROWS), 20)]


@exercises(*{p for options, _, _ in ROWS for p in options} - {"smtpd_relay_restrictions", "tls_preempt_cipherlist"},
           "permit_tls_clientcerts", "permit_tls_all_clientcerts", "check_ccert_access")
@pytest.mark.parametrize("batch", range(len(batches())))
def test_rows(mta, keys, batch):
    rows = batches()[batch]
    services, of_row = listeners(rows, keys)
    instance = mta(with_keys(MAIN, keys), services=services).start()
    wrong = wrong_rows(instance, rows, of_row, keys)
    assert not wrong, wrong
