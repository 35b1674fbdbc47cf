#include "base/clock.h"
#include "config/service_config.h"
#include "mail/address.h"
#include "verify/verify_private.h"

/* ---- opening */

static struct verify_times times_of(const struct config *cfg, int64_t since_us)
{
	return (struct verify_times){.positive_expire = cfg->address_verify_positive_expire_time * US_PER_SEC,
		.positive_refresh = cfg->address_verify_positive_refresh_time * US_PER_SEC,
		.negative_expire = cfg->address_verify_negative_expire_time * US_PER_SEC,
		.negative_refresh = cfg->address_verify_negative_refresh_time * US_PER_SEC,
		.negative_cache = cfg->address_verify_negative_cache,
		.since = *cfg->address_verify_map ? 0 : since_us};
}

/* Without a map the file is still there, but what is in it from before counts for nothing. */
static char *file_path(const struct config *cfg, struct err *err)
{
	if (str_trim(str_c(cfg->address_verify_map)).n == 0)
		return x_asprintf("%s/verify_volatile.lmdb", cfg->data_directory);
	return cache_file_path(
		"address_verify_map", cfg->address_verify_map, cfg->default_cache_db_type, err);
}

static bool open_cache(struct verify *v, struct err *err)
{
	char *path = file_path(v->cfg, err);

	if (!path)
		return false;
	v->cache = cache_file_new(v->cfg, "address verification cache", path, VERIFY_VALUE_MAX, err);
	x_free(&path);
	return v->cache && cache_file_ready(v->cache, err);
}

struct verify *verify_open(const struct config *cfg, int64_t since_us, struct err *err)
{
	struct verify *v = x_alloc(sizeof(*v));

	v->cfg = cfg;
	if (!service_config_load(cfg, cfg->address_verify_service_name, "verify", false, &v->own_cfg, err)) {
		x_free(&v);
		return NULL;
	}
	if (v->own_cfg) {
		v->cfg = v->own_cfg;
		config_make_latest(cfg);
	}
	v->times = times_of(v->cfg, since_us);
	open_cache(v, &v->why);
	return v;
}

void verify_close(struct verify **v)
{
	if (!*v)
		return;
	cache_file_free(&(*v)->cache);
	config_free(&(*v)->own_cfg);
	x_free(v);
}

static bool usable(struct verify *v, const char *address, struct err *err)
{
	if (!v->cache)
		return err_set(err, "%s", v->why.text);
	return strlen(address) <= CACHE_KEY_MAX || err_set(err, "address is too long to be verified");
}

bool verify_trouble(struct verify *v, struct err *err)
{
	return !usable(v, "", err) || !cache_file_ready(v->cache, err);
}

/* Domains have no case, local parts may have. */
static void make_key(const char *address, struct buf *key)
{
	ptrdiff_t at = str_rfind(str_c(address), '@');

	buf_puts(key, address);
	for (size_t i = (size_t)(at + 1); at >= 0 && i < key->len; i++)
		if (key->data[i] >= 'A' && key->data[i] <= 'Z')
			key->data[i] = (char)(key->data[i] - 'A' + 'a');
}

/* ---- asking */

struct question {
	const struct verify *v;
	int64_t begun_us, now_us;
	bool known; /* entry counts; its text is in value */
	bool probe;
	struct verify_entry entry;
	struct buf value;
};

/* What an entry says, and whether it must change because a probe is to be made. */
static bool judge(struct question *q, bool has, struct str value)
{
	struct verify_entry e;

	buf_clear(&q->value);
	buf_str(&q->value, value);
	q->known = has && verify_entry_parse(buf_slice(&q->value), &e) &&
		   verify_entry_counts(&e, &q->v->times, q->begun_us, q->now_us);
	q->entry = q->known ? e : (struct verify_entry){.status = VERIFY_UNKNOWN, .text = STR("")};
	q->probe = !q->known || verify_entry_due(&e, &q->v->times, q->now_us);
	return q->probe;
}

/* Of all who ask at once, one makes the probe. */
static enum cache_change mark(void *arg, bool has, struct str old, struct buf *value)
{
	struct question *q = arg;

