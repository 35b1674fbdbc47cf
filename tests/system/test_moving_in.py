"""A configuration as Debian's package makes it, with nothing changed but where files are."""
import contextlib
import os
import re
import signal
import subprocess

import postern
import pytest
from postern import Client, exercises, processes, wait_for

pytestmark = pytest.mark.skipif(not postern.ROOT_USER, reason="port 25, jails and mailboxes of users")

# As the package writes it when it is set up for an "Internet Site".
DEBIAN_MAIN = """\
# See /usr/share/postfix/main.cf.dist for a commented, more complete version
smtpd_banner = $myhostname ESMTP $mail_name (Debian/GNU)
biff = no
# appending .domain is the MUA's job.
append_dot_mydomain = no
readme_directory = no
compatibility_level = 3.6
smtpd_tls_cert_file=/etc/ssl/certs/ssl-cert-snakeoil.pem
smtpd_tls_key_file=/etc/ssl/private/ssl-cert-snakeoil.key
smtpd_tls_security_level=may
smtp_tls_CApath=/etc/ssl/certs
smtp_tls_security_level=may
smtp_tls_session_cache_database = btree:${data_directory}/smtp_scache
smtpd_relay_restrictions = permit_mynetworks permit_sasl_authenticated defer_unauth_destination
myhostname = mail.example.com
alias_maps = hash:/etc/aliases
alias_database = hash:/etc/aliases
myorigin = /etc/mailname
mydestination = $myhostname, example.com, localhost.com, , localhost
relayhost =
mynetworks = 127.0.0.0/8 [::ffff:127.0.0.0]/104 [::1]/128
mailbox_size_limit = 0
recipient_delimiter = +
inet_interfaces = all
inet_protocols = all
"""
MASTER = """\
smtp      inet  n       -       y       -       -       smtpd
pickup    unix  n       -       y       60      1       pickup
cleanup   unix  n       -       y       -       0       cleanup
qmgr      unix  n       -       n       300     1       qmgr
tlsmgr    unix  -       -       y       1000?   1       tlsmgr
rewrite   unix  -       -       y       -       -       trivial-rewrite
bounce    unix  -       -       y       -       0       bounce
defer     unix  -       -       y       -       0       bounce
trace     unix  -       -       y       -       0       bounce
verify    unix  -       -       y       -       1       verify
flush     unix  n       -       y       1000?   0       flush
proxymap  unix  -       -       n       -       -       proxymap
proxywrite unix -       -       n       -       1       proxymap
smtp      unix  -       -       y       -       -       smtp
relay     unix  -       -       y       -       -       smtp
        -o syslog_name=postfix/$service_name
showq     unix  n       -       y       -       -       showq
error     unix  -       -       y       -       -       error
retry     unix  -       -       y       -       -       error
discard   unix  -       -       y       -       -       discard
local     unix  -       n       n       -       -       local
virtual   unix  -       n       n       -       -       virtual
lmtp      unix  -       -       y       -       -       lmtp
anvil     unix  -       -       y       -       1       anvil
scache    unix  -       -       y       -       1       scache
postlog   unix-dgram n  -       n       -       1       postlogd
maildrop  unix  -       n       n       -       -       pipe
  flags=DRXhu user=vmail argv=/usr/bin/maildrop -d ${recipient}
uucp      unix  -       n       n       -       -       pipe
  flags=Fqhu user=uucp argv=uux -r -n -z -a$sender - $nexthop!rmail ($recipient)
ifmail    unix  -       n       n       -       -       pipe
  flags=F user=ftn argv=/usr/lib/ifmail/ifmail -r $nexthop ($recipient)
bsmtp     unix  -       n       n       -       -       pipe
  flags=Fq. user=bsmtp argv=/usr/lib/bsmtp/bsmtp -t$nexthop -f$sender $recipient
scalemail-backend unix -       n       n       -       2       pipe
  flags=R user=scalemail argv=/usr/lib/scalemail/bin/scalemail-store ${nexthop} ${user} ${extension}
mailman   unix  -       n       n       -       -       pipe
  flags=FRX user=list argv=/usr/lib/mailman/bin/postfix-to-mailman.py ${nexthop} ${user}
"""
PLACES = ("queue_directory", "data_directory", "command_directory", "daemon_directory", "mail_owner", "setgid_group", "maillog_file", "maillog_file_prefixes",
          "mail_spool_directory")
