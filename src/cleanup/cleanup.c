#include "base/mem.h"
#include "cleanup/cleanup_private.h"
#include "mail/address.h"

struct reply {
	const char *dsn, *text;
};

static const struct reply replies[] = {
	[CLEANUP_OK] = {"2.0.0", "Ok: queued as"},
	[CLEANUP_TOO_BIG] = {"5.3.4", "Error: message file too big"},
	[CLEANUP_HOPS] = {"5.4.0", "Error: too many hops"},
	[CLEANUP_REJECTED] = {"5.7.1", "Error: message content rejected"},
	[CLEANUP_NO_RECIPIENTS] = {"5.1.0", "Error: no recipients specified"},
	[CLEANUP_NO_SPACE] = {"4.3.1", "Error: insufficient system storage"},
	[CLEANUP_TROUBLE] = {"4.3.0", "Error: queue file write error"},
};

struct cleanup *cleanup_begin(struct cleanup_env *env, const struct cleanup_options *options, struct err *err)
{
	struct spool_writer *writer = spool_create(env->spool, options->queue, err);
	struct cleanup *c;

	if (!writer)
		return NULL;
	c = x_alloc(sizeof(*c));
	c->env = env;
	c->options = *options;
	c->pool = pool_new(2048);
	c->options.client = pool_strdup(c->pool, options->client ? options->client : "local");
	c->writer = writer;
	c->id = *spool_writer_id(writer);
	c->arrival_us = spool_writer_time(writer);
	if (options->arrival_us > 0 && options->arrival_us < c->arrival_us)
		c->arrival_us = options->arrival_us;
	c->known = hash_new(NULL);
	buf_init(&c->header,
		(size_t)env->cfg->header_size_limit + (size_t)env->cfg->line_length_limit + TABLE_VALUE_MAX);
	buf_init(&c->action, TABLE_VALUE_MAX);
	buf_init(&c->replacement, TABLE_VALUE_MAX);
	buf_init(&c->scratch, SIZE_MAX / 2);
	c->envelope.sender = "";
	c->envelope.arrival_us = c->arrival_us;
	if (env->follow_mime && !cleanup_is_trusted(options))
		c->mime = mime_new(&(struct mime_options){
			env->cfg->mime_nesting_limit, (size_t)env->cfg->mime_boundary_length_limit});
	return c;
}

static void cleanup_free(struct cleanup **cp)
{
	struct cleanup *c = *cp;

	spool_abort(&c->writer);
	x_free(&c->envelope.attributes);
	x_free(&c->envelope.recipients);
	hash_free(&c->known);
	buf_free(&c->header);
	buf_free(&c->scratch);
	buf_free(&c->action);
	buf_free(&c->replacement);
	mime_free(&c->mime);
	pool_free(&c->pool);
	x_free(cp);
}

void cleanup_abort(struct cleanup **cp)
{
	if (*cp)
		cleanup_free(cp);
}

bool cleanup_fail(struct cleanup *c, enum cleanup_status status, const char *dsn, const char *text)
{
	if (c->status == CLEANUP_OK) {
		c->status = status;
		c->dsn = dsn;
		c->text = text;
		spool_abort(&c->writer);
	}
	return false;
}

const struct queue_id *cleanup_id(const struct cleanup *c)
{
	return &c->id;
}

int64_t cleanup_time(const struct cleanup *c)
{
	return c->arrival_us;
}

struct pool *cleanup_pool(struct cleanup *c)
{
	return c->pool;
}

void cleanup_note(struct cleanup *c, const char *name, const char *value)
{
	struct envelope *e = &c->envelope;

	if (e->attribute_count == c->attribute_cap) {
		c->attribute_cap = c->attribute_cap ? c->attribute_cap * 2 : 16;
		e->attributes = x_realloc(e->attributes, c->attribute_cap * sizeof(*e->attributes));
	}
	e->attributes[e->attribute_count++] =
		(struct spool_attribute){pool_strdup(c->pool, name), pool_strdup(c->pool, value)};
}

static void too_many_attributes(struct cleanup *c)
{
	if (c->status == CLEANUP_OK)
		cleanup_complain(c, "message rejected: attribute count exceeds limit %d",
			c->env->cfg->queue_file_attribute_count_limit);
	cleanup_fail(c, CLEANUP_TROUBLE, NULL, "Error: internal error 1");
}