	if (!judge(q, has, old))
		return CACHE_KEEP;
	q->entry.probed_us = q->now_us;
	verify_entry_print(&q->entry, value);
	return CACHE_PUT;
}

static bool ask(struct verify *v, struct str key, struct question *q, struct err *err)
{
	struct buf value = BUF(VERIFY_VALUE_MAX);
	enum cache_found found = cache_file_get(v->cache, key, &value, err);
	bool good = found != CACHE_TROUBLE;

	if (good && judge(q, found == CACHE_FOUND, buf_slice(&value)))
		good = cache_file_change(v->cache, key, mark, q, err);
	buf_free(&value);
	return good;
}

bool verify_query(struct verify *v, const char *address, int64_t begun_us, struct pool *pool,
	struct verify_answer *out, struct err *err)
{
	struct question q = {
		.v = v, .begun_us = begun_us, .now_us = clock_real(), .value = BUF(VERIFY_VALUE_MAX)};
	struct buf key = BUF(CACHE_KEY_MAX);
	bool good = usable(v, address, err);

	if (good) {
		make_key(address, &key);
		good = ask(v, buf_slice(&key), &q, err);
	}
	if (good)
		*out = (struct verify_answer){.status = q.entry.status,
			.text = pool_strndup(pool, q.entry.text.p, q.entry.text.n),
			.probe = q.probe};
	buf_free(&key);
	buf_free(&q.value);
	return good;
}

/* ---- telling */

struct outcome {
	const struct verify *v;
	struct verify_entry entry;
};

static enum cache_change take_outcome(void *arg, bool has, struct str old, struct buf *value)
{
	struct outcome *o = arg;
	struct verify_entry before;

	if (has && o->entry.status != VERIFY_DELIVERABLE && verify_entry_parse(old, &before) &&
		before.status == VERIFY_DELIVERABLE &&
		verify_entry_counts(&before, &o->v->times, 0, o->entry.updated_us))
		return CACHE_KEEP;
	verify_entry_print(&o->entry, value);
	return CACHE_PUT;
}

static enum cache_change drop_waiting(void *arg, bool has, struct str old, struct buf *value)
{
	struct verify_entry e;

	if (!has || (verify_entry_parse(old, &e) && e.status != VERIFY_UNKNOWN))
		return CACHE_KEEP;
	return CACHE_DROP;
}

static bool change(struct verify *v, const char *address, cache_change_fn *fn, void *arg, struct err *err)
{
	struct buf key = BUF(CACHE_KEY_MAX);
	bool good = usable(v, address, err);

	if (good) {
		make_key(address, &key);
		good = cache_file_change(v->cache, buf_slice(&key), fn, arg, err);
	}
	buf_free(&key);
	return good;
}

bool verify_update(
	struct verify *v, const char *address, enum verify_status status, const char *text, struct err *err)
{
	struct outcome o = {
		.v = v, .entry = {.status = status, .updated_us = clock_real(), .text = str_c(text)}};

	return change(v, address, take_outcome, &o, err);
}

bool verify_forget(struct verify *v, const char *address, struct err *err)
{
	return change(v, address, drop_waiting, NULL, err);
}

/* ---- sweeping */

struct sweeping {
	const struct verify *v;
	int64_t now_us;
	struct verify_sweep *result;
};

static bool outdated(void *arg, struct str value)
{
	struct sweeping *s = arg;
	struct verify_entry e;
	bool old = !verify_entry_parse(value, &e) ||
		   !verify_entry_counts(&e, &s->v->times, s->now_us, s->now_us);

	*(old ? &s->result->dropped : &s->result->retained) += 1;
	return old;
}

bool verify_sweep(struct verify *v, struct verify_sweep *result, struct err *err)
{
	struct sweeping s = {v, clock_real(), result};

	*result = (struct verify_sweep){0};
	return usable(v, "", err) && cache_file_sweep(v->cache, outdated, &s, err);
}

int verify_sweep_interval(const struct verify *v)
{
	return v->cfg->address_verify_cache_cleanup_interval;
}

const char *verify_name(const struct verify *v)
{
	return v->cache ? cache_file_name(v->cache) : v->cfg->address_verify_map;
}
