#include "smtp/smtp_sasl_cache.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/sys.h"
#include "table/cache_file.h"

#define HASH 32 /* bytes */
#define SALT 16
#define ENTRY_MAX 2048
#define TEXT_MAX 1500
#define ENTRIES 100000
#define ROUNDS 10000 /* who reads the file cannot try passwords fast */

bool smtp_sasl_cache_open(struct smtp_client *c, struct err *err)
{
	const char *name = c->cfg->smtp_sasl_auth_cache_name;
	struct err trouble = {""};
	char *path;

	if (!name[0])
		return true;
	path = cache_file_path(c->lmtp ? "lmtp_sasl_auth_cache_name" : "smtp_sasl_auth_cache_name", name,
		c->cfg->default_cache_db_type, err);
	if (!path)
		return false;
	c->login_cache = cache_file_new(c->cfg, "SASL authentication cache", path, ENTRY_MAX, err);
	x_free(&path);
	if (c->login_cache && !cache_file_ready(c->login_cache, &trouble))
		log_warning("%s", trouble.text);
	return c->login_cache;
}

static void add_hex(struct buf *out, const unsigned char *raw, size_t n)
{
	for (size_t i = 0; i < n; i++)
		buf_printf(out, "%02x", raw[i]);
}

/* One entry for each user at a server. */
static bool make_key(const struct smtp_login *login, struct buf *key)
{
	unsigned char raw[HASH];
	struct buf text = BUF(65536);
	bool ok;

	buf_printf(&text, "%zu:%s:%s", strlen(login->host), login->host, login->user);
	ok = !text.over && EVP_Digest(text.data, text.len, raw, NULL, EVP_sha256(), NULL) == 1;
	buf_free(&text);
	if (ok)
		add_hex(key, raw, sizeof(raw));
	return ok;
}

static bool hash_password(const char *password, struct str salt, struct buf *out)
{
	unsigned char raw[HASH];

	if (PKCS5_PBKDF2_HMAC(password, (int)strlen(password), (const unsigned char *)salt.p, (int)salt.n,
		    ROUNDS, EVP_sha256(), sizeof(raw), raw) != 1)
		return false;
	add_hex(out, raw, sizeof(raw));
	sys_wipe(raw, sizeof(raw));
	return true;
}

static bool take(struct str *rest, struct str *field)
{
	ptrdiff_t space = str_find(*rest, ' ');

	if (space < 0)
		return false;
	*field = str_first(*rest, (size_t)space);
	*rest = str_from(*rest, (size_t)space + 1);
	return true;
}

/* "time salt hash status text" */
struct entry {
	int64_t time; /* seconds since 1970 */
	struct str salt, hash, status, text;
};

static bool parse(struct str value, struct entry *e)
{
	struct str time;

	if (!take(&value, &time) || !take(&value, &e->salt) || !take(&value, &e->hash) ||
		!take(&value, &e->status) || !str_to_i64(time, 0, INT64_MAX / 2, &e->time))
		return false;
	e->text = value;
	return e->status.n < sizeof(((struct smtp_reply *)NULL)->status) && !str_has_control(value);
}

static int64_t seconds_now(void)
{
	return clock_real() / US_PER_SEC;
}

/* An entry of the future, made before the clock was set back, does not count. */
static bool counts(const struct smtp_client *c, const struct entry *e)
{
	int64_t age = seconds_now() - e->time;

	return age >= 0 && age < c->cfg->smtp_sasl_auth_cache_time;
}

static bool outdated(void *arg, struct str value)
{
	struct entry e;

	return !parse(value, &e) || !counts(arg, &e);
}

static bool same_password(const struct entry *e, const char *password)
{
	struct buf hash = BUF(2 * HASH + 1);
	bool same = hash_password(password, e->salt, &hash) && str_eq(buf_slice(&hash), e->hash);

	buf_free(&hash);
	return same;
}

bool smtp_sasl_cache_find(
	struct smtp_client *c, struct pool *pool, const struct smtp_login *login, struct smtp_reply *reply)
{
	struct buf key = BUF(CACHE_KEY_MAX), value = BUF(ENTRY_MAX);
	struct err err = {""};
	struct entry e;
	bool found = false;

	if (!c->login_cache || !make_key(login, &key))
		return false;
	switch (cache_file_get(c->login_cache, buf_slice(&key), &value, &err)) {
	case CACHE_FOUND:
		found = parse(buf_slice(&value), &e) && counts(c, &e) && same_password(&e, login->password);
		break;
	case CACHE_TROUBLE:
		log_warning("%s", err.text);
		break;
	case CACHE_ABSENT:
		break;
	}
	if (found) {
		*reply = (struct smtp_reply){
			.code = 535, .text = pool_strndup(pool, e.text.p, e.text.n), .lines = 1};
		memcpy(reply->status, e.status.p, e.status.n);
	}
	buf_free(&key);
	buf_free(&value);
	return found;
}

/* Of several lines the first. */
static struct str first_line(const char *text)
{
	struct str line = {text, strcspn(text, "\n")};

	return str_first(line, TEXT_MAX);
}

static bool print(const struct smtp_login *login, const struct smtp_reply *reply, struct buf *out)
{
	struct str line = first_line(reply->text);
	unsigned char salt[SALT];
	struct buf hex = BUF(2 * SALT + 1);
	bool ok = RAND_bytes(salt, sizeof(salt)) == 1;

	if (ok) {
		add_hex(&hex, salt, sizeof(salt));
		buf_printf(out, "%lld %s ", (long long)seconds_now(), buf_cstr(&hex));
		ok = hash_password(login->password, buf_slice(&hex), out);
		buf_printf(out, " %s " STR_FMT, reply->status, STR_ARG(line));
	}
	buf_free(&hex);
	return ok && !out->over;
}

void smtp_sasl_cache_note(
	struct smtp_client *c, const struct smtp_login *login, const struct smtp_reply *reply)
{
	const struct cache_care care = {outdated, c, ENTRIES};
	struct buf key = BUF(CACHE_KEY_MAX), value = BUF(ENTRY_MAX);
	struct err err = {""};

	if (c->login_cache && reply->code == 535 && make_key(login, &key) && print(login, reply, &value) &&
		!cache_file_store(c->login_cache, buf_slice(&key), buf_slice(&value), &care, &err))
		log_warning("%s", err.text);
	buf_free(&key);
	buf_free(&value);
}
