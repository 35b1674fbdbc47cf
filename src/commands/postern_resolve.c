/* postern resolve: what becomes of an address, as the libraries that decide it tell. */
#include "base/mem.h"
#include "commands/postern.h"
#include "commands/resolve_answer.h"
#include "config/service_config.h"
#include "mail/address.h"
#include "rewrite/alias_expand.h"
#include "rewrite/mapping.h"

struct inquiry {
	const struct config *config;	  /* main.cf: recipients and routes */
	const struct config *cleanup;	  /* the cleanup service's: new mail */
	const struct config *own;	  /* when the latter is ours to free, else NULL */
	struct resolver *router, *writer; /* the same unless the cleanup service has settings of its own */
	struct mapping *mapping;
	const char *address, *sender;
	int class; /* where the address stands */
	bool as_json;
	bool maps; /* receive_override_options does not have no_address_mappings */
	json_t *answer;
	struct answer_steps told;
	struct resolve_trace trace;
};

static void complain(void *arg, const char *text)
{
	command_say(LOGL_WARNING, "%s", text);
}

/* The address that RCPT TO:<typed> means; what it cannot mean stays as it is, for the resolver to refuse. */
static void take_typed(const struct inquiry *q, const char *typed, struct buf *address)
{
	struct buf path = BUF(20000);
	struct err ignored = {""};
	struct str rest;

	buf_printf(&path, "<%s>", typed);
	rest = buf_slice(&path);
	if (!address_parse_path(
		    &rest, PATH_NULL_OK | PATH_UTF8 | resolve_path_flags(q->router), address, &ignored)) {
		buf_clear(address);
		buf_puts(address, typed);
	}
	buf_free(&path);
}

/* Standard form, canonical tables, masquerading. */
static bool rewrite(struct inquiry *q, const char *address, int class, struct buf *out, struct err *err)
{
	const struct mapping_listener listener = {.trace = &q->trace, .complain = complain};
	const char *parameter = NULL;
	enum table_status status = TABLE_NOT_FOUND;

	rewrite_address(q->writer, true, str_c(address), out);
	if (class == CLASS_ENVELOPE_SENDER && rewrite_is_null_sender(q->writer, buf_slice(out)))
		buf_clear(out);
	resolve_record(&q->trace, "rewrite", NULL, str_c(address), buf_slice(out));
	if (q->maps)
		status = mapping_apply(q->mapping, &listener, class, out, &parameter, err);
	return status == TABLE_FOUND || status == TABLE_NOT_FOUND || err_prefix(err, "%s", parameter);
}

/* Steps go into a new array, the member `name` of object. */
static void begin_steps(struct inquiry *q, json_t *object, const char *name)
{
	q->told.steps = json_array();
	json_object_set_new(object, name, q->told.steps);
}

static const char *verdict_name(enum table_status status)
{
	switch (status) {
	case TABLE_FOUND:
		return "accepted";
	case TABLE_NOT_FOUND:
		return "unknown";
	case TABLE_RETRY:
	case TABLE_MISCONFIGURED:
		break;
	}
	return "table trouble";
}

static void set_result(json_t *object, const struct resolved *to, const struct recipient_check *check)
{
	answer_set(object, "class", address_class_name(to->class));
	answer_set(object, "transport", to->transport);
	answer_set(object, "next_hop", to->nexthop);
	answer_set(object, "recipient", to->recipient);
	answer_set(object, "verdict", verdict_name(check->status));
	if (check->status != TABLE_NOT_FOUND)
		return;
	json_object_set_new(object, "code", json_integer(check->code));
	answer_set(object, "status", check->dsn);
	answer_set(object, "refusal", check->text);
}

static bool resolve_one(
	struct inquiry *q, const char *address, const char *sender, const char *copy_by, struct err *err)
{
	struct pool *pool = pool_new(1000);
	json_t *object = json_object();
	struct recipient_check check;
	struct resolved to;
	bool ok;

