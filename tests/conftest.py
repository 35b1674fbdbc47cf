import glob
import os
import re
import sys

import pytest

# In a jail without /proc, leaks cannot be looked for.
NO_LEAK_SEARCH = r"==\d+==(Can't open /proc/\d+/task|LeakSanitizer has encountered a fatal error|HINT: .*LeakSanitizer|HINT: .*LSAN_OPTIONS).*\n"

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "system"))


def pytest_configure(config):
    config.addinivalue_line("markers", "exercises(*names): parameters and restrictions whose effect the test shows")


@pytest.fixture(scope="session")
def sanitizer_reports(tmp_path_factory):
    """Where every process of the tests, daemons without standard error too, leaves the reports of its sanitizer; None without sanitizers."""
    if not os.environ.get("POSTERN_SANITIZER"):
        return None
    folder = str(tmp_path_factory.mktemp("sanitizer"))
    path = folder
    while os.geteuid() == 0 and len(path) > 1 and path != "/tmp":
        os.chmod(path, os.stat(path).st_mode | 0o755)
        path = os.path.dirname(path)
    os.chmod(folder, 0o1777)
    for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS"):
        os.environ[name] = "%s:log_path=%s/%s" % (os.environ.get(name, ""), folder, name[0])
    os.environ["POSTERN_SANITIZER_REPORTS"] = folder
    return folder


@pytest.fixture(autouse=True)
def no_sanitizer_report(sanitizer_reports, tmp_path):
    """A report of any process fails the test that it ran for. Set up first, so that what the test started has ended."""
    yield
    if sanitizer_reports:
        texts = []
        for path in glob.glob(sanitizer_reports + "/*") + glob.glob("%s/*/queue%s/*" % (tmp_path, sanitizer_reports)):
            with open(path, errors="replace") as f:
                texts.append(f.read())
            os.unlink(path)
        reports = [t for t in texts if re.sub(NO_LEAK_SEARCH, "", t).strip()]
        assert not reports, "\n".join(reports)


@pytest.fixture
def mta(tmp_path, request):
    """Makes instances that are stopped at the end; a failed test shows their logs."""
    import postern
    made = []

    def make(*args, **keywords):
        instance = postern.Instance(str(tmp_path / ("mta%d" % len(made))), *args, **keywords)
        made.append(instance)
        return instance

    yield make
    for instance in made:
        instance.stop(check=False)
        report = getattr(request.node, "postern_failed", False)
        if report:
            print("---- log of %s\n%s" % (instance.directory, instance.log()))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    if outcome.get_result().failed:
        item.postern_failed = True
