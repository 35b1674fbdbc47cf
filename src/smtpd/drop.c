#include "smtpd/drop.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/sys.h"
#include "ipc/submission.h"
#include "smtpd/transaction.h"

#define ANSWER_MAX 65536

struct drop {
	struct pool *pool;
	int to, from;
	pid_t child;
	struct buf content, frame;
	struct submission envelope;
	size_t recipient_cap;
	uint64_t left; /* bytes that the message may still have */
	bool too_big;
	bool broken; /* postdrop reads no more: its answer says why */
};

static bool start_postdrop(struct drop *d, const struct config *cfg, int in, int out, struct err *err)
{
	extern char **environ;
	char *path = x_asprintf("%s/postdrop", cfg->command_directory);
	char *directory = x_strdup(config_directory(cfg));
	char *argv[] = {path, (char[]){"-r"}, (char[]){"-c"}, directory, NULL};
	posix_spawn_file_actions_t actions;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
	posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
	errno = posix_spawn(&d->child, path, &actions, NULL, argv, environ);
	if (errno != 0)
		err_errno(err, "execute %s", path);
	posix_spawn_file_actions_destroy(&actions);
	x_free(&path);
	x_free(&directory);
	return errno == 0;
}

static bool open_pipes(struct drop *d, const struct config *cfg, struct err *err)
{
	int in[2] = {-1, -1}, out[2] = {-1, -1};
	bool ok;

	if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0)
		ok = err_errno(err, "pipe");
	else
		ok = start_postdrop(d, cfg, in[0], out[1], err);
	sys_close(&in[0]);
	sys_close(&out[1]);
	d->to = in[1];
	d->from = out[0];
	return ok;
}

static void drop_free(struct drop **dp)
{
	struct drop *d = *dp;

	sys_close(&d->to);
	sys_close(&d->from);
	if (d->child > 0)
		while (waitpid(d->child, NULL, 0) < 0 && errno == EINTR)
			continue;
	buf_free(&d->content);
	buf_free(&d->frame);
	x_free(&d->envelope.recipients);
	pool_free(&d->pool);
	x_free(dp);
}

struct drop *drop_begin(
	const struct config *cfg, const char *sender, const struct mail_options *options, struct err *err)
{
	struct drop *d = x_alloc(sizeof(*d));

	d->pool = pool_new(1024);
	d->to = d->from = -1;
	d->content = BUF(SUBMISSION_PIECE);
	d->frame = BUF(FRAME_MAX);
	d->left = cfg->message_size_limit > 0 ? (uint64_t)cfg->message_size_limit : UINT64_MAX;
	d->envelope = (struct submission){.sender = pool_strdup(d->pool, sender),
		.envid = pool_strdup(d->pool, options->envid),
		.body = options->body,
		.verp = pool_strdup(d->pool, options->verp),
		.ret = options->ret};
	if (!open_pipes(d, cfg, err))
		drop_free(&d);
	return d;
}

void drop_recipient(struct drop *d, const char *address, int notify)
{
	struct submission *e = &d->envelope;

	if (e->recipient_count == d->recipient_cap) {
		d->recipient_cap = d->recipient_cap ? d->recipient_cap * 2 : 8;
		e->recipients = x_realloc(e->recipients, d->recipient_cap * sizeof(*e->recipients));
	}
	/* A submission has one NOTIFY for all: what recipients do not agree on is left to the default. */
	e->notify = e->recipient_count == 0 || e->notify == notify ? notify : 0;
	e->recipients[e->recipient_count++] = pool_strdup(d->pool, address);
}

static void send_frame(struct drop *d)
{
	if (!d->broken && (d->frame.over || !sys_write_all(d->to, d->frame.data, d->frame.len)))
		d->broken = true;
	buf_clear(&d->frame);
}

static void send_content(struct drop *d)
{
	if (d->content.len == 0)
		return;
	submission_content_encode(&d->frame, buf_slice(&d->content));
	send_frame(d);
	buf_clear(&d->content);
}

void drop_text(struct drop *d, struct str lines)
{
	while (lines.n > 0) {
		struct str part = str_first(lines, SUBMISSION_PIECE - d->content.len);

		buf_str(&d->content, part);
		lines = str_from(lines, part.n);
		if (d->content.len == SUBMISSION_PIECE)
			send_content(d);
	}
}

bool drop_line(struct drop *d, struct str line, bool partial)
{
	size_t n = line.n + (partial ? 0 : 2);

	if (d->too_big || n > d->left) {
		d->too_big = true;
		return false;
	}
	d->left -= n;
	drop_text(d, line);
	if (!partial)
		drop_text(d, STR("\r\n"));
	return !d->broken;
}

static void read_answer(struct drop *d, struct buf *in)
{
	char piece[4096];
	ssize_t n;

	while ((n = read(d->from, piece, sizeof(piece))) != 0) {
		if (n < 0 && errno != EINTR)
			return;
		if (n > 0 && !buf_add(in, piece, (size_t)n))
			return;
	}
}

/* Only a queue id means that the message is safe. */
static bool take_answer(struct drop *d, struct queue_id *id, char *text, size_t text_size)
{
	struct submission_answer answer = {0};
	struct buf in = BUF(ANSWER_MAX);
	struct cursor fields;
	uint16_t type;
	size_t used;
	bool good;

	read_answer(d, &in);
	good = frame_parse(buf_slice(&in), &type, &fields, &used) == 1 && type == FRAME_SUBMIT_ANSWER &&
	       submission_answer_decode(fields, d->pool, &answer) && answer.queue_id;
	if (good)
		snprintf(id->text, sizeof(id->text), "%s", answer.queue_id);
	else
		snprintf(
			text, text_size, "Error: %s", answer.error ? answer.error : "queue file write error");
	buf_free(&in);
	return good;
}

void drop_end(
	struct drop **dp, struct cleanup_result *result, struct queue_id *id, char *text, size_t text_size)
{
	struct drop *d = *dp;

	*result = (struct cleanup_result){.status = CLEANUP_TROUBLE, .dsn = "4.3.0", .text = text};
	if (d->too_big) {
		*result = (struct cleanup_result){.status = CLEANUP_TOO_BIG, .dsn = "5.3.4", .text = text};
		snprintf(text, text_size, "Error: message file too big");
	} else {
		send_content(d);
		submission_encode(&d->frame, &d->envelope);
		send_frame(d);
		sys_close(&d->to);
		if (take_answer(d, id, text, text_size))
			result->status = CLEANUP_OK;
	}
	drop_free(dp);
}

void drop_abort(struct drop **d)
{
	if (*d)
		drop_free(d);
}
