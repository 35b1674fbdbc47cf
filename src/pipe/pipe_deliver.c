#include "base/clock.h"
#include "base/log.h"
#include "pipe/pipe.h"

#define HEADERS_MAX 16384

static const struct dsn *misconfigured(const struct agent_delivery *d)
{
	return dsn_make(d->pool, DSN_DELAYED, "4.3.5", "mail system configuration error");
}

/* NULL: no loop. */
static const struct dsn *check_loop(struct agent_delivery *d, struct deliver_job *job)
{
	const char *address = d->request->recipients[0].address;
	struct err err = {""};
	bool found = false;
	enum spool_status status = deliver_content_delivered_to(job->reader, address, &found, &err);

	job->corrupt = status == SPOOL_CORRUPT;
	if (status != SPOOL_OK || !spool_rewind(job->reader))
		return dsn_make(d->pool, DSN_DELAYED, "4.3.0", "cannot read the message: %s", err.text);
	if (!found)
		return NULL;
	return dsn_make(d->pool, DSN_FAILED, "5.4.6", "mail forwarding loop for %s", address);
}

/* What a request must be before the command is started. NULL: it is so. */
static const struct dsn *check(
	const struct pipe_attributes *a, struct agent_delivery *d, struct deliver_job *job)
{
	const struct delivery_request *r = d->request;

	if (a->size_limit > 0 && r->content_size > a->size_limit)
		return dsn_make(d->pool, DSN_FAILED, "5.2.3", "message too large");
	if ((a->flags & (PIPE_DELIVERED | PIPE_ORIGINAL)) && r->recipient_count > 1) {
		log_warning(
			"flags D and O require %s_destination_recipient_limit = 1", service_name(d->service));
		return misconfigured(d);
	}
	return a->flags & PIPE_DELIVERED ? check_loop(d, job) : NULL;
}

static void make_head(const struct pipe_env *env, const struct delivery_request *r, struct buf *head)
{
	const struct pipe_attributes *a = &env->attributes;
	const struct delivery_recipient *first = &r->recipients[0];
	const char *sender = pipe_sender(a, r);

	if (a->flags & PIPE_FROM) {
		deliver_from_line(sender, clock_real(), head);
		buf_truncate(head, head->len - 1);
		buf_puts(head, a->eol);
	}
	if (a->flags & PIPE_RETURN_PATH)
		deliver_address_header("Return-Path", sender, a->eol, head);
	if ((a->flags & PIPE_ORIGINAL) && env->cfg->enable_original_recipient)
		deliver_address_header("X-Original-To",
			first->original && first->original[0] ? first->original : first->address, a->eol,
			head);
	if (a->flags & PIPE_DELIVERED)
		deliver_address_header("Delivered-To", first->address, a->eol, head);
}

static const struct dsn *outcome(const struct pipe_env *env, struct agent_delivery *d,
	const struct deliver_command_result *result, const char *name)
{
	struct str output = str_trim(str_c(deliver_command_output(d->pool, &result->output)));
	const char *text = pool_printf(d->pool, "delivered via %s service", service_name(d->service));
	const struct dsn *dsn;

	if (output.n > 0)
		text = pool_printf(d->pool, "%s (" STR_FMT ")", text, STR_ARG(output));
	dsn = deliver_command_status(d->pool, result, name, text);
	if (dsn->action == DSN_DELIVERED && !(env->attributes.flags & PIPE_FINAL)) {
		struct dsn *relayed = dsn_copy(d->pool, dsn);

		relayed->action = DSN_RELAYED;
		dsn = relayed;
	}
	return dsn;
}

static const struct dsn *run(const struct pipe_env *env, struct agent_delivery *d, struct deliver_job *job)
{
	const struct pipe_attributes *a = &env->attributes;
	const struct deliver_form form = {.eol = a->eol,
		.quote_from = a->flags & PIPE_QUOTE_FROM,
		.quote_dot = a->flags & PIPE_QUOTE_DOT,
		.blank_line = a->flags & PIPE_BLANK};
	struct deliver_command command = {.program = "pipe: fatal: pipe_command",
		.env = env->environment,
		.uid = a->uid,
		.gid = a->gid,
		.root = a->root,
		.directory = a->directory,
		.time_limit = env->time_limit};
	struct deliver_command_result result;
	struct buf head = BUF(HEADERS_MAX);
	const struct dsn *dsn;
	struct err err = {""};

	if (!pipe_expand(a, env->cfg->recipient_delimiter, d->request, d->pool, &command.argv, &err)) {
		log_warning("service %s: %s", service_name(d->service), err.text);
		return misconfigured(d);
	}
	make_head(env, d->request, &head);
	deliver_command_run(job, buf_slice(&head), &form, &command, &result);
	if (result.end == COMMAND_NOT_STARTED)
		log_warning("%s for uid=%u gid=%u", result.err.text, a->uid, a->gid);
	dsn = outcome(env, d, &result, command.argv[0]);
	buf_free(&result.output);
	buf_free(&head);
	return dsn;
}

static const struct dsn *deliver_opened(
	const struct pipe_env *env, struct agent_delivery *d, struct deliver_job *job)
{
	const struct dsn *dsn = check(&env->attributes, d, job);

	if (!dsn)
		dsn = run(env, d, job);
	return deliver_filter_status(env->filter, "pipe_delivery_status_filter", d->pool, dsn);
}

const struct dsn *pipe_deliver(const struct pipe_env *env, struct agent_delivery *d, bool *corrupt)
{
	const struct delivery_request *r = d->request;
	struct deliver_job job = {.pool = d->pool, .sender = r->sender, .queue_id = r->qid.text};
	struct err err = {""};
	enum spool_status status =
		spool_open_content(service_spool(d->service), r->queue, &r->qid, &job.reader, &err);
	const struct dsn *dsn;

	*corrupt = status == SPOOL_CORRUPT;
	if (status != SPOOL_OK)
		return dsn_make(d->pool, DSN_DELAYED, "4.3.0", "cannot open the message: %s", err.text);
	dsn = deliver_opened(env, d, &job);
	*corrupt = job.corrupt;
	spool_reader_free(&job.reader);
	return dsn;
}
