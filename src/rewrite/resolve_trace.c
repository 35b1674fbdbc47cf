#include "rewrite/resolve_trace.h"

#include "base/mem.h"

static char *copy(struct str s)
{
	return s.n ? x_strndup(s.p, s.n) : NULL;
}

void resolve_record(const struct resolve_trace *trace, const char *step, const char *parameter,
	struct str key, struct str value)
{
	char *key_text, *value_text;

	if (!trace)
		return;
	key_text = copy(key);
	value_text = copy(value);
	trace->record(trace->arg, &(struct resolve_step){step, parameter, key_text, value_text});
	x_free(&key_text);
	x_free(&value_text);
}
