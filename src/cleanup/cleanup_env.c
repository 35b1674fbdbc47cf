#include "base/mem.h"
#include "cleanup/cleanup_private.h"

static bool is_octal(char c)
{
	return c >= '0' && c <= '7';
}

/* Takes "\ddd" (one to three octal digits), the backslash taken already. */
static int octal_take(const char **p)
{
	int value = 0;

	for (int i = 0; i < 3 && is_octal(**p); i++)
		value = value * 8 + *(*p)++ - '0';
	return value & 255;
}

static int escape_take(const char **p)
{
	static const char names[] = "abfnrtv\\";
	static const char values[] = "\a\b\f\n\r\t\v\\";
	const char *hit;

	if (is_octal(**p))
		return octal_take(p);
	hit = **p ? strchr(names, **p) : NULL;
	if (!hit)
		return -1;
	(*p)++;
	return values[hit - names];
}

bool byte_set_parse(struct byte_set *set, const char *text, struct err *err)
{
	for (const char *p = text; *p;) {
		int c = (unsigned char)*p++;

		if (c == '\\')
			c = escape_take(&p);
		if (c < 0)
			return err_set(err, "unknown escape in \"%s\"", text);
		set->has[c] = set->any = true;
	}
	return true;
}

bool byte_set_hits(const struct byte_set *set, struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (set->has[(unsigned char)s.p[i]])
			return true;
	}
	return false;
}

static struct hash *parse_names(const char *list)
{
	struct hash *names = hash_new(NULL);
	struct str rest = str_c(list), word;

	while (str_word(&rest, ", \t\r\n", &word)) {
		char *name = x_strndup(word.p, word.n);

		ascii_lower(name);
		hash_put(names, str_c(name), names);
		x_free(&name);
	}
	return names;
}

struct cleanup_env *cleanup_env_new(const struct config *cfg, struct spool *spool, struct resolver *resolver,
	struct queue_notifier *notifier, struct err *err)
{
	struct cleanup_env *env = x_alloc(sizeof(*env));

	env->cfg = cfg;
	env->spool = spool;
	env->resolver = resolver;
	env->notifier = notifier;
	env->drop_headers = parse_names(cfg->message_drop_headers);
	if (!byte_set_parse(&env->strip, cfg->message_strip_characters, err)) {
		err_prefix(err, "message_strip_characters");
		cleanup_env_free(&env);
	} else if (!byte_set_parse(&env->reject, cfg->message_reject_characters, err)) {
		err_prefix(err, "message_reject_characters");
		cleanup_env_free(&env);
	}
	return env;
}

void cleanup_env_free(struct cleanup_env **envp)
{
	struct cleanup_env *env = *envp;

	if (!env)
		return;
	hash_free(&env->drop_headers);
	x_free(envp);
}

bool cleanup_has_space(const struct cleanup_env *env, uint64_t size)
{
	const struct config *cfg = env->cfg;
	int64_t available = spool_free_bytes(env->spool);
	uint64_t wanted = (uint64_t)cfg->message_size_limit + (uint64_t)cfg->message_size_limit / 2;

	if (available < 0)
		return true;
	if (wanted < (uint64_t)cfg->queue_minfree)
		wanted = (uint64_t)cfg->queue_minfree;
	if (wanted < size)
		wanted = size;
	return (uint64_t)available >= wanted;
}
