/*
 * Puts messages into a queue directory, for tests and measurements without an SMTP server.
 *
 *   queue_put [-c config_dir] [-n messages] [-r recipients] [-d domain] [-s sender] [-b bytes] [-N notify]
 * [-D]
 * [-Q]
 *
 * Recipients are uN.M@domain (message N, recipient M); %d in the domain is the message's number.
 * -D: deferred, due at once. -Q: no notification. Prints the queue ids.
 */
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/sys.h"
#include "config/config.h"
#include "ipc/queue.h"
#include "spool/spool.h"

struct order {
	const char *config_dir, *domain, *sender;
	int messages, recipients, bytes, notify;
	bool deferred, quiet;
};

static struct spool *open_spool(const struct config *cfg)
{
	struct spool_options options = {
		.queue_directory = ".",
		.hash_queue_names = cfg->hash_queue_names,
		.hash_queue_depth = cfg->hash_queue_depth,
		.long_ids = cfg->enable_long_queue_ids,
		.owner = (uid_t)-1,
		.group = (gid_t)-1,
	};
	struct err err = {""};
	struct spool *s;

	sys_user(cfg->mail_owner, &options.owner, &options.group, NULL);
	s = spool_open(&options, &err);
	if (s == NULL) {
		fprintf(stderr, "queue_put: %s\n", err.text);
		exit(1);
	}
	return s;
}

static const char *domain_of(const struct order *o, int n, struct pool *pool)
{
	struct str d = str_c(o->domain);
	const char *mark = strstr(o->domain, "%d");

	if (mark == NULL)
		return o->domain;
	return pool_printf(pool, STR_FMT "%d%s", (int)(mark - d.p), d.p, n, mark + 2);
}

static void content(const struct order *o, struct spool_writer *w, int n)
{
	char head[200];
	int len = snprintf(head, sizeof(head), "From: <%s>\r\nSubject: message %d\r\n\r\n", o->sender, n);
	static const char line[] = "0123456789012345678901234567890123456789012345678901234567890123\r\n";

	spool_content(w, (struct str){head, (size_t)len});
	for (int left = o->bytes; left > 0; left -= (int)sizeof(line) - 1)
		spool_content(w, (struct str){line, sizeof(line) - 1});
}

static bool put(const struct order *o, struct spool *s, struct queue_notifier *notifier, int n)
{
	struct pool *pool = pool_new(4096);
	enum spool_queue q = o->deferred ? QUEUE_DEFERRED : QUEUE_INCOMING;
	struct err err = {""};
	struct spool_writer *w = spool_create(s, q, &err);
	struct envelope e = {.sender = o->sender, .recipient_count = (size_t)o->recipients};
	const char *domain = domain_of(o, n, pool);
	bool ok;

	e.recipients = pool_alloc(pool, e.recipient_count * sizeof(*e.recipients));
	for (int i = 0; i < o->recipients; i++) {
		e.recipients[i].address = pool_printf(pool, "u%d.%d@%s", n, i, domain);
		e.recipients[i].notify = o->notify;
	}
	content(o, w, n);
	ok = spool_commit(&w, &e, &err);
	if (ok)
		printf("%s\n", e.id.text);
	else
		fprintf(stderr, "queue_put: %s\n", err.text);
	if (ok && !o->quiet)
		queue_notify(notifier, q, &e.id);
	pool_free(&pool);
	return ok;
}

static void parse(int argc, char **argv, struct order *o)
{
	int c;

	while ((c = getopt(argc, argv, "c:n:r:d:s:b:DQN:")) != -1) {
		int number = optarg ? (int)strtol(optarg, NULL, 10) : 0;

		if (c == 'c')
			o->config_dir = optarg;
		else if (c == 'd')
			o->domain = optarg;
		else if (c == 's')
			o->sender = optarg;
		else if (c == 'n')
			o->messages = number;
		else if (c == 'r')
			o->recipients = number;
		else if (c == 'b')
			o->bytes = number;
		else if (c == 'N')
			o->notify = number;
		else if (c == 'D')
			o->deferred = true;
		else if (c == 'Q')
			o->quiet = true;
		else
			exit(2);
	}
}

int main(int argc, char **argv)
{
	struct order o = {.domain = "site%d.example",
		.sender = "sender@test.example",
		.messages = 1,
		.recipients = 1,
		.bytes = 200};
	struct config_source source = {.program = "queue_put"};
	struct queue_notifier *notifier = queue_notifier_new("qmgr");
	const struct config *cfg;
	struct spool *s;
	struct err err = {""};
	bool ok = true;

	parse(argc, argv, &o);
	source.directory = o.config_dir;
	cfg = config_load(&source, NULL, NULL, &err);
	if (cfg == NULL || chdir(cfg->queue_directory) < 0) {
		fprintf(stderr, "queue_put: %s\n", err.text[0] ? err.text : "no queue directory");
		return 1;
	}
	s = open_spool(cfg);
	for (int i = 0; i < o.messages && ok; i++)
		ok = put(&o, s, notifier, i);
	queue_notifier_free(&notifier);
	spool_close(&s);
	config_free(&cfg);
	return ok ? 0 : 1;
}