	json_array_append_new(json_object_get(q->answer, "recipients"), object);
	answer_set(object, "address", address);
	answer_set(object, "copy_by", copy_by);
	begin_steps(q, object, "steps");
	ok = resolve_address_traced(q->router, &q->trace, sender, address, pool, &to, err) == TABLE_FOUND;
	if (ok) {
		resolve_check_recipient_traced(q->router, &q->trace, &to, &check, err);
		set_result(object, &to, &check);
	}
	pool_free(&pool);
	return ok;
}

/* Whom the address leads to, and where each of them does. */
static bool expand(
	struct inquiry *q, const char *address, const char *sender, const char *copy_by, struct err *err)
{
	struct alias_expansion x = {.resolver = q->writer, .trace = &q->trace};
	bool ok = true;

	q->told.steps = json_object_get(q->answer, "steps");
	if (!q->maps)
		return resolve_one(q, address, sender, copy_by, err);
	ok = alias_expand(&x, address, err) == TABLE_FOUND;
	if (x.unreasonable)
		err_set(err, "%s: virtual_alias_maps: too large in %s", x.culprit, x.unreasonable);
	for (size_t i = 0; ok && i < x.count; i++)
		ok = resolve_one(q, x.list[i].address, sender, copy_by, err);
	alias_expansion_free(&x);
	return ok;
}

typedef enum table_status copy_fn(const struct mapping *m, const struct resolve_trace *trace,
	const char *address, struct buf *copy, struct err *err);

static bool copy_by_table(struct inquiry *q, copy_fn *ask, const char *parameter, const char *address,
	const char *sender, struct err *err)
{
	struct buf copy = BUF(TABLE_VALUE_MAX), form = BUF(20000);
	enum table_status status;
	bool ok;

	q->told.steps = json_object_get(q->answer, "steps");
	status = ask(q->mapping, &q->trace, address, &copy, err);
	ok = status == TABLE_FOUND || status == TABLE_NOT_FOUND || err_prefix(err, "%s", parameter);
	if (status == TABLE_FOUND)
		ok = rewrite(q, buf_cstr(&copy), CLASS_ENVELOPE_RECIPIENT, &form, err) &&
		     expand(q, buf_cstr(&form), sender, parameter, err);
	buf_free(&copy);
	buf_free(&form);
	return ok;
}

static bool always_copy(struct inquiry *q, const char *sender, struct err *err)
{
	const char *copy = q->cleanup->always_bcc;
	struct buf form = BUF(20000);
	bool ok;

	if (!*copy)
		return true;
	q->told.steps = json_object_get(q->answer, "steps");
	resolve_record(&q->trace, "copy", "always_bcc", STR(""), str_c(copy));
	ok = rewrite(q, copy, CLASS_ENVELOPE_RECIPIENT, &form, err) &&
	     expand(q, buf_cstr(&form), sender, "always_bcc", err);
	buf_free(&form);
	return ok;
}

static bool copies(struct inquiry *q, const char *address, const char *sender, struct err *err)
{
	if (!q->maps)
		return true;
	return copy_by_table(q, mapping_recipient_copy, "recipient_bcc_maps", address, sender, err) &&
	       always_copy(q, sender, err) &&
	       (!*sender || copy_by_table(q, mapping_sender_copy, "sender_bcc_maps", sender, sender, err));
}

static bool rewrite_sender(struct inquiry *q, struct buf *sender, struct err *err)
{
	struct buf typed = BUF(20000);
	bool ok;

	take_typed(q, q->sender, &typed);
	begin_steps(q, q->answer, "sender_steps");
	ok = typed.len == 0 || rewrite(q, buf_cstr(&typed), CLASS_ENVELOPE_SENDER, sender, err);
	answer_set(q->answer, "envelope_sender", buf_cstr(sender));
	buf_free(&typed);
	return ok;
}

