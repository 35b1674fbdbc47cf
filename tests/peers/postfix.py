"""Debian's Postfix as neighbour, without installing it: a private instance for differential tests and benchmarks, and its smtp-source and smtp-sink."""
import contextlib
import itertools
import os
import re
import socket
import subprocess
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../system"))
import postern  # noqa: E402

ADDRESSES = itertools.count(1)
TREE = os.path.join(os.path.abspath(postern.BUILD), "peers/postfix")


def fetch():
    """tools/run-tests fetches before it enters the namespaces, which have no network."""
    if subprocess.run([os.path.join(HERE, "fetch-postfix"), TREE]).returncode:
        pytest.skip("Debian's postfix packages are not there", allow_module_level=True)
    return TREE


def tool(name):
    """argv prefix and environment of a program that needs only the package's libraries (smtp-source, smtp-sink, qshape ...)."""
    fetch()
    libraries = [TREE + "/usr/lib/postfix", TREE + "/usr/lib/x86_64-linux-gnu"]
    return [TREE + "/usr/sbin/" + name], dict(os.environ, LD_LIBRARY_PATH=":".join(libraries))


def command(*argv, **keywords):
    """Runs a command of the package as if it were installed; root only."""
    fetch()
    return subprocess.run([os.path.join(HERE, "in-postfix"), TREE, *argv], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **keywords)


MASTER = """\
pickup    unix  n       -       n       60      1       pickup
cleanup   unix  n       -       n       -       0       cleanup
qmgr      unix  n       -       n       300     1       qmgr
tlsmgr    unix  -       -       n       1000?   1       tlsmgr
rewrite   unix  -       -       n       -       -       trivial-rewrite
bounce    unix  -       -       n       -       0       bounce
defer     unix  -       -       n       -       0       bounce
trace     unix  -       -       n       -       0       bounce
verify    unix  -       -       n       -       1       verify
flush     unix  n       -       n       1000?   0       flush
proxymap  unix  -       -       n       -       -       proxymap
proxywrite unix -       -       n       -       1       proxymap
smtp      unix  -       -       n       -       -       smtp
relay     unix  -       -       n       -       -       smtp
lmtp      unix  -       -       n       -       -       lmtp
showq     unix  n       -       n       -       -       showq
error     unix  -       -       n       -       -       error
retry     unix  -       -       n       -       -       error
discard   unix  -       -       n       -       -       discard
local     unix  -       n       n       -       -       local
virtual   unix  -       n       n       -       -       virtual
anvil     unix  -       -       n       -       1       anvil
scache    unix  -       -       n       -       1       scache
postlog   unix-dgram n  -       n       -       1       postlogd
"""


@contextlib.contextmanager
def beside(side, tmp_path_factory, *arguments):
    """side(module, directory, ...) made for Postern and for Postfix; both are closed at the end."""
    pair = [side(module, str(tmp_path_factory.mktemp(name)), *arguments) for module, name in ((postern, "ours"), (sys.modules[__name__], "theirs"))]
    yield pair
    for one in pair:
        one.close()


class Instance(postern.Instance):
    """The same interface as postern.Instance; below /tmp, as root."""

    def __init__(self, directory, main=None, services=None, master="", **keywords):
        fetch()
        super().__init__(directory, main, services, master, basic=MASTER, **keywords)
        self.main.update(command_directory="/usr/sbin", daemon_directory="/usr/lib/postfix/sbin", mail_owner="postfix", setgid_group="postdrop")
        subprocess.run(["chown", "891", self.data], check=True)
        if "postfix:x:891" not in open(TREE + "/etc/passwd").read():
            command("chown", "postfix", self.data, check=True)
        self.write_config()

    def command(self, name, *arguments, check=True, **keywords):
        done = command(name, *arguments, env=dict(os.environ, MAIL_CONFIG=self.config), timeout=4 * postern.PATIENCE, **keywords)
        if check and done.returncode:
            raise AssertionError("%s: exit %d\n%s\n%s" % (name, done.returncode, done.stdout, self.log()))
        return done

    def wait_logged(self):
        """Lines reach the file by way of another process, one after the other: that of a client's address that was never there before is the last of them."""
        address = "127.99.%d.%d" % divmod(next(ADDRESSES), 250)
        with socket.create_connection(("127.0.0.1", self.port), postern.PATIENCE, (address, 0)) as client:
            self.wait_log(r"smtpd\[\d+\]: connect from \S+\[%s\]" % re.escape(address))
            client.sendall(b"QUIT\r\n")
            while client.recv(1000):
                pass

    def control(self, verb, check=True):
        """Its start waits some seconds for a master process with many services and then fails without a word, on a busy machine."""
        if verb == "start" and check:
            return postern.wait_for(self.started_once, 60, "start of Postfix")
        return self.command("postfix", "-c", self.config, verb, check=check)

    def started_once(self):
        done = self.control("start", check=False)
        return done if not done.returncode or not self.control("status", check=False).returncode else None
