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