static bool inquire(struct inquiry *q, struct err *err)
{
	struct buf sender = BUF(20000), typed = BUF(20000), result = BUF(20000);
	bool ok;

	answer_set(q->answer, "address", q->address);
	answer_set(q->answer, "sender", q->sender);
	ok = rewrite_sender(q, &sender, err);
	begin_steps(q, q->answer, "steps");
	take_typed(q, q->address, &typed);
	ok = ok && rewrite(q, buf_cstr(&typed), q->class, &result, err);
	answer_set(q->answer, "result", buf_cstr(&result));
	json_object_set_new(q->answer, "recipients", json_array());
	if (ok && q->class == CLASS_ENVELOPE_RECIPIENT)
		ok = expand(q, buf_cstr(&result), buf_cstr(&sender), NULL, err) &&
		     copies(q, buf_cstr(&result), buf_cstr(&sender), err);
	if (!ok)
		answer_set(q->answer, "error", err->text);
	buf_free(&sender);
	buf_free(&typed);
	buf_free(&result);
	return ok;
}

static bool open_inquiry(struct inquiry *q, struct err *err)
{
	const char *service = q->config->cleanup_service_name;

	q->maps = !str_case_lists(q->config->receive_override_options, "no_address_mappings");
	if (!service_config_load(q->config, service, "cleanup", false, &q->own, err))
		return false;
	q->cleanup = q->own ? q->own : q->config;
	q->router = resolver_new(q->config, err);
	if (!q->router)
		return false;
	q->writer = q->own ? resolver_new(q->own, err) : q->router;
	q->mapping = q->writer ? mapping_new(q->cleanup, q->writer, err) : NULL;
	if (!q->mapping)
		return false;
	resolver_observe(q->router, answer_lookup, &q->told);
	resolver_observe(q->writer, answer_lookup, &q->told);
	mapping_observe(q->mapping, answer_lookup, &q->told);
	return true;
}

static void close_inquiry(struct inquiry *q)
{
	mapping_free(&q->mapping);
	if (q->writer != q->router)
		resolver_free(&q->writer);
	resolver_free(&q->router);
	config_free(&q->own);
	json_decref(q->told.lookups);
	json_decref(q->answer);
}

/* "<address>" is the address in it. */
static const char *without_brackets(char *word)
{
	size_t n = strlen(word);

	if (n < 2 || word[0] != '<' || word[n - 1] != '>')
		return word;
	word[n - 1] = '\0';
	return word + 1;
}

static bool take_words(struct inquiry *q, int argc, char **argv)
{
	for (int n = 0; n < argc; n++) {
		if (strcmp(argv[n], "--json") == 0)
			q->as_json = true;
		else if (strcmp(argv[n], "--sender") == 0 && n + 1 < argc)
			q->sender = without_brackets(argv[++n]);
		else if (strcmp(argv[n], "--class") == 0 && n + 1 < argc && mapping_class(argv[n + 1]))
			q->class = mapping_class(argv[++n]);
		else if (argv[n][0] == '-' || q->address)
			return false;
		else
			q->address = without_brackets(argv[n]);
	}
	return q->address != NULL;
}

int postern_resolve(struct instance *i)
{
	struct inquiry q = {.config = i->config,
		.sender = "",
		.class = CLASS_ENVELOPE_RECIPIENT,
		.trace = {answer_step, &q.told}};
	struct err err = {""};
	bool ok;

	if (!take_words(&q, i->argc, i->argv))
		return -1;
	q.answer = json_object();
	q.told.lookups = json_array();
	ok = open_inquiry(&q, &err) && inquire(&q, &err);
	if (q.mapping)
		(q.as_json ? answer_print_json : answer_print_text)(q.answer);
	close_inquiry(&q);
	if (!ok)
		command_say(LOGL_ERROR, "%s: %s", q.address, err.text);
	return ok ? 0 : 1;
}
