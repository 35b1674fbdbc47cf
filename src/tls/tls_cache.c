#include "tls/tls_cache.h"

#include <openssl/err.h>
#include <stdatomic.h>

#include "base/clock.h"
#include "base/cursor.h"
#include "config/config.h"
#include "table/cache_file.h"
#include "tls/tls_internal.h"

#define SESSION_MAX 32768 /* bytes; certificates are a part of them */
#define SESSIONS 20000	  /* in a file */
#define WARN_SECONDS 60
#define STAMP 8 /* bytes ahead of a session: when it ends, seconds since 1970, lowest first */

struct tls_cache {
	struct cache_file *file;
	int seconds; /* const, as is */
	tls_warn_fn *warn;
	_Atomic int64_t next_warning; /* clock_mono() */
};

static void complain(struct tls_cache *c, const struct err *err)
{
	int64_t now = clock_mono(), next = atomic_load(&c->next_warning);

	if (now >= next && atomic_compare_exchange_strong(&c->next_warning, &next, deadline_in(WARN_SECONDS)))
		c->warn(NULL, err->text);
}

struct tls_cache *tls_cache_open(const struct config *cfg, const char *parameter, const char *map,
	int seconds, tls_warn_fn *warn, struct err *err)
{
	char *path = cache_file_path(parameter, map, cfg->default_cache_db_type, err);
	struct err trouble = {""};
	struct tls_cache *c;

	if (!path)
		return NULL;
	c = x_alloc(sizeof(*c));
	c->seconds = seconds;
	c->warn = warn;
	if (cache_file_redirect(cfg, &path)) {
		err_set(&trouble, "%s: the directory of %s is not %s's: %s is used instead", parameter, map,
			cfg->mail_owner, path);
		warn(NULL, trouble.text);
	}
	c->file = cache_file_new(cfg, "TLS session cache", path, SESSION_MAX + STAMP, err);
	x_free(&path);
	if (!c->file)
		tls_cache_free(&c);
	else if (!cache_file_ready(c->file, &trouble))
		complain(c, &trouble);
	return c;
}

void tls_cache_free(struct tls_cache **cache)
{
	if (!*cache)
		return;
	cache_file_free(&(*cache)->file);
	x_free(cache);
}

/* ---- entries */

static int64_t stamp(struct str value)
{
	struct cursor c = cursor_of(value.p, value.n);
	uint64_t n;

	return cursor_u64(&c, &n) && n <= INT64_MAX ? (int64_t)n : 0;
}

static int64_t seconds_now(void)
{
	return clock_real() / US_PER_SEC;
}

/* A clock that was set back must not make sessions live for ever. */
static bool lives(const struct tls_cache *c, struct str value)
{
	int64_t left = stamp(value) - seconds_now();

	return value.n > STAMP && left > 0 && left <= c->seconds;
}

static bool outdated(void *arg, struct str value)
{
	return !lives(arg, value);
}

static void forget(struct buf *secret)
{
	if (secret->data)
		OPENSSL_cleanse(secret->data, secret->len);
	buf_free(secret);
}

SSL_SESSION *tls_cache_load(struct tls_cache *c, struct str key)
{
	struct buf value = BUF(SESSION_MAX + STAMP);
	struct err err = {""};
	SSL_SESSION *session = NULL;
	enum cache_found found = cache_file_get(c->file, key, &value, &err);

	if (found == CACHE_TROUBLE)
		complain(c, &err);
	if (found == CACHE_FOUND && lives(c, buf_slice(&value))) {
		const unsigned char *p = (const unsigned char *)value.data + STAMP;

		session = d2i_SSL_SESSION(NULL, &p, (long)(value.len - STAMP));
		ERR_clear_error();
	}
	forget(&value);
	return session;
}

void tls_cache_save(struct tls_cache *c, struct str key, SSL_SESSION *session)
{
	const struct cache_care care = {outdated, c, SESSIONS};
	int size = i2d_SSL_SESSION(session, NULL);
	struct buf value = BUF(SESSION_MAX + STAMP);
	uint64_t end = (uint64_t)(seconds_now() + c->seconds);
	struct err err = {""};
	unsigned char *p;

	if (size <= 0 || size > SESSION_MAX)
		return;
	buf_integer(&value, end, STAMP);
	p = (unsigned char *)buf_reserve(&value, (size_t)size);
	i2d_SSL_SESSION(session, &p);
	buf_added(&value, (size_t)size);
	if (!cache_file_store(c->file, key, buf_slice(&value), &care, &err))
		complain(c, &err);
	forget(&value);
}

static enum cache_change drop(void *arg, bool has, struct str old, struct buf *value)
{
	return CACHE_DROP;
}

void tls_cache_drop(struct tls_cache *c, struct str key)
{
	struct err err = {""};

	if (!cache_file_change(c->file, key, drop, NULL, &err))
		complain(c, &err);
}
