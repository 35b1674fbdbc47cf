#include "deliver/deliver_command.h"
#include <stdlib.h>

#define DEFAULT_PATH "/usr/bin:/bin"

const char *deliver_filtered(struct pool *pool, const char *value, const char *filter)
{
	char *copy = pool_strdup(pool, value);

	for (char *p = copy; *p; p++) {
		if (!strchr(filter, *p))
			*p = '_';
	}
	return copy;
}

static void put(struct deliver_environment *e, const char *name, const char *text)
{
	size_t n = strlen(name);

	for (size_t i = 0; i < e->count; i++) {
		if (strncmp(e->list[i], name, n) == 0 && e->list[i][n] == '=') {
			e->list[i] = text;
			return;
		}
	}
	if (e->count + 1 >= e->cap) {
		const char **more = pool_alloc(e->pool, 2 * (e->cap + 16) * sizeof(*more));

		if (e->count > 0)
			memcpy(more, e->list, e->count * sizeof(*more));
		e->list = more;
		e->cap = 2 * (e->cap + 16);
	}
	e->list[e->count++] = text;
}

void deliver_environment_set(
	struct deliver_environment *e, const char *name, const char *value, const char *filter)
{
	if (!value)
		return;
	if (filter)
		value = deliver_filtered(e->pool, value, filter);
	put(e, name, pool_printf(e->pool, "%s=%s", name, value));
}

/* "name", "name=value" or "{ name=value }". */
static void export_one(struct deliver_environment *e, struct str word)
{
	const char *text;
	ptrdiff_t at;

	if (word.n > 1 && word.p[0] == '{' && word.p[word.n - 1] == '}')
		word = str_trim(str_first(str_from(word, 1), word.n - 2));
	at = str_find(word, '=');
	text = pool_strndup(e->pool, word.p, at < 0 ? word.n : (size_t)at);
	if (at < 0)
		deliver_environment_set(e, text, getenv(text), NULL);
	else
		put(e, text, pool_strndup(e->pool, word.p, word.n));
}

void deliver_environment_begin(struct deliver_environment *e, struct pool *pool, const char *export)
{
	struct str rest = str_c(export), word;

	*e = (struct deliver_environment){.pool = pool};
	deliver_environment_set(e, "PATH", DEFAULT_PATH, NULL);
	while (str_group(&rest, ", \t\r\n", &word))
		export_one(e, word);
}
