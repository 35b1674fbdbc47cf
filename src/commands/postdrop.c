/*
 * postdrop(1): puts a message of a local user into the maildrop queue. Set-group-id, because the users
 * themselves may not write there: what comes in is their word, and only the user id that is recorded is ours.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/sys.h"
#include "commands/command_config.h"
#include "commands/command_log.h"
#include "commands/command_pickup.h"
#include "commands/command_user.h"
#include "ipc/submission.h"

#define READ_PIECE 65536

struct drop {
	const struct config *cfg;
	struct spool *spool;
	struct spool_writer *writer;
	struct buf in;
	int signals; /* descriptor: readable when we shall give up */
	bool done;
};

/* The caller gets the reason by the protocol, the operator in the log. */
static void __attribute__((noreturn, format(printf, 2, 3))) give_up(struct drop *d, const char *fmt, ...)
{
	struct submission_answer answer;
	struct buf out = BUF(4096);
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	spool_abort(&d->writer);
	answer = (struct submission_answer){.error = text};
	submission_answer_encode(&out, &answer);
	if (!sys_write_all(STDOUT_FILENO, out.data, out.len))
		command_say(LOGL_WARNING, "answer: %m");
	if (log_is_open())
		log_warning("uid=%u: %s", getuid(), text);
	exit(EX_TEMPFAIL);
}

/* Nothing of the caller's surroundings shall decide what we do. */
static void clean_environment(void)
{
	char *config = getenv("MAIL_CONFIG") ? x_strdup(getenv("MAIL_CONFIG")) : NULL;

	clearenv();
	if (config)
		setenv("MAIL_CONFIG", config, 1);
	x_free(&config);
}

static int catch_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGQUIT);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void open_spool(struct drop *d)
{
	struct spool_options options = {
		.queue_directory = ".",
		.hash_queue_names = d->cfg->hash_queue_names,
		.hash_queue_depth = d->cfg->hash_queue_depth,
		.long_ids = d->cfg->enable_long_queue_ids,
	};
	struct err err = {""};

	if (chdir(d->cfg->queue_directory) < 0)
		give_up(d, "%s: %m", d->cfg->queue_directory);
	if (!sys_user(d->cfg->mail_owner, &options.owner, &options.group, &err))
		give_up(d, "parameter mail_owner: %s", err.text);
	d->spool = spool_open(&options, &err);
	d->writer = d->spool ? spool_create(d->spool, QUEUE_MAILDROP, &err) : NULL;
	if (!d->writer)
		give_up(d, "%s", err.text);
}

static void take_content(struct drop *d, struct cursor fields)
{
	const long long limit = d->cfg->message_size_limit;
	struct str piece;

	if (!submission_content_decode(fields, &piece))
		give_up(d, "malformed input");
	if (limit > 0 && spool_content_size(d->writer) + piece.n > (uint64_t)limit)
		give_up(d, "message file too big");
	spool_content(d->writer, piece);
}

static void add_attribute(struct envelope *e, const char *name, const char *value)
{
	if (value)
		e->attributes[e->attribute_count++] = (struct spool_attribute){name, value};
}

static void fill_envelope(struct envelope *e, const struct submission *s, struct pool *pool)
{
	*e = (struct envelope){
		.sender = s->sender, .envid = s->envid, .ret = s->ret, .flags = ENVELOPE_LOCAL | s->flags};
	e->attributes = pool_alloc(pool, 5 * sizeof(*e->attributes));
	add_attribute(e, "uid", pool_printf(pool, "%u", getuid()));
	add_attribute(e, "rewrite_context", s->remote ? "remote" : "local");
	add_attribute(e, "full_name", s->full_name);
	add_attribute(e, "body", s->body);
	add_attribute(e, "verp_delimiters", s->verp);
	e->recipients = pool_alloc(pool, s->recipient_count * sizeof(*e->recipients));
	e->recipient_count = s->recipient_count;
	for (size_t i = 0; i < s->recipient_count; i++)
		e->recipients[i] = (struct spool_recipient){.address = s->recipients[i], .notify = s->notify};
}

