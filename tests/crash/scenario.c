#include "scenario.h"

#include <unistd.h>

#include "base/mem.h"

#define SMALL 700
#define MIDDLE 9000
#define LARGE 300000

struct spool_options scenario_options(const char *directory)
{
	return (struct spool_options){.queue_directory = directory,
		.hash_queue_names = "deferred",
		.hash_queue_depth = 1,
		.owner = geteuid(),
		.group = getegid(),
		.drop_group = getegid()};
}

char scenario_byte(uint64_t number, size_t at)
{
	return (char)('a' + (number * 31 + at * 7 + at / 4096) % 26);
}

static void tell(const char *what, const struct queue_id *id, size_t number)
{
	char line[100];
	int n = snprintf(line, sizeof(line), "%s %s %zu\n", what, id->text, number);

	if (write(SCENARIO_EVENTS, line, (size_t)n) != n)
		_exit(3);
}

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "scenario: %s failed\n", what);
	_exit(2);
}

static void add_content(struct spool_writer *w, size_t size)
{
	uint64_t number = queue_id_number(spool_writer_id(w));
	char piece[10000];

	for (size_t at = 0; at < size;) {
		size_t n = size - at < sizeof(piece) ? size - at : sizeof(piece);

		for (size_t i = 0; i < n; i++)
			piece[i] = scenario_byte(number, at + i);
		must(spool_content(w, (struct str){piece, n}), "content");
		at += n;
	}
}

static struct queue_id finish(struct spool_writer *w, size_t size)
{
	struct spool_recipient to[] = {{.address = "one@example.com"}, {.address = "two@example.com"}};
	struct envelope e = {.sender = "sender@example.org", .recipients = to, .recipient_count = 2};
	struct queue_id id = *spool_writer_id(w);

	tell("begin", &id, size);
	must(spool_commit(&w, &e, NULL), "commit");
	tell("ack", &id, 0);
	return id;
}

static struct queue_id put(struct spool *s, enum spool_queue q, size_t size)
{
	struct spool_writer *w = spool_create(s, q, NULL);

	must(w != NULL, "create");
	add_content(w, size);
	return finish(w, size);
}

static void done(struct spool *s, enum spool_queue q, const struct queue_id *id, uint32_t index)
{
	struct dsn sent = {.action = DSN_RELAYED, .status = "2.0.0", .reason = "sent"};
	struct spool_update u = {index, RECIPIENT_DONE, &sent};

	must(spool_record(s, q, id, &u, 1, true, NULL), "record");
	tell("done", id, index);
}

static void drop(struct spool *s, enum spool_queue q, const struct queue_id *id)
{
	tell("remove", id, 0);
	must(spool_remove(s, q, id, NULL), "remove");
}

static void move(struct spool *s, enum spool_queue from, enum spool_queue to, const struct queue_id *id)
{
	must(spool_move(s, from, to, id, NULL), "move");
}

/* Enough records that the file is written anew. */
static void long_life(struct spool *s, const struct queue_id *id)
{
	char *reason = x_alloc(20001);
	struct dsn late = {.action = DSN_DELAYED, .status = "4.4.1", .reason = reason};
	struct spool_update u = {0, RECIPIENT_PENDING, &late};

	memset(reason, 'r', 20000);
	done(s, QUEUE_DEFERRED, id, 1);
	for (int i = 0; i < 5; i++)
		must(spool_record(s, QUEUE_DEFERRED, id, &u, 1, i == 4, NULL), "record");
	done(s, QUEUE_DEFERRED, id, 0);
	x_free(&reason);
}

/* Slots: filled, moved out, emptied and filled again by shorter and longer messages. */
static void slots(struct spool *s)
{
	struct queue_id a = put(s, QUEUE_INCOMING, MIDDLE), b = put(s, QUEUE_INCOMING, MIDDLE), c, d, e;

	done(s, QUEUE_INCOMING, &a, 0);
	must(spool_schedule(s, QUEUE_INCOMING, &a, 1, 1, 0, NULL), "schedule");
	move(s, QUEUE_INCOMING, QUEUE_DEFERRED, &a);
	drop(s, QUEUE_INCOMING, &b);
	c = put(s, QUEUE_INCOMING, SMALL);
	d = put(s, QUEUE_INCOMING, SMALL);
	done(s, QUEUE_INCOMING, &d, 0);
	done(s, QUEUE_INCOMING, &d, 1);
	drop(s, QUEUE_INCOMING, &d);
	e = put(s, QUEUE_INCOMING, SMALL);
	done(s, QUEUE_INCOMING, &e, 1);
	move(s, QUEUE_INCOMING, QUEUE_HOLD, &c);
	put(s, QUEUE_INCOMING, 2 * MIDDLE);
	done(s, QUEUE_DEFERRED, &a, 1);
	drop(s, QUEUE_DEFERRED, &a);
}

static void files(struct spool *s)
{
	struct queue_id held = put(s, QUEUE_HOLD, MIDDLE), large = put(s, QUEUE_INCOMING, LARGE), dropped;
	struct spool_writer *w = spool_create(s, QUEUE_INCOMING, NULL);

	add_content(w, LARGE);
	must(spool_writer_move(w, QUEUE_HOLD, NULL), "writer move");
	finish(w, LARGE);
	done(s, QUEUE_INCOMING, &large, 0);
	w = spool_create(s, QUEUE_INCOMING, NULL);
	add_content(w, LARGE);
	spool_abort(&w);
	move(s, QUEUE_HOLD, QUEUE_DEFERRED, &held);
	must(spool_flag(s, QUEUE_DEFERRED, &held, ENVELOPE_EXPIRED, NULL), "flag");
	long_life(s, &held);
	dropped = put(s, QUEUE_MAILDROP, SMALL);
	put(s, QUEUE_INCOMING, SMALL);
	drop(s, QUEUE_MAILDROP, &dropped);
	drop(s, QUEUE_INCOMING, &large);
}

void scenario_run(const char *directory)
{
	struct spool_options options = scenario_options(directory);
	struct spool *s = spool_open(&options, NULL);

	must(s != NULL, "open");
	slots(s);
	files(s);
	slots(s);
	spool_close(&s);
}
