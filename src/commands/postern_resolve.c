/* postern resolve: what becomes of an address, as the resolver itself tells it. */
#include <jansson.h>

#include "base/mem.h"
#include "commands/postern.h"
#include "rewrite/alias_expand.h"

struct inquiry {
	struct resolver *resolver;
	const struct config *config;
	const char *address, *sender;
	bool as_json;
	json_t *steps, *common_steps, *recipients; /* with as_json; common: before the recipients are known */
};

static json_t *json_text(const char *text)
{
	json_t *value = text ? json_string(text) : NULL;

	return value ? value : json_null(); /* text that is not UTF-8 has no JSON form */
}

static void set_text(json_t *object, const char *name, const char *text)
{
	json_object_set_new(object, name, json_text(text));
}

static void print_step(const struct resolve_step *s)
{
	printf("  %-10s%s", s->step, s->parameter ? s->parameter : "");
	if (s->key)
		printf("%s%s", s->parameter ? ": " : "", s->key);
	printf(" -> %s\n", s->value ? s->value : "(not found)");
}

static void record(void *arg, const struct resolve_step *step)
{
	struct inquiry *q = arg;
	json_t *object;

	if (!q->as_json) {
		print_step(step);
		return;
	}
	object = json_object();
	set_text(object, "step", step->step);
	set_text(object, "parameter", step->parameter);
	set_text(object, "key", step->key);
	set_text(object, "value", step->value);
	json_array_append_new(q->steps, object);
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

static void print_result(const struct resolved *to, const struct recipient_check *check)
{
	printf("  = class %s, transport %s, next hop %s, recipient %s\n", address_class_name(to->class),
		to->transport, to->nexthop, to->recipient);
	printf("  = %s", verdict_name(check->status));
	if (check->status == TABLE_NOT_FOUND)
		printf(": %d %s %s", check->code, check->dsn, check->text);
	printf("\n");
}

static void json_result(struct inquiry *q, const char *address, const struct resolved *to,
	const struct recipient_check *check)
{
	json_t *object = json_object();

	set_text(object, "address", address);
	set_text(object, "class", address_class_name(to->class));
	set_text(object, "transport", to->transport);
	set_text(object, "next_hop", to->nexthop);
	set_text(object, "recipient", to->recipient);
	set_text(object, "verdict", verdict_name(check->status));
	if (check->status == TABLE_NOT_FOUND)
		set_text(object, "refusal", check->text);
	json_object_set_new(object, "steps", q->steps);
	q->steps = json_array();
	json_array_append_new(q->recipients, object);
}

static bool resolve_one(struct inquiry *q, const char *address, struct err *err)
{
	const struct resolve_trace trace = {record, q};
	struct pool *pool = pool_new(1000);
	struct recipient_check check;
	struct resolved to;
	bool ok;

	if (!q->as_json)
		printf("%s\n", address);
	ok = resolve_address_traced(q->resolver, &trace, q->sender, address, pool, &to, err) == TABLE_FOUND;
	if (ok) {
		resolve_check_recipient(q->resolver, &to, &check, err);
		if (q->as_json)
			json_result(q, address, &to, &check);
		else
			print_result(&to, &check);
	}
	pool_free(&pool);
	return ok;
}

static void tell_rewriting(struct inquiry *q, const struct resolve_trace *trace, struct buf *rewritten)
{
	rewrite_address(q->resolver, true, str_c(q->address), rewritten);
	if (!q->as_json)
		printf("%s\n", q->address);
	resolve_record(trace, "rewrite", NULL, str_c(q->address), buf_slice(rewritten));
}

static bool inquire(struct inquiry *q, struct err *err)
{
	const struct resolve_trace trace = {record, q};
	struct alias_expansion x = {.resolver = q->resolver,
		.trace = &trace,
		.propagate = str_case_lists(q->config->propagate_unmatched_extensions, "virtual")};
	struct buf rewritten = BUF(20000);
	bool ok;

	tell_rewriting(q, &trace, &rewritten);
	ok = alias_expand(&x, buf_cstr(&rewritten), err) == TABLE_FOUND;
	if (q->as_json) {
		q->common_steps = q->steps;
		q->steps = json_array();
	}
	if (x.unreasonable)
		err_set(err, "%s: too large in %s", x.culprit, x.unreasonable);
	for (size_t i = 0; ok && i < x.count; i++)
		ok = resolve_one(q, x.list[i].address, err);
	alias_expansion_free(&x);
	buf_free(&rewritten);
	return ok;
}

static bool inquire_json(struct inquiry *q, struct err *err)
{
	json_t *answer = json_object();
	bool ok;

	q->steps = json_array();
	q->recipients = json_array();
	ok = inquire(q, err);
	set_text(answer, "address", q->address);
	set_text(answer, "sender", q->sender);
	json_array_extend(q->common_steps, q->steps); /* of a recipient that failed */
	json_object_set_new(answer, "steps", q->common_steps);
	json_object_set_new(answer, "recipients", q->recipients);
	if (!ok)
		set_text(answer, "error", err->text);
	json_dumpf(answer, stdout, JSON_INDENT(2));
	printf("\n");
	json_decref(q->steps);
	json_decref(answer);
	return ok;
}

static bool take_words(struct inquiry *q, int argc, char **argv)
{
	for (int n = 0; n < argc; n++) {
		if (strcmp(argv[n], "--json") == 0)
			q->as_json = true;
		else if (strcmp(argv[n], "--sender") == 0 && n + 1 < argc)
			q->sender = argv[++n];
		else if (argv[n][0] == '-' || q->address)
			return false;
		else
			q->address = argv[n];
	}
	return q->address != NULL;
}

int postern_resolve(struct instance *i)
{
	struct inquiry q = {.config = i->config, .sender = ""};
	struct err err = {""};
	bool ok;

	if (!take_words(&q, i->argc, i->argv))
		return -1;
	q.resolver = resolver_new(i->config, &err);
	ok = q.resolver && (q.as_json ? inquire_json(&q, &err) : inquire(&q, &err));
	resolver_free(&q.resolver);
	if (!ok)
		command_say(LOGL_ERROR, "%s: %s", q.address, err.text);
	return ok ? 0 : 1;
}