void cleanup_attribute(struct cleanup *c, const char *name, const char *value)
{
	if (!value)
		return;
	if (c->envelope.attribute_count >= (size_t)c->env->cfg->queue_file_attribute_count_limit)
		too_many_attributes(c);
	else
		cleanup_note(c, name, value);
}

static bool finish_content(struct cleanup *c)
{
	if (c->mid_line && !cleanup_line(c, STR(""), false))
		return false;
	if (!cleanup_header(c))
		return false;
	if (c->discard)
		return true;
	if (!c->in_body && !cleanup_missing_headers(c))
		return false;
	if (cleanup_section(c) != MIME_BODY)
		cleanup_mime_end_header(c, true);
	return cleanup_mime_verdict(c);
}

void cleanup_set_note(struct cleanup *c, const char *name, const char *value)
{
	struct envelope *e = &c->envelope;

	for (size_t i = 0; i < e->attribute_count; i++) {
		if (strcmp(e->attributes[i].name, name) == 0) {
			e->attributes[i].value = pool_strdup(c->pool, value);
			return;
		}
	}
	cleanup_note(c, name, value);
}

/* content_filter of the service, unless an access table or header check named another. */
static void note_filter(struct cleanup *c)
{
	const char *filter = c->env->service_cfg->content_filter;

	if (!cleanup_is_trusted(&c->options) && *filter &&
		!envelope_attribute(&c->envelope, "content_filter"))
		cleanup_note(c, "content_filter", filter);
}

static bool is_beyond_ascii(const struct cleanup *c)
{
	if (c->utf8_header || str_has_8bit(str_c(c->envelope.sender)))
		return true;
	for (size_t i = 0; i < c->envelope.recipient_count; i++)
		if (str_has_8bit(str_c(c->envelope.recipients[i].address)))
			return true;
	return false;
}

/* Who brings such mail may not know that it wants SMTPUTF8 on its way. */
static void detect_utf8(struct cleanup *c)
{
	const struct config *cfg = c->env->cfg;
	const char *classes = cfg->smtputf8_autodetect_classes;

	if (cfg->smtputf8_enable && c->options.origin &&
		(str_case_lists(classes, c->options.origin) || str_case_lists(classes, "all")) &&
		is_beyond_ascii(c))
		c->envelope.flags |= ENVELOPE_SMTPUTF8;
}

static bool commit(struct cleanup *c)
{
	struct err err;

	if (c->discard) {
		spool_abort(&c->writer);
		return true;
	}
	if (c->status != CLEANUP_OK || !cleanup_message_bcc(c))
		return false;
	cleanup_settle_recipients(c);
	if (c->envelope.recipient_count == 0)
		return cleanup_fail(c, CLEANUP_NO_RECIPIENTS, NULL, NULL);
	if (c->options.internal)
		c->envelope.flags |= ENVELOPE_INTERNAL;
	note_filter(c);
	detect_utf8(c);
	cleanup_note(c, "rewrite_context", c->options.local_rewrite ? "local" : "remote");
	if (!spool_commit(&c->writer, &c->envelope, &err))
		return cleanup_fail(c, CLEANUP_TROUBLE, NULL, pool_printf(c->pool, "Error: %s", err.text));
	if (c->env->notifier && c->options.queue != QUEUE_HOLD)
		queue_notify(c->env->notifier, c->options.queue, &c->id);
	return true;
}

/* Nothing is asked of a message that is thrown away. */
static bool complete(struct cleanup *c)
{
	if (!c->discard && !finish_content(c))
		return false;
	return c->discard || cleanup_inspect(c);
}

void cleanup_end(struct cleanup **cp, struct cleanup_result *result, char *text, size_t text_size)
{
	struct cleanup *c = *cp;
	const struct reply *reply;

	if (c->status == CLEANUP_OK && complete(c))
		commit(c);
	reply = &replies[c->status];
	if (c->status == CLEANUP_OK)
		snprintf(text, text_size, "%s %s", reply->text, c->id.text);
	else
		snprintf(text, text_size, "%s", c->text ? c->text : reply->text);
	result->status = c->status;
	snprintf(result->dsn, sizeof(result->dsn), "%s", c->dsn ? c->dsn : reply->dsn);
	result->text = text;
	result->reply = c->reply;
	cleanup_free(cp);
}
