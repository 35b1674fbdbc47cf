#include "smtpd/drop.h"

#include "ipc/submission_pipe.h"
#include "smtpd/transaction.h"

struct drop {
	struct pool *pool;
	struct submission_pipe *pipe;
	struct submission envelope;
	size_t recipient_cap;
	uint64_t left; /* bytes that the message may still have */
	bool too_big;
};

static void drop_free(struct drop **dp)
{
	struct drop *d = *dp;

	submission_pipe_abort(&d->pipe);
	x_free(&d->envelope.recipients);
	pool_free(&d->pool);
	x_free(dp);
}

struct drop *drop_begin(
	const struct config *cfg, const char *sender, const struct mail_options *options, struct err *err)
{
	struct drop *d = x_alloc(sizeof(*d));

	d->pool = pool_new(1024);
	d->left = cfg->message_size_limit > 0 ? (uint64_t)cfg->message_size_limit : UINT64_MAX;
	d->envelope = (struct submission){.sender = pool_strdup(d->pool, sender),
		.envid = pool_strdup(d->pool, options->envid),
		.body = options->body,
		.verp = pool_strdup(d->pool, options->verp),
		.ret = options->ret};
	d->pipe = submission_pipe_open(cfg->command_directory, config_directory(cfg), err);
	if (!d->pipe)
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

void drop_text(struct drop *d, struct str lines)
{
	submission_pipe_content(d->pipe, lines);
}

bool drop_line(struct drop *d, struct str line, bool partial)
{
	size_t n = line.n + (partial ? 0 : 2);

	if (d->too_big || n > d->left) {
		d->too_big = true;
		return false;
	}
	d->left -= n;
	return submission_pipe_content(d->pipe, line) &&
	       (partial || submission_pipe_content(d->pipe, STR("\r\n")));
}

static bool take_answer(struct drop *d, struct queue_id *id, char *text, size_t text_size)
{
	struct submission_answer answer = {0};
	struct err err;

	if (submission_pipe_finish(&d->pipe, &d->envelope, d->pool, &answer, &err) && answer.queue_id) {
		snprintf(id->text, sizeof(id->text), "%s", answer.queue_id);
		return true;
	}
	snprintf(text, text_size, "Error: %s", answer.error ? answer.error : "queue file write error");
	return false;
}

void drop_end(
	struct drop **dp, struct cleanup_result *result, struct queue_id *id, char *text, size_t text_size)
{
	struct drop *d = *dp;

	*result = (struct cleanup_result){.status = CLEANUP_TROUBLE, .dsn = "4.3.0", .text = text};
	if (d->too_big) {
		*result = (struct cleanup_result){.status = CLEANUP_TOO_BIG, .dsn = "5.3.4", .text = text};
		snprintf(text, text_size, "Error: message file too big");
	} else if (take_answer(d, id, text, text_size)) {
		result->status = CLEANUP_OK;
	}
	drop_free(dp);
}

void drop_abort(struct drop **d)
{
	if (*d)
		drop_free(d);
}
