#include "test_table.h"

#include "base/mem.h"
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

static char directory[] = "/tmp/test-table-XXXXXX";
static char path[100];
static bool made;

const char *test_file(const char *name, const char *text)
{
	FILE *f;

	if (!made)
		assert_non_null(mkdtemp(directory));
	made = true;
	snprintf(path, sizeof(path), "%s/%s", directory, name);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	return path;
}

static int remove_one(const char *name, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(name);
}

void test_files_remove(void)
{
	if (made)
		nftw(directory, remove_one, 10, FTW_DEPTH | FTW_PHYS);
}

struct table *test_table(const char *spec, int flags)
{
	struct err err = {""};
	struct table *t = table_open(spec, flags, &err);

	if (!t)
		fail_msg("%s: %s", spec, err.text);
	return t;
}

struct table *test_source(const char *type, const char *text, int flags)
{
	char *spec = x_asprintf("%s:%s", type, test_file("source", text));
	struct table *t = test_table(spec, flags);

	x_free(&spec);
	return t;
}

void test_lookup(struct table *t, const char *key, const char *wanted)
{
	struct buf value = BUF(TABLE_VALUE_MAX);
	struct err err = {""};
	enum table_status status = table_lookup(t, str_c(key), &value, &err);

	if (status != (wanted ? TABLE_FOUND : TABLE_NOT_FOUND))
		fail_msg("%s: %s: status %d %s", table_spec(t), key, status, err.text);
	if (wanted && strcmp(buf_cstr(&value), wanted) != 0)
		fail_msg("%s: %s: \"%s\" instead of \"%s\"", table_spec(t), key, buf_cstr(&value), wanted);
	buf_free(&value);
}

struct counting {
	size_t index, count;
	const char *text;
};

static void count_warning(void *arg, const char *text)
{
	struct counting *c = arg;

	if (c->count++ == c->index)
		c->text = text;
}

size_t test_warning_count(const struct table *t)
{
	struct counting c = {0};

	table_warnings(t, count_warning, &c);
	return c.count;
}

void test_warning(const struct table *t, size_t index, const char *ending)
{
	struct counting c = {.index = index};

	table_warnings(t, count_warning, &c);
	if (!c.text || !str_ends(str_c(c.text), str_c(ending)))
		fail_msg("warning %zu of %zu: \"%s\" instead of \"%s\"", index, c.count, c.text ? c.text : "",
			ending);
}

void test_open_fails(const char *spec, const char *ending)
{
	struct err err = {""};
	struct table *t = table_open(spec, TABLE_FOLD, &err);

	if (t || !str_ends(str_c(err.text), str_c(ending)))
		fail_msg("%s: \"%s\" instead of \"%s\"", spec, err.text, ending);
}

char *test_spec(const char *type, const char *name)
{
	char *unused = x_strdup(test_file("unused", ""));
	char *slash = strrchr(unused, '/');
	char *spec = x_asprintf("%s:%.*s/%s", type, (int)(slash - unused), unused, name);

	x_free(&unused);
	return spec;
}

struct table_builder *test_begin(const char *spec, struct table_build_options options)
{
	struct err err = {""};
	struct table_builder *b;

	if (!options.mode)
		options.mode = 0644;
	b = table_build_begin(spec, &options, &err);
	if (!b)
		fail_msg("%s", err.text);
	return b;
}

void test_put(struct table_builder *b, const char *key, const char *value, enum table_build_result wanted)
{
	struct err err = {""};

	assert_int_equal(table_build_put(b, str_c(key), str_c(value), &err), wanted);
}

void test_commit(struct table_builder *b)
{
	struct err err = {""};

	if (!table_build_commit(&b, &err))
		fail_msg("%s", err.text);
	assert_null(b);
}

void test_build(const char *spec, const char *key, const char *value)
{
	struct table_builder *b = test_begin(spec, (struct table_build_options){0});

	test_put(b, key, value, BUILD_ADDED);
	test_commit(b);
}
