#include "commands/resolve_answer.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"

#define TABLE_SHOWN 50 /* bytes of a table's name in text; one whose entries are in its name has no end */

static json_t *slice_text(struct str text)
{
	char *copy = x_strndup(text.p, text.n);
	bool valid = utf8_valid(text);
	json_t *value;

	for (size_t i = 0; !valid && copy[i]; i++) {
		if ((unsigned char)copy[i] >= 0x80)
			copy[i] = '?';
	}
	value = json_string(copy);
	x_free(&copy);
	return value;
}

json_t *answer_text(const char *text)
{
	return text ? slice_text(str_c(text)) : json_null();
}

void answer_set(json_t *object, const char *name, const char *text)
{
	json_object_set_new(object, name, answer_text(text));
}

void answer_step(void *arg, const struct resolve_step *step)
{
	struct answer_steps *a = arg;
	json_t *object = json_object();

	answer_set(object, "step", step->step);
	answer_set(object, "parameter", step->parameter);
	answer_set(object, "key", step->key);
	answer_set(object, "value", step->value);
	json_object_set_new(object, "lookups", a->lookups);
	json_array_append_new(a->steps, object);
	a->lookups = json_array();
}

void answer_lookup(void *arg, const char *table, struct str key, enum table_status status, struct str value)
{
	struct answer_steps *a = arg;
	json_t *object = json_object();
	bool found = status == TABLE_FOUND;

	answer_set(object, "table", table);
	json_object_set_new(object, "key", slice_text(key));
	json_object_set_new(object, "value", found ? slice_text(value) : json_null());
	if (!found && status != TABLE_NOT_FOUND)
		json_object_set_new(object, "failed", json_true());
	json_array_append_new(a->lookups, object);
}

/* ---- as text */

static const char *member(const json_t *object, const char *name)
{
	return json_string_value(json_object_get(object, name));
}

static void print_lookup(const json_t *l)
{
	const char *value = member(l, "value"), *table = member(l, "table");
	bool cut = strlen(table) > TABLE_SHOWN;

	if (!value)
		value = json_object_get(l, "failed") ? "(failed)" : "(not found)";
	printf("              %.*s%s: %s -> %s\n", TABLE_SHOWN, table, cut ? "..." : "", member(l, "key"),
		value);
}

static void print_step(const json_t *s)
{
	const json_t *lookups = json_object_get(s, "lookups");
	const char *parameter = member(s, "parameter"), *key = member(s, "key"), *value = member(s, "value");
	const json_t *l;
	size_t i;

	printf("  %-10s%s", member(s, "step"), parameter ? parameter : "");
	if (key)
		printf("%s%s", parameter ? ": " : "", key);
	printf(" -> %s\n", value ? value : "(not found)");
	json_array_foreach(lookups, i, l) print_lookup(l);
}

static void print_steps(const char *title, const json_t *steps)
{
	const json_t *s;
	size_t i;

	printf("%s\n", title);
	json_array_foreach(steps, i, s) print_step(s);
}

static void print_recipient(const json_t *r)
{
	const char *refusal = member(r, "refusal"), *copy = member(r, "copy_by");

	print_steps(member(r, "address"), json_object_get(r, "steps"));
	if (!member(r, "transport"))
		return;
	printf("  = class %s, transport %s, next hop %s, recipient %s\n", member(r, "class"),
		member(r, "transport"), member(r, "next_hop"), member(r, "recipient"));
	if (copy)
		printf("  = a copy, by %s\n", copy);
	printf("  = %s", member(r, "verdict"));
	if (refusal)
		printf(": %lld %s %s", json_integer_value(json_object_get(r, "code")), member(r, "status"),
			refusal);
	printf("\n");
}

void answer_print_text(const json_t *answer)
{
	const json_t *sender_steps = json_object_get(answer, "sender_steps"), *r;
	size_t i;

	if (json_array_size(sender_steps) > 0) {
		printf("from ");
		print_steps(member(answer, "sender"), sender_steps);
	}
	print_steps(member(answer, "address"), json_object_get(answer, "steps"));
	printf("  = %s\n", member(answer, "result"));
	json_array_foreach(json_object_get(answer, "recipients"), i, r) print_recipient(r);
}

void answer_print_json(const json_t *answer)
{
	json_dumpf(answer, stdout, JSON_INDENT(2));
	printf("\n");
}
