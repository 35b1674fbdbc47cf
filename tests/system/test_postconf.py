"""postconf: what is shown and warned of, and that editing keeps everything else."""
import concurrent.futures
import json
import os
import subprocess

import pytest

import postern

MAIN = """\
# top
relayhost = a
# c1
  b

myorigin = x
relayhost = c
last = $myorigin"""
MASTER = """\
# c
foo unix - n n - 0 other
 -o a=b
# d
 -o c=d

bar inet n n n - 0 other arg
foo inet n n n - 0 third"""


@pytest.fixture
def place(tmp_path):
    (tmp_path / "main.cf").write_text("")
    (tmp_path / "master.cf").write_text("")
    return tmp_path


def postconf(place, *argv, check=True):
    done = subprocess.run([os.path.join(postern.BIN, "postconf"), "-c", str(place), *argv], text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
    if check:
        assert done.returncode == 0, done.stderr
    return done


def shown(place, *argv):
    return postconf(place, *argv).stdout.replace(str(place), "DIR")


def warned(place, *argv):
    return postconf(place, *argv).stderr.replace(str(place), "DIR").replace("postconf: warning: ", "")


def test_set_values(place):
    (place / "main.cf").write_text("relayhost =  a\n  b   c\nmyorigin = $own\nown = ${relayhost?{x}:{y}}\n")
    assert shown(place, "-n") == "config_directory = DIR\nmyorigin = $own\nown = ${relayhost?{x}:{y}}\nrelayhost = a b c\n"
    assert shown(place, "-nx", "myorigin") == "myorigin = x\n"
    assert shown(place, "-nh", "relayhost") == "a b c\n"
    assert shown(place, "-nH") == "config_directory\nmyorigin\nown\nrelayhost\n"
    assert shown(place, "-C", "user") == "own = ${relayhost?{x}:{y}}\n"
    assert shown(place, "-d", "relayhost", "myorigin") == "relayhost =\nmyorigin = $myhostname\n"
    assert shown(place, "-x", "-o", "relayhost=", "myorigin") == "myorigin = y\n"
    assert [json.loads(line) for line in shown(place, "-nj").splitlines()][3] == {"relayhost": "a b c"}


def test_names_nothing_reads(place):
    (place / "main.cf").write_text("relay_host = a\nmyorigin = $no_such\nsmtpd_restriction_classes = mine, other\nmine = permit\n"
                                   "virtual_alias_maps = proxy:ldap:people\npeople_search_base = x\npeople_nonsense = y\n")
    (place / "master.cf").write_text("x unix - n n - - pipe -o q=1\n")
    lines = sorted(warned(place, "-n").splitlines())
    assert lines == ["DIR/main.cf: undefined parameter: no_such", "DIR/main.cf: undefined parameter: other",
                     "DIR/main.cf: unused parameter: people_nonsense=y", "DIR/main.cf: unused parameter: relay_host=a",
                     "DIR/master.cf: unused parameter: q=1"]
    assert "nosuch: unknown parameter" in warned(place, "nosuch")


def test_settings_without_effect(place):
    (place / "main.cf").write_text("berkeley_db_read_buffer_size = 1\nrelayhost = x\n")
    assert shown(place, "-n", "-i") == "berkeley_db_read_buffer_size = 1\n"


def test_read_only_names(place):
    (place / "main.cf").write_text("process_name = y\n")
    (place / "master.cf").write_text("relay unix - n n - - smtp -o service_name=z -o syslog_name=m/$service_name/$process_name\n")
    assert warned(place, "-Px").splitlines() == ["DIR/main.cf: read-only parameter assignment: process_name=y",
                                                 "DIR/master.cf: read-only parameter assignment: service_name=z"]
    assert shown(place, "-Px") == "relay/unix/syslog_name = m/relay/smtp\n"


def test_edit_keeps_the_rest(place):
    main = place / "main.cf"
    main.write_text(MAIN)
    os.chmod(main, 0o640)
    done = postconf(place, "relayhost=new", "zz=1", "aa = 2  3 ", "mm=")
    assert "multiple entries for \"relayhost\"" in done.stderr
    assert main.read_text() == "# top\nrelayhost = new\n# c1\n\nmyorigin = x\nrelayhost = new\nlast = $myorigin\nzz = 1\naa = 2  3\nmm = \n"
    assert main.stat().st_mode & 0o777 == 0o640
    main.write_text(MAIN)
    postconf(place, "-#", "relayhost", "nosuch")
    assert main.read_text() == "# top\n#relayhost = a\n# c1\n#  b\n\nmyorigin = x\n#relayhost = c\nlast = $myorigin\n"
    main.write_text(MAIN)
    postconf(place, "-X", "relayhost", "last")
    assert main.read_text() == "# top\n# c1\n\nmyorigin = x\n"


def test_last_request_wins(place):
    done = postconf(place, "-e", "foo=1", "foo=2")
    assert done.stderr == "postconf: warning: ignoring earlier request: 'foo = 1'\n"
    assert (place / "main.cf").read_text() == "foo = 2\n"


@pytest.mark.parametrize("argv, text", [
    (["-e", "relayhost"], "missing '=' after attribute name: \"relayhost\""),
    (["-e", "#x=y"], "-e, -X, or -# accepts no comment input"),
    (["-e", "x=y\nz"], "-e, -X, or -# accepts no multi-line input"),
    (["-X", "x=y"], "specify one of -e -X"),
    (["-e"], "-e requires name=value argument"),
    (["-n", "-d"], "specify one of -d -n"),
    (["-h", "-H"], "specify one of -h -H"),
    (["-nM"], "with option -M, do not specify -n"),
    (["-C", "foo"], "unknown -C option value \"foo\" in \"foo\""),
    (["-M", "a/b/c"], "-M option requires service_name[/type]"),
    (["-MX", "a"], "-Me, -MX or -M# requires service_name/type"),
    (["-F", "a/unix/bogus"], "invalid service attribute name: \"bogus\""),
    (["-F", "a/unix/chroot=z"], "invalid chroot field \"z\" in \"z\""),
    (["-P", "a/unix/x=b c"], "-Pe does not accept whitespace in parameter value"),
    (["-M", "a/xx=a xx - - - - - x"], "invalid type field \"xx\" in \"a xx - - - - - x\""),
    (["-o", "foo"], "invalid parameter override: foo: missing '=' after attribute name"),
])
def test_refused_requests(place, argv, text):
    (place / "master.cf").write_text(MASTER)
    done = postconf(place, *argv, check=False)
    assert done.returncode == 1
    assert done.stderr == "postconf: fatal: %s\n" % text
    assert (place / "master.cf").read_text() == MASTER and (place / "main.cf").read_text() == ""


def test_master_is_edited(place):
    master = place / "master.cf"
    for argv, changed in [
        (["-M", "foo/unix=foo unix - - - - - new -o x=y"], "# c\nfoo        unix  -       -       -       -       -       new\n    -o x=y\n# d\n\n"),
        (["-M#", "foo/unix"], "# c\n#foo unix - n n - 0 other\n# -o a=b\n# d\n# -o c=d\n\n"),
        (["-MX", "foo/unix"], "# c\n# d\n\n"),
        (["-F", "foo/unix/chroot=y"], "# c\nfoo        unix  -       n       y       -       0       other\n    -o a=b\n    -o c=d\n# d\n\n"),
        (["-P", "foo/unix/a=z", "foo/unix/n=m"],
         "# c\nfoo        unix  -       n       n       -       0       other\n    -o a=z\n    -o c=d\n    -o n=m\n# d\n\n"),
        (["-PX", "foo/unix/c"], "# c\nfoo        unix  -       n       n       -       0       other\n    -o a=b\n# d\n\n"),
    ]:
        master.write_text(MASTER)
        postconf(place, *argv)
        assert master.read_text() == changed + "bar inet n n n - 0 other arg\nfoo inet n n n - 0 third\n", argv


def test_new_master_entry(place):
    master = place / "master.cf"
    master.write_text(MASTER)
    postconf(place, "-M", "zip/unix=zip unix - - - - - new -o { x = y z }")
    assert master.read_text() == MASTER + "\nzip        unix  -       -       -       -       -       new\n    -o {x=y z}\n"
    assert shown(place, "-M", "zip") == "zip        unix  -       -       -       -       -       new -o {x=y z}\n"


def test_empty_master(place):
    assert "unmatched" in warned(place, "-F", "a/unix/chroot=n")
    postconf(place, "-M#", "*/inet")
    postconf(place, "-M", "a/unix=a unix - n n - - x")
    assert shown(place, "-M") == "a          unix  -       n       n       -       -       x\n"
    (place / "master.cf").write_text("# only\n\n# comments")
    postconf(place, "-MX", "*/inet")
    assert (place / "master.cf").read_text() == "# only\n\n# comments\n"


def test_one_entry_results(place):
    master = place / "master.cf"
    master.write_text("a unix - n n - - x\nb unix - n n - - y\nc inet n n n - - z\nd inet n n n - - z\n")
    postconf(place, "-M", "*/unix=b unix - - - - - new")
    assert shown(place, "-M", "*/unix") == "b          unix  -       -       -       -       -       new\n"
    postconf(place, "-M", "c/inet=d inet n - - - - new")
    assert shown(place, "-M", "*/inet") == "d          inet  n       -       -       -       -       new\n"


def test_edits_at_the_same_time(place):
    names = ["own%d" % i for i in range(24)]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: postconf(place, "-e", n + "=1"), names))
    assert sorted((place / "main.cf").read_text().splitlines()) == sorted(n + " = 1" for n in names)


def test_full_disk(place):
    with open("/dev/full", "w") as full:
        done = subprocess.run([os.path.join(postern.BIN, "postconf"), "-c", str(place), "-d"], stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1 and "write error" in done.stderr


def test_broken_files(place):
    (place / "main.cf").write_text("relayhost\n")
    done = postconf(place, "-n", check=False)
    assert done.returncode == 1 and done.stderr.endswith("/main.cf, line 1: missing '=' after attribute name: \"relayhost\"\n")
    (place / "main.cf").write_text("myorigin = $myorigin\n")
    done = postconf(place, "-nx", check=False)
    assert done.returncode == 1 and done.stderr.endswith("unreasonable macro call nesting: \"myorigin\"\npostconf: fatal: macro processing error\n")
    (place / "main.cf").unlink()
    done = postconf(place, "-n", check=False)
    assert done.returncode == 1 and done.stderr == "postconf: fatal: open %s/main.cf: No such file or directory\n" % place
