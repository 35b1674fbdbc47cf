#include "verify/verify_entry.h"

#include "base/clock.h"
#include "base/utf8.h"

/* A probe whose outcome has not come after so long is lost. */
#define PROBE_PATIENCE (1000 * US_PER_SEC)

static const char letters[] = {[VERIFY_UNKNOWN] = '?',
	[VERIFY_DELIVERABLE] = '+',
	[VERIFY_DEFERRED] = '~',
	[VERIFY_UNDELIVERABLE] = '-'};

/* Of a sequence that the limit cuts, nothing is kept. */
static struct str whole_text(struct str text)
{
	struct str kept = str_first(text, VERIFY_TEXT_MAX);

	while (kept.n > 0 && kept.n < text.n && ((unsigned char)text.p[kept.n] & 0xc0) == 0x80)
		kept.n--;
	return kept;
}

void verify_entry_print(const struct verify_entry *e, struct buf *out)
{
	size_t start;

	buf_printf(
		out, "%c:%lld:%lld:", letters[e->status], (long long)e->probed_us, (long long)e->updated_us);
	start = out->len;
	buf_str(out, whole_text(e->text));
	if (out->len > start)
		utf8_hide_controls(out->data + start, out->len - start, ' ');
}

static bool take(struct str *rest, struct str *field)
{
	ptrdiff_t colon = str_find(*rest, ':');

	if (colon < 0)
		return false;
	*field = str_first(*rest, (size_t)colon);
	*rest = str_from(*rest, (size_t)colon + 1);
	return true;
}

bool verify_entry_parse(struct str value, struct verify_entry *e)
{
	struct str status, probed, updated;

	if (!take(&value, &status) || !take(&value, &probed) || !take(&value, &updated) || status.n != 1 ||
		!str_to_i64(probed, 0, INT64_MAX / 2, &e->probed_us) ||
		!str_to_i64(updated, 0, INT64_MAX / 2, &e->updated_us))
		return false;
	e->text = value;
	for (size_t i = 0; i < sizeof(letters); i++) {
		if (status.p[0] == letters[i]) {
			e->status = (enum verify_status)i;
			return value.n <= VERIFY_TEXT_MAX && !str_has_control(value) && utf8_valid(value);
		}
	}
	return false;
}

bool verify_entry_counts(
	const struct verify_entry *e, const struct verify_times *t, int64_t begun_us, int64_t now_us)
{
	int64_t age = now_us - e->updated_us;

	if (e->updated_us < t->since && e->probed_us < t->since)
		return false;
	switch (e->status) {
	case VERIFY_UNKNOWN:
		return now_us - e->probed_us <= PROBE_PATIENCE;
	case VERIFY_DELIVERABLE:
		return age <= t->positive_expire;
	default:
		return age <= t->negative_expire && (t->negative_cache || e->updated_us >= begun_us);
	}
}

bool verify_entry_due(const struct verify_entry *e, const struct verify_times *t, int64_t now_us)
{
	int64_t age = now_us - e->updated_us;

	if (e->status == VERIFY_UNKNOWN || now_us - e->probed_us <= PROBE_PATIENCE)
		return false;
	return age > (e->status == VERIFY_DELIVERABLE ? t->positive_refresh : t->negative_refresh);
}