OUTSIDE = "192.0.2.9"  # an address of this machine, and of no network of ours


@pytest.fixture
def debian(mta, tmp_path):
    folder = str(tmp_path)
    (tmp_path / "mailname").write_text("example.com\n")
    (tmp_path / "aliases").write_text("postmaster:    games\n")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=mail.example.com", "-keyout", "snakeoil.key", "-out", "snakeoil.pem"],
                   cwd=folder, check=True, stderr=subprocess.DEVNULL)
    subprocess.run(["ip", "address", "replace", OUTSIDE + "/32", "dev", "lo"], check=True)
    instance = mta(basic=MASTER)
    places = "".join("%s = %s\n" % (name, instance.main[name].rstrip("/") or "/") for name in PLACES)
    instance.ports, instance.services = {"smtp": 25}, {}
    instance.write_config()
    with open(os.path.join(instance.config, "main.cf"), "w") as f:
        f.write(re.sub(r"/etc/(mailname|aliases)|/etc/ssl/\w+/ssl-cert-(snakeoil\.\w+)", lambda m: "%s/%s" % (folder, m[1] or m[2]), DEBIAN_MAIN) + places)
    instance.command("newaliases")
    return instance.start()


def test_stock_configuration(debian):
    for host, relayed in (("127.0.0.1", "250 "), ("::1", "250 "), (OUTSIDE, "454 4.7.1 <u@elsewhere.example>: Relay access denied")):
        with Client(25, host=host) as c:
            c.expect(250, "EHLO client.example")
            c.expect(250, "MAIL FROM:<s@client.example>")
            assert c.command("RCPT TO:<u@elsewhere.example>").startswith(relayed)
            c.expect(250, "RCPT TO:<postmaster+x@localhost>")
            c.expect(550, "RCPT TO:<nobodyofthisname@example.com>")
            c.expect(354, "DATA")
            c.expect(250, "Subject: from %s\r\n\r\nhello\r\n." % host)
    debian.command("sendmail", "postmaster", input="Subject: from a program\n\nhello\n")
    box = os.path.join(debian.mail, "games")
    wait_for(lambda: os.path.exists(box) and open(box).read().count("Subject: from ") == 4, what="four messages in the mailbox")
    assert "from=<root@example.com>" in debian.log()
    assert "warning:" not in debian.log() and "error:" not in debian.log()


@exercises("myorigin")
def test_name_in_a_file(debian, tmp_path):
    """What is wrong with it is told, and changes nothing that runs."""
    Client(25, host=OUTSIDE).close()  # greeted: the server has started
    for text, complaint in ((None, "No such file or directory"), ("\n\n", "mailname is empty"), ("a b\n", 'one name is wanted: "a b"')):
        os.remove(str(tmp_path / "mailname"))
        if text is not None:
            (tmp_path / "mailname").write_text(text)
        done = debian.control("check", check=False)
        assert done.returncode != 0 and "parameter myorigin: " in done.stdout and complaint in done.stdout
        debian.control("reload", check=False)
        old = processes(debian, "smtpd")
        for pid in old:
            with contextlib.suppress(ProcessLookupError):  # a helper ends with its service
                os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not set(old) & set(processes(debian, "smtpd")), what="the end of the old processes")
        with Client(25, host=OUTSIDE) as c:  # of a process that starts now
            c.expect(250, "HELO client.example")
        (tmp_path / "mailname").touch()
    assert "smtpd: bad command startup" not in debian.log()
    (tmp_path / "mailname").write_text(" other.example \nmore\n")
    debian.reload()
    assert "other.example" in debian.command("postern", "-c", debian.config, "resolve", "somebody").stdout
