#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/sys.h"
#include "local/local.h"

struct fixture {
	char directory[40], path[60];
	struct buf text;
	struct err err;
	uid_t owner;
};

static struct fixture begin(void)
{
	struct fixture f = {.directory = "/tmp/postern-file.XXXXXX", .text = BUF(100)};

	assert_non_null(mkdtemp(f.directory));
	assert_int_equal(chmod(f.directory, 0755), 0);
	snprintf(f.path, sizeof(f.path), "%s/f", f.directory);
	return f;
}

static void end(struct fixture *f)
{
	unlink(f->path);
	rmdir(f->directory);
	rmdir(f->path);
	rmdir(f->directory);
	buf_free(&f->text);
}

static enum local_file get(struct fixture *f, const struct deliver_user *user)
{
	buf_clear(&f->text);
	return local_file_read(f->path, user, user != NULL, &f->text, &f->owner, &f->err);
}

static void test_file(void **state)
{
	struct fixture f = begin();

	assert_int_equal(get(&f, NULL), LOCAL_FILE_ABSENT);
	assert_true(sys_replace_file(f.path, STR("alice\n"), 0644, NULL));
	assert_int_equal(get(&f, NULL), LOCAL_FILE_READ);
	assert_string_equal(buf_cstr(&f.text), "alice\n");
	assert_int_equal(f.owner, geteuid());
	assert_int_equal(chmod(f.path, 0666), 0);
	assert_int_equal(get(&f, NULL), LOCAL_FILE_REFUSED);
	assert_non_null(strstr(f.err.text, "is world writable"));
	buf_free(&f.text);
	f.text.max = 3;
	assert_int_equal(chmod(f.path, 0644), 0);
	assert_int_equal(get(&f, NULL), LOCAL_FILE_REFUSED);
	assert_non_null(strstr(f.err.text, "larger than"));
	end(&f);
}

static void test_odd_files(void **state)
{
	struct fixture f = begin();

	assert_int_equal(symlink("/etc/passwd", f.path), 0);
	assert_int_equal(get(&f, NULL), LOCAL_FILE_REFUSED);
	unlink(f.path);
	assert_int_equal(mkfifo(f.path, 0644), 0);
	assert_int_equal(get(&f, NULL), LOCAL_FILE_REFUSED);
	unlink(f.path);
	assert_int_equal(mkdir(f.path, 0755), 0);
	assert_int_equal(get(&f, NULL), LOCAL_FILE_REFUSED);
	assert_non_null(strstr(f.err.text, "is not a regular file"));
	end(&f);
}

static void test_as_a_user(void **state)
{
	const struct deliver_user nobody = {.name = "nobody", .uid = 65534, .gid = 65534},
				  other = {.name = "other", .uid = 12345, .gid = 12345};
	struct fixture f = begin();

	if (geteuid() != 0)
		skip();
	assert_true(sys_replace_file(f.path, STR("alice\n"), 0600, NULL));
	assert_int_equal(get(&f, &nobody), LOCAL_FILE_ABSENT);
	assert_int_equal(chown(f.path, 65534, 65534), 0);
	assert_int_equal(get(&f, &nobody), LOCAL_FILE_READ);
	assert_int_equal(chmod(f.path, 0644), 0);
	assert_int_equal(get(&f, &other), LOCAL_FILE_REFUSED);
	assert_non_null(strstr(f.err.text, "has bad owner uid 65534"));
	assert_int_equal(geteuid(), 0);
	end(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_file),
		cmocka_unit_test(test_odd_files),
		cmocka_unit_test(test_as_a_user),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
