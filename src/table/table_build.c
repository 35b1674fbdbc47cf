#include "base/mem.h"
#include "table/table_type.h"

static const struct table_type *buildable(const char *spec, struct err *err)
{
	ptrdiff_t colon = str_find(str_c(spec), ':');
	const struct table_type *type =
		colon > 0 ? table_type_find(str_first(str_c(spec), (size_t)colon)) : NULL;

	if (!type)
		err_set(err, "unsupported dictionary type: %.*s", (int)(colon > 0 ? colon : 0), spec);
	else if (!type->build)
		err_set(err, "unsupported dictionary type: %s does not support bulk-mode creation.",
			type->name);
	else
		return type;
	return NULL;
}

bool table_build_supported(const char *spec, struct err *err)
{
	return buildable(spec, err) != NULL;
}

struct table_builder *table_build_begin(
	const char *spec, const struct table_build_options *options, struct err *err)
{
	const struct table_type *type = buildable(spec, err);
	struct table_builder *b;

	if (!type)
		return NULL;
	b = x_alloc(sizeof(*b));
	b->type = type->build;
	b->options = *options;
	if (!b->type->begin(b, type->name, strchr(spec, ':') + 1, err))
		table_build_abort(&b);
	return b;
}

enum table_build_result table_build_put(
	struct table_builder *b, struct str key, struct str value, struct err *err)
{
	return b->type->put(b, key, value, err);
}

enum table_status table_build_remove(struct table_builder *b, struct str key, struct err *err)
{
	return b->type->remove(b, key, err);
}

bool table_build_commit(struct table_builder **b, struct err *err)
{
	bool ok = (*b)->type->commit(*b, err);

	x_free(b);
	return ok;
}

void table_build_abort(struct table_builder **b)
{
	if (!*b)
		return;
	(*b)->type->abort(*b);
	x_free(b);
}

bool table_can_remove(const struct table *t, struct err *err)
{
	if (!t->type->remove && !t->type->build)
		return err_set(err, "%s map requires O_RDONLY access mode", t->spec);
	return !t->behind || table_can_remove(t->behind, err);
}

const char *table_changed_by_removal(const struct table *t)
{
	if (t->type->build)
		return t->spec;
	return t->behind ? table_changed_by_removal(t->behind) : NULL;
}

static enum table_status build_without(const char *spec, struct str key, struct err *err)
{
	const struct table_build_options options = {.incremental = true, .mode = 0644};
	struct table_builder *b = table_build_begin(spec, &options, err);
	enum table_status status;

	if (!b)
		return TABLE_MISCONFIGURED;
	status = table_build_remove(b, key, err);
	if (status != TABLE_FOUND)
		table_build_abort(&b);
	else if (!table_build_commit(&b, err))
		status = TABLE_RETRY;
	return status;
}

enum table_status table_remove(struct table *t, struct str key, struct err *err)
{
	if (!table_can_remove(t, err))
		return TABLE_MISCONFIGURED;
	return t->type->remove ? t->type->remove(t, key, err) : build_without(t->spec, key, err);
}
