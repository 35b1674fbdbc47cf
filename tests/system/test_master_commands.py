"""postern check, postlog, and the scripts behind make run and make demo."""
import grp
import os
import pwd
import re
import shutil
import subprocess

import pytest

from postern import BIN, BUILD, ROOT_USER, exercises, free_port

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def test_check_makes_directories_and_says_nothing_of_a_sound_one(mta):
    a = mta()
    done = a.control("check")
    for name in ("active", "corrupt", "deferred", "hold", "incoming", "maildrop", "pid", "private", "public"):
        assert os.path.isdir(os.path.join(a.queue, name)), name
    complaints = [l for l in done.stdout.splitlines() if "set-gid" not in l and "group" not in l and "not acted on" not in l]
    assert not [l for l in complaints if "warning" in l and a.directory in l]


@pytest.mark.parametrize("setting, text", [
    (("no_such_parameter", "x"), "no_such_parameter"),
    (("smtpd_timeout", "soon"), "smtpd_timeout"),
])
def test_check_names_what_is_odd(mta, setting, text):
    a = mta(main=dict([setting]))
    done = a.control("check", check=False)
    assert re.search("warning: .*" + text, done.stdout), done.stdout


@pytest.mark.skipif(not ROOT_USER, reason="owners matter to root alone")
def test_check_names_files_that_others_may_change(mta):
    a = mta()
    os.chmod(a.config + "/master.cf", 0o666)
    os.chown(a.config + "/main.cf", 65534, -1)
    done = a.control("check")
    assert "group or other writable: %s/master.cf" % a.config in done.stdout
    assert "not owned by root: %s/main.cf" % a.config in done.stdout


@exercises("setgid_group", "command_directory", "data_directory")
@pytest.mark.skipif(not ROOT_USER, reason="owners matter to root alone")
def test_set_permissions(mta, tmp_path):
    """An installation that somebody copied: directories and commands of root's."""
    for name in ("postqueue", "postdrop"):
        shutil.copy(os.path.realpath(os.path.join(BIN, name)), tmp_path)
    a = mta({"command_directory": str(tmp_path)})
    os.chown(a.data, 0, 0)
    os.chmod(a.data, 0o755)
    assert a.control("start", check=False).returncode == 1
    assert a.control("set-permissions").stdout == ""
    a.start()
    owner, group = pwd.getpwnam(a.main["mail_owner"]).pw_uid, grp.getgrnam(a.main["setgid_group"]).gr_gid
    data, command = os.stat(a.data), os.stat(tmp_path / "postdrop")
    assert (data.st_uid, data.st_mode & 0o7777) == (owner, 0o700)
    assert (command.st_uid, command.st_gid, command.st_mode & 0o7777) == (0, group, 0o2755)


def test_check_names_a_bad_service(mta):
    a = mta(master="odd unix - - n - - smtp\n  -o smtp_connect_timeout=never\n")
    done = a.control("check", check=False)
    assert re.search(r"warning: service odd \(master.cf, line \d+\): .*smtp_connect_timeout", done.stdout), done.stdout


def test_check_names_a_service_without_program(mta):
    a = mta(master="gate inet n - n - 1 postscreen\nflush unix - - n - 0 flush\n")
    done = a.control("check", check=False)
    assert re.search(r"warning: service gate \(master.cf, line \d+\) is not available: there is no program .*/postscreen\n", done.stdout), done.stdout
    assert "service flush" not in done.stdout


def test_relative_configuration_directory(mta):
    a = mta()
    for verb in ("start", "status", "reload", "stop"):
        done = subprocess.run([os.path.join(BIN, "postern"), "-c", "conf", verb], cwd=a.directory, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, timeout=60)
        assert done.returncode == 0, done.stdout
    assert "reload -- version" in a.log()


@exercises("maillog_file", "syslog_name")
def test_postlog(mta):
    a = mta().start()
    a.command("postlog", "two", "words")
    a.command("postlog", "-p", "warn", "-t", "script", "careful\nnow")
    a.command("postlog", input="first\nsecond\n")
    log = a.log()
    assert re.search(r"postfix/postlog\[\d+\]: two words\n", log)
    assert re.search(r"script\[\d+\]: warning: careful\?now\n", log)
    assert re.search(r"postlog\[\d+\]: first\n(?:.*\n)*?.*postlog\[\d+\]: second\n", log)
    assert a.command("postlog", "-p", "loud", "x", check=False).returncode == 1


@exercises("log_format")
def test_lines_as_json(mta):
    import json
    a = mta(main={"log_format": "json"}).start()
    a.client().command("QUIT")
    a.wait_log("disconnect")
    lines = [json.loads(l) for l in a.log().splitlines()]
    assert any(l.get("program", "").endswith("master") for l in lines), lines[0]


def test_demo():
    done = subprocess.run([os.path.join(ROOT, "tools/demo.sh"), BUILD], env=dict(os.environ, PORT=str(free_port())), stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=120)
    assert done.returncode == 0, done.stdout
    assert "status=sent" in done.stdout and "Subject: demonstration" in done.stdout
