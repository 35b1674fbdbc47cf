#include "check.h"

#include "base/mem.h"

struct looking {
	struct spool *spool;
	const struct promises *promises;
	size_t seen[CHECK_MESSAGES];
	bool wrong;
};

static struct promised *find(const struct promises *p, const char *id)
{
	for (size_t i = 0; i < p->count; i++)
		if (strcmp(p->messages[i].id.text, id) == 0)
			return (struct promised *)&p->messages[i];
	return NULL;
}

void promises_hear(struct promises *p, const char *line)
{
	char what[16], id[QUEUE_ID_MAX];
	size_t number;
	struct promised *m;

	if (sscanf(line, "%15s %19s %zu", what, id, &number) != 3 || p->count >= CHECK_MESSAGES)
		abort();
	m = find(p, id);
	if (!m) {
		m = &p->messages[p->count++];
		*m = (struct promised){.size = number};
		snprintf(m->id.text, sizeof(m->id.text), "%s", id);
	}
	m->acknowledged |= strcmp(what, "ack") == 0;
	m->removing |= strcmp(what, "remove") == 0;
	if (strcmp(what, "done") == 0 && number < 2)
		m->done[number] = true;
}

static void complain(struct looking *l, enum spool_queue q, const struct queue_id *id, const char *what)
{
	fprintf(stderr, "%s/%s: %s\n", spool_queue_name(q), id->text, what);
	l->wrong = true;
}

static bool content_is_right(struct spool *s, enum spool_queue q, const struct promised *m)
{
	uint64_t number = queue_id_number(&m->id);
	struct spool_reader *r;
	struct str piece = {"", 1};
	size_t at = 0;
	bool ok = spool_open_content(s, q, &m->id, &r, NULL) == SPOOL_OK;

	while (ok && piece.n > 0) {
		ok = spool_read_content(r, &piece, NULL) == SPOOL_OK;
		for (size_t i = 0; ok && i < piece.n; i++, at++)
			ok = piece.p[i] == scenario_byte(number, at);
	}
	spool_reader_free(&r);
	return ok && at == m->size;
}

static void look_at_envelope(struct looking *l, enum spool_queue q, const struct promised *m)
{
	struct pool *pool = pool_new(4096);
	struct envelope *e;
	struct err err = {""};

	if (spool_load(l->spool, q, &m->id, pool, &e, &err) != SPOOL_OK) {
		complain(l, q, &m->id, err.text);
	} else if (e->recipient_count != 2 || e->content_size != m->size) {
		complain(l, q, &m->id, "another envelope");
	} else {
		for (size_t i = 0; i < 2 && !m->removing; i++)
			if (m->done[i] && e->recipients[i].state != RECIPIENT_DONE)
				complain(l, q, &m->id, "a recorded delivery is forgotten");
	}
	pool_free(&pool);
}

static bool look(void *arg, enum spool_queue q, const struct queue_id *id)
{
	struct looking *l = arg;
	struct promised *m = find(l->promises, id->text);

	if (!m) {
		complain(l, q, id, "a message that nobody wrote");
		return true;
	}
	l->seen[m - l->promises->messages]++;
	look_at_envelope(l, q, m);
	if (!content_is_right(l->spool, q, m))
		complain(l, q, id, "content is not what was written");
	return true;
}

static bool look_aside(void *arg, enum spool_queue q, const struct queue_id *id)
{
	struct looking *l = arg;
	struct promised *m = find(l->promises, id->text);

	if (m && m->acknowledged && !m->removing)
		complain(l, q, id, "an acknowledged message was set aside");
	return true;
}

static void look_at_all(struct looking *l)
{
	memset(l->seen, 0, sizeof(l->seen));
	for (enum spool_queue q = QUEUE_MAILDROP; q < QUEUE_CORRUPT; q++)
		spool_scan(l->spool, q, look, l, NULL);
	spool_scan(l->spool, QUEUE_CORRUPT, look_aside, l, NULL);
	for (size_t i = 0; i < l->promises->count; i++) {
		const struct promised *m = &l->promises->messages[i];

		if (m->acknowledged && !m->removing && l->seen[i] == 0)
			complain(l, QUEUE_INCOMING, &m->id, "an acknowledged message is lost");
		if (l->seen[i] > 1)
			complain(l, QUEUE_INCOMING, &m->id, "is there more than once");
	}
}

/* Life goes on: new mail finds its place and disturbs nothing. */
static void write_more(struct looking *l)
{
	struct spool_recipient to = {.address = "later@example.com"};

	for (int i = 0; i < 4; i++) {
		struct envelope e = {.sender = "", .recipients = &to, .recipient_count = 1};
		struct spool_writer *w = spool_create(l->spool, QUEUE_INCOMING, NULL);

		if (!spool_content(w, STR("later\r\n")) || !spool_commit(&w, &e, NULL) ||
			!spool_remove(l->spool, QUEUE_INCOMING, &e.id, NULL))
			l->wrong = true;
	}
}

bool check_directory(const char *directory, const struct promises *p)
{
	struct spool_options options = scenario_options(directory);
	struct err err = {""};
	struct looking l = {.spool = spool_open(&options, &err), .promises = p};
	struct spool_recovery recovery;

	if (!l.spool || !spool_recover(l.spool, &recovery, &err)) {
		fprintf(stderr, "%s: %s\n", directory, err.text);
		return false;
	}
	look_at_all(&l);
	write_more(&l);
	look_at_all(&l);
	spool_close(&l.spool);
	return !l.wrong;
}