static void take_envelope(struct drop *d, struct cursor fields)
{
	struct pool *pool = pool_new(4096);
	struct submission s;
	struct envelope e;
	struct buf out = BUF(4096);
	struct err err = {""};

	if (!submission_decode(fields, pool, &s, &err))
		give_up(d, "%s", err.text);
	if (!command_user_may_send_from(d->cfg, s.sender, &err))
		give_up(d, "%s", err.text);
	fill_envelope(&e, &s, pool);
	if (!spool_commit(&d->writer, &e, &err))
		give_up(d, "%s", err.text);
	command_wake_pickup(d->cfg);
	submission_answer_encode(&out, &(struct submission_answer){.queue_id = e.id.text});
	d->done = true;
	if (!sys_write_all(STDOUT_FILENO, out.data, out.len))
		log_debug("answer: %m");
	buf_free(&out);
	pool_free(&pool);
}

static void take_frames(struct drop *d)
{
	struct cursor fields;
	uint16_t type;
	size_t used, at = 0;
	int got = 0;

	while (!d->done && (got = frame_parse(str_from(buf_slice(&d->in), at), &type, &fields, &used)) == 1) {
		at += used;
		if (type == FRAME_SUBMIT_CONTENT)
			take_content(d, fields);
		else if (type == FRAME_SUBMIT_ENVELOPE)
			take_envelope(d, fields);
		else
			give_up(d, "malformed input");
	}
	if (got < 0)
		give_up(d, "malformed input");
	buf_remove(&d->in, 0, at);
}

/* false: end of input. */
static bool read_more(struct drop *d)
{
	struct pollfd pfd[] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = d->signals, .events = POLLIN}};
	char *room = buf_reserve(&d->in, READ_PIECE);
	ssize_t n;

	if (!room)
		give_up(d, "malformed input");
	if (poll(pfd, 2, -1) < 0 && errno != EINTR)
		give_up(d, "poll: %m");
	if (pfd[1].revents)
		give_up(d, "interrupted");
	n = read(STDIN_FILENO, room, READ_PIECE);
	if (n < 0 && errno != EINTR && errno != EAGAIN)
		give_up(d, "read input: %m");
	if (n > 0)
		buf_added(&d->in, (size_t)n);
	return n != 0;
}

static const char *parse(int argc, char **argv, int *verbose)
{
	const char *directory = NULL;
	int c;

	while ((c = getopt(argc, argv, "+c:rv")) != -1) {
		if (c == 'c') {
			directory = optarg;
		} else if (c == 'v') {
			*verbose += getuid() == 0;
		} else if (c != 'r') {
			command_say(LOGL_FATAL, "usage: postdrop [-rv] [-c config_dir]");
			exit(EX_USAGE);
		}
	}
	return directory;
}

int main(int argc, char **argv)
{
	struct drop d = {.in = BUF(FRAME_MAX + 2 * READ_PIECE)};
	struct err err = {""};
	int verbose = 0;
	const char *directory = parse(argc, argv, &verbose);

	clean_environment();
	umask(022);
	d.signals = catch_signals();
	d.cfg = command_config_load("postdrop", directory, &err);
	if (!d.cfg)
		give_up(&d, "%s", err.text);
	command_log_open(d.cfg, "postdrop", verbose);
	if (!command_user_allowed(
		    "authorized_submit_users", d.cfg->authorized_submit_users, "submit mail", &err))
		give_up(&d, "%s", err.text);
	open_spool(&d);
	while (!d.done) {
		if (!read_more(&d)) { /* the caller has given up, and told why */
			spool_abort(&d.writer);
			exit(EX_TEMPFAIL);
		}
		take_frames(&d);
	}
	buf_free(&d.in);
	spool_close(&d.spool);
	config_free(&d.cfg);
	return EX_OK;
}
