#include "mail/queue_id.h"

#include "base/clock.h"
#include <ctype.h>
#include <inttypes.h>

/* Digits of the long form: no vowels, so that no id spells a word; 'z' separates. Base 52 for time. */
static const char id_digits[] = "0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz";
#define ID_BASE 52u
#define SECOND_DIGITS 6
#define MICRO_DIGITS 4
#define SHORT_DIGITS 11
#define SHORT_EPOCH UINT64_C(1577836800000000) /* 2020: what short ids count from */

static void id_print(uint64_t value, int digits, char *out)
{
	for (int i = digits - 1; i >= 0; i--) {
		out[i] = id_digits[value % ID_BASE];
		value /= ID_BASE;
	}
}

static bool id_scan(const char *in, int digits, uint64_t *value)
{
	*value = 0;
	for (int i = 0; i < digits; i++) {
		const char *at = in[i] ? strchr(id_digits, in[i]) : NULL;

		if (!at)
			return false;
		*value = *value * ID_BASE + (uint64_t)(at - id_digits);
	}
	return true;
}

struct queue_id queue_id_make(uint64_t number, bool long_form)
{
	struct queue_id id = {""};

	if (!long_form) {
		snprintf(id.text, sizeof(id.text), "%0*" PRIX64, SHORT_DIGITS,
			((number - SHORT_EPOCH) / QUEUE_ID_STEP) & UINT64_C(0xfffffffffff));
		return id;
	}
	id_print(number / US_PER_SEC, SECOND_DIGITS, id.text);
	id_print(number % US_PER_SEC, MICRO_DIGITS, id.text + SECOND_DIGITS);
	/* Programs that read logs expect at least twelve characters and a z after the time. */
	memcpy(id.text + SECOND_DIGITS + MICRO_DIGITS, "z0", 3);
	return id;
}

bool queue_id_valid(struct str text)
{
	if (text.n < 6 || text.n >= QUEUE_ID_MAX)
		return false;
	for (size_t i = 0; i < text.n; i++)
		if (!isalnum((unsigned char)text.p[i]))
			return false;
	return true;
}

uint64_t queue_id_number(const struct queue_id *id)
{
	uint64_t seconds, micros;

	if (strlen(id->text) == SHORT_DIGITS && strspn(id->text, "0123456789ABCDEF") == SHORT_DIGITS)
		return strtoull(id->text, NULL, 16) * QUEUE_ID_STEP + SHORT_EPOCH;
	if (strlen(id->text) < SECOND_DIGITS + MICRO_DIGITS || !id_scan(id->text, SECOND_DIGITS, &seconds) ||
		!id_scan(id->text + SECOND_DIGITS, MICRO_DIGITS, &micros))
		return 0;
	return seconds * US_PER_SEC + micros;
}
