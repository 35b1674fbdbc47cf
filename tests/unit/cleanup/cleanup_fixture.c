#include "cleanup_fixture.h"

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

void open_env(struct fixture *f)
{
	struct err err = {""};

	f->resolver = resolver_new(&f->cfg, &err);
	f->env = cleanup_env_new(&f->cfg, f->spool, f->resolver, NULL, &err);
	if (!f->env)
		fail_msg("%s", err.text);
}

void reopen_env(struct fixture *f)
{
	cleanup_env_free(&f->env);
	resolver_free(&f->resolver);
	open_env(f);
}

int fixture_setup(void **state)
{
	struct fixture *f = x_alloc(sizeof(*f));
	struct spool_options options = {.hash_queue_names = "", .owner = getuid(), .group = getgid()};
	struct err err = {""};

	snprintf(f->directory, sizeof(f->directory), "/tmp/test-cleanup-XXXXXX");
	assert_non_null(mkdtemp(f->directory));
	options.queue_directory = f->directory;
	assert_true(spool_make_directories(&options, &err));
	f->spool = spool_open(&options, &err);
	assert_non_null(f->spool);
	f->cfg = test_config();
	f->pool = pool_new(1000);
	buf_init(&f->content, 100 << 20);
	open_env(f);
	*state = f;
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

int fixture_teardown(void **state)
{
	struct fixture *f = *state;

	cleanup_env_free(&f->env);
	resolver_free(&f->resolver);
	spool_close(&f->spool);
	pool_free(&f->pool);
	buf_free(&f->content);
	nftw(f->directory, remove_one, 10, FTW_DEPTH | FTW_PHYS);
	x_free(&f);
	return 0;
}

static void read_back(struct fixture *f)
{
	struct spool_reader *reader;
	struct err err = {""};
	struct str piece;

	assert_int_equal(spool_load(f->spool, QUEUE_INCOMING, &f->id, f->pool, &f->envelope, &err), SPOOL_OK);
	assert_int_equal(spool_open_content(f->spool, QUEUE_INCOMING, &f->id, &reader, &err), SPOOL_OK);
	buf_clear(&f->content);
	while (spool_read_content(reader, &piece, &err) == SPOOL_OK && piece.n)
		buf_str(&f->content, piece);
	spool_reader_free(&reader);
}

struct cleanup *begin(struct fixture *f, bool local)
{
	struct cleanup_options options = {
		.local_rewrite = local, .queue = QUEUE_INCOMING, .client = "c[192.0.2.1]"};
	struct err err = {""};
	struct cleanup *c = cleanup_begin(f->env, &options, &err);

	assert_non_null(c);
	f->id = *cleanup_id(c);
	return c;
}

void end(struct fixture *f, struct cleanup *c)
{
	cleanup_end(&c, &f->result, f->text, sizeof(f->text));
	assert_null(c);
	if (f->result.status == CLEANUP_OK)
		read_back(f);
}

void add_text(struct cleanup *c, const char *text)
{
	for (struct str rest = str_c(text); rest.n;) {
		struct str line = str_first(rest, (size_t)str_find(rest, '\n'));

		cleanup_line(c, line, false);
		rest = str_from(rest, line.n + 1);
	}
}

void send_text(struct fixture *f, bool local, const char *text)
{
	struct cleanup *c = begin(f, local);

	cleanup_sender(c, "sender@example.org", NULL, RET_NONE, 0);
	cleanup_recipient(c, "user@example.com", NULL, NULL, 0);
	add_text(c, text);
	end(f, c);
}

void expect_content(struct fixture *f, const char *wanted)
{
	assert_int_equal(f->result.status, CLEANUP_OK);
	assert_string_equal(buf_cstr(&f->content), wanted);
	assert_int_equal(f->envelope->content_size, f->content.len);
}

bool has(const struct fixture *f, const char *text)
{
	return strstr(buf_cstr(&f->content), text) != NULL;
}
