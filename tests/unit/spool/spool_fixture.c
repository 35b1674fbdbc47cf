#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "spool_fixture.h"
#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

int fixture_setup(void **state)
{
	struct fixture *f = x_alloc(sizeof(*f));
	const char *base = getenv("TMPDIR");

	snprintf(f->directory, sizeof(f->directory), "%s/spool.XXXXXX",
		base && strlen(base) < 40 ? base : "/tmp");
	assert_non_null(mkdtemp(f->directory));
	f->options = (struct spool_options){.queue_directory = f->directory,
		.hash_queue_names = "deferred",
		.hash_queue_depth = 1,
		.owner = geteuid(),
		.group = getegid(),
		.drop_group = getegid()};
	assert_true(spool_make_directories(&f->options, NULL));
	f->spool = spool_open(&f->options, NULL);
	assert_non_null(f->spool);
	f->pool = pool_new(4096);
	*state = f;
	return 0;
}

void fixture_reopen(struct fixture *f)
{
	spool_close(&f->spool);
	f->spool = spool_open(&f->options, NULL);
	assert_non_null(f->spool);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

int fixture_teardown(void **state)
{
	struct fixture *f = *state;

	spool_close(&f->spool);
	pool_free(&f->pool);
	nftw(f->directory, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	x_free(&f);
	return 0;
}

struct queue_id fixture_write(struct fixture *f, enum spool_queue q, struct str content)
{
	struct spool_recipient recipients[] = {
		{.address = "one@example.com"},
		{.address = "two@example.net",
			.original = "Two@example.net",
			.orcpt = "rfc822;2@example.net",
			.notify = NOTIFY_DELAY},
		{.address = "three@example.org"},
	};
	struct spool_attribute attributes[] = {{"client_name", "client.example"}, {"empty", ""}};
	struct envelope e = {.sender = "sender@example.org",
		.envid = "env-1",
		.ret = RET_HDRS,
		.flags = ENVELOPE_8BIT | ENVELOPE_DOTS,
		.attributes = attributes,
		.attribute_count = 2,
		.recipients = recipients,
		.recipient_count = 3};
	struct spool_writer *w = spool_create(f->spool, q, NULL);
	struct queue_id id;

	assert_non_null(w);
	id = *spool_writer_id(w);
	assert_true(spool_content(w, str_first(content, content.n / 3)));
	assert_true(spool_content(w, str_from(content, content.n / 3)));
	assert_int_equal(spool_content_size(w), content.n);
	assert_true(spool_commit(&w, &e, NULL));
	assert_null(w);
	assert_string_equal(e.id.text, id.text);
	return id;
}

int fixture_open(struct fixture *f, enum spool_queue q, const struct queue_id *id)
{
	char path[200];
	int fd;

	snprintf(path, sizeof(path), "%s/%s/%s", f->directory, spool_queue_name(q), id->text);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0) {
		snprintf(path, sizeof(path), "%s/%s/%c/%s", f->directory, spool_queue_name(q),
			"0123456789ABCDEF"[queue_id_number(id) / QUEUE_ID_STEP & 15], id -> text);
		fd = open(path, O_RDWR | O_CLOEXEC);
	}
	assert_true(fd >= 0);
	return fd;
}

off_t fixture_size(struct fixture *f, enum spool_queue q, const struct queue_id *id)
{
	int fd = fixture_open(f, q, id);
	off_t size = lseek(fd, 0, SEEK_END);

	close(fd);
	return size;
}
