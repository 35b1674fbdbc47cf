"""Logins of the SMTP client that failed once, by Debian's Postfix and by us: what is remembered, for whom, and what becomes of the mail."""
import os
import re
import sys

import pytest

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), p) for p in ("../system", "../peers")]
import postern  # noqa: E402
import postfix  # noqa: E402
from test_smtp_client import CLIENT, outcome  # noqa: E402
from test_smtp_sasl import CACHE, REMEMBERED, AuthSink  # noqa: E402

pytestmark = pytest.mark.skipif(not postern.ROOT_USER, reason="the neighbour needs root")


def run(kind, directory, main, verdict):
    sink = AuthSink(mechanisms="PLAIN", verdict=verdict)
    here = "[127.0.0.1]:%d" % sink.port
    settings = dict(CLIENT, relayhost=here, smtp_sasl_auth_enable="yes", smtp_sasl_password_maps="inline:{ {%s = me:wrong} }" % here,
                    smtp_sasl_security_options="noanonymous", **dict(CACHE, **main))
    instance = kind.Instance(directory, settings)
    instance.start()
    found = []
    try:
        for name in ("a", "b"):
            instance.wait_handled(instance.send(sender="", recipients=[name + "@any.example"]))
            found.append(outcome(instance, name + "@any.example", seconds=30)[:3])
    finally:
        instance.stop(check=False)
    return found, [re.sub("AUTH .*", "AUTH", c) for c in sink.commands if c[:4] in ("AUTH", "MAIL")]


@pytest.mark.parametrize("main, verdict, logins", REMEMBERED)
def test_same(tmp_path, main, verdict, logins):
    theirs, ours = run(postfix, str(tmp_path / "theirs"), main, verdict), run(postern, str(tmp_path / "ours"), main, verdict)
    assert ours == theirs
