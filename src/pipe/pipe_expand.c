#include "config/expand.h"
#include "mail/address.h"
#include "pipe/pipe.h"

struct macros {
	const struct pipe_attributes *a;
	const char *delimiters;
	const struct delivery_request *request;
	const struct delivery_recipient *recipient; /* the one that macros of recipients mean now */
	struct pool *pool;
	bool of_recipients;  /* out: some macro was one of those */
	const char *unknown; /* out: the name of one, or NULL */
};

/* ---- addresses */

static const char *folded(struct pool *pool, struct str text, bool fold)
{
	char *copy = pool_strndup(pool, text.p, text.n);

	if (fold)
		ascii_lower(copy);
	return copy;
}

static const char *quoted(const struct macros *m, const char *address)
{
	struct buf out = BUF(4 * ADDRESS_MAX);
	const char *result;

	if (!(m->a->flags & PIPE_QUOTE) || !address[0])
		return address;
	address_quote(str_c(address), &out);
	result = pool_strdup(m->pool, buf_cstr(&out));
	buf_free(&out);
	return result;
}

static const char *whole(const struct macros *m, const char *address)
{
	struct str local = address_local(str_c(address));
	const char *user = folded(m->pool, local, m->a->flags & PIPE_FOLD_USER);
	const char *host = folded(m->pool, str_from(str_c(address), local.n), m->a->flags & PIPE_FOLD_HOST);

	return quoted(m, pool_printf(m->pool, "%s%s", user, host));
}

static const char *recipient(const struct macros *m)
{
	return whole(m, m->recipient->address);
}

static const char *original(const struct macros *m)
{
	const char *address = m->recipient->original;

	return whole(m, address && address[0] ? address : m->recipient->address);
}

/* ---- parts of the recipient */

static struct str local_part(const struct macros *m)
{
	return address_local(str_c(m->recipient->address));
}

static const char *part(const struct macros *m, struct str text)
{
	return folded(m->pool, text, m->a->flags & PIPE_FOLD_USER);
}

static const char *mailbox(const struct macros *m)
{
	return part(m, local_part(m));
}

static const char *user(const struct macros *m)
{
	struct str local = local_part(m);
	ptrdiff_t at = address_extension(local, m->delimiters);

	return part(m, at < 0 ? local : str_first(local, (size_t)at));
}

static const char *extension(const struct macros *m)
{
	struct str local = local_part(m);
	ptrdiff_t at = address_extension(local, m->delimiters);

	return part(m, at < 0 ? STR("") : str_from(local, (size_t)at + 1));
}

/* ---- the request */

const char *pipe_sender(const struct pipe_attributes *a, const struct delivery_request *request)
{
	return request->sender[0] ? request->sender : a->null_sender;
}

static const char *sender(const struct macros *m)
{
	return quoted(m, pipe_sender(m->a, m->request));
}

static const char *domain(const struct macros *m)
{
	struct str name = address_domain(str_c(m->recipient->address));

	return folded(m->pool, name, m->a->flags & PIPE_FOLD_HOST);
}

static const char *nexthop(const struct macros *m)
{
	return folded(m->pool, str_c(m->request->nexthop), m->a->flags & PIPE_FOLD_HOST);
}

static const char *queue_id(const struct macros *m)
{
	return m->request->qid.text;
}

static const char *size(const struct macros *m)
{
	return pool_printf(m->pool, "%llu", (unsigned long long)m->request->content_size);
}

static const char *attribute(const struct macros *m, const char *name)
{
	const char *value = delivery_attribute(m->request, name);

	return value ? value : "";
}

/* ---- macros */

static const struct {
	const char *name;
	const char *(*value)(const struct macros *m);
	const char *attribute; /* of the message, when there is no value() */
	bool of_recipients;
} rows[] = {
	{"client_address", NULL, "client_address", false},
	{"client_helo", NULL, "helo_name", false},
	{"client_hostname", NULL, "client_name", false},
	{"client_port", NULL, "client_port", false},
	{"client_protocol", NULL, "protocol_name", false},
	{"domain", domain, NULL, true},
	{"extension", extension, NULL, true},
	{"mailbox", mailbox, NULL, true},
	{"nexthop", nexthop, NULL, false},
	{"original_recipient", original, NULL, true},
	{"queue_id", queue_id, NULL, false},
	{"recipient", recipient, NULL, true},
	{"sasl_method", NULL, "sasl_method", false},
	{"sasl_sender", NULL, "sasl_sender", false},
	{"sasl_username", NULL, "sasl_username", false},
	{"sender", sender, NULL, false},
	{"size", size, NULL, false},
	{"user", user, NULL, true},
};

static enum expand_found lookup(void *arg, const char *name, const char **value)
{
	struct macros *m = arg;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (strcmp(rows[i].name, name) != 0)
			continue;
		m->of_recipients |= rows[i].of_recipients;
		*value = rows[i].value ? rows[i].value(m) : attribute(m, rows[i].attribute);
		return EXPAND_FINAL;
	}
	m->unknown = pool_strdup(m->pool, name);
	return EXPAND_UNDEFINED;
}

static const char *expand_one(struct macros *m, const char *text, struct err *err)
{
	struct buf out = BUF(EXPAND_MAX);
	const char *result = NULL;

	if (expand(text, lookup, m, &out, err))
		result = pool_strdup(m->pool, buf_cstr(&out));
	if (result && m->unknown) {
		err_set(err, "unknown macro name: \"%s\"", m->unknown);
		result = NULL;
	}
	buf_free(&out);
	return result;
}

/* One argument: as many as there are recipients when it speaks of them. */
static bool expand_argument(
	struct macros *m, const char *text, const char **argv, size_t *count, struct err *err)
{
	const struct delivery_request *r = m->request;
	size_t i = 0;

	m->of_recipients = false;
	do {
		m->recipient = &r->recipients[i];
		argv[*count] = expand_one(m, text, err);
		if (!argv[*count])
			return false;
		(*count)++;
	} while (m->of_recipients && ++i < r->recipient_count);
	return true;
}

bool pipe_expand(const struct pipe_attributes *a, const char *recipient_delimiter,
	const struct delivery_request *request, struct pool *pool, const char *const **argv, struct err *err)
{
	struct macros m = {.a = a, .delimiters = recipient_delimiter, .request = request, .pool = pool};
	size_t words = 0, count = 0;
	const char **list;

	while (a->argv[words])
		words++;
	list = pool_alloc(pool, (words * (request->recipient_count + 1) + 1) * sizeof(*list));
	for (size_t i = 0; i < words; i++) {
		if (!expand_argument(&m, a->argv[i], list, &count, err))
			return false;
	}
	*argv = list;
	return true;
}
