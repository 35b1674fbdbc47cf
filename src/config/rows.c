#include "config/rows.h"

#include "config/config.h"
#include <limits.h>

#define NO_TWIN NULL
#define TWIN "="
#define TWIN_OF(dflt) dflt
#define ROW(kind, n, d, t, s, p, m, x)                                                                       \
	.field = #n, .type = ROW_##kind, .dflt = d, .twin = t, .since = s, .programs = p, .mark = ROW_##m,   \
	.text = x, .offset = offsetof(struct config, n)

#define PARAM_TEXT(n, d, t, s, p, m, x) {ROW(TEXT, n, d, t, s, p, m, x)},
#define PARAM_RAW(n, d, t, s, p, m, x) {ROW(RAW, n, d, t, s, p, m, x)},
#define PARAM_TABLES(n, d, t, s, p, m, x) {ROW(TABLES, n, d, t, s, p, m, x)},
#define PARAM_BOOL(n, d, t, s, p, m, x) {ROW(BOOL, n, d, t, s, p, m, x)},
#define PARAM_INT(n, d, lo, hi, t, s, p, m, x) {ROW(INT, n, d, t, s, p, m, x), .min = lo, .max = hi},
#define PARAM_SIZE(n, d, lo, hi, t, s, p, m, x) {ROW(SIZE, n, d, t, s, p, m, x), .min = lo, .max = hi},
#define PARAM_TIME(n, d, u, lo, hi, t, s, p, m, x)                                                           \
	{ROW(TIME, n, d, t, s, p, m, x), .unit = u, .min = lo, .max = hi},
#define PARAM_ENUM(n, d, w, t, s, p, m, x) {ROW(ENUM, n, d, t, s, p, m, x), .words = w},
#define PARAM_WORDS(n, d, w, t, s, p, m, x) {ROW(WORDS, n, d, t, s, p, m, x), .words = w},

const struct row rows[] = {
#include "config/parameters.def"
};

const struct suffix transport_suffixes[] = {
	{"_delivery_slot_cost", "default_delivery_slot_cost"},
	{"_delivery_slot_discount", "default_delivery_slot_discount"},
	{"_delivery_slot_loan", "default_delivery_slot_loan"},
	{"_destination_concurrency_failed_cohort_limit",
		"default_destination_concurrency_failed_cohort_limit"},
	{"_destination_concurrency_limit", "default_destination_concurrency_limit"},
	{"_destination_concurrency_negative_feedback", "default_destination_concurrency_negative_feedback"},
	{"_destination_concurrency_positive_feedback", "default_destination_concurrency_positive_feedback"},
	{"_destination_rate_delay", "default_destination_rate_delay"},
	{"_destination_recipient_limit", "default_destination_recipient_limit"},
	{"_extra_recipient_limit", "default_extra_recipient_limit"},
	{"_initial_destination_concurrency", "initial_destination_concurrency"},
	{"_minimum_delivery_slots", "default_minimum_delivery_slots"},
	{"_recipient_limit", "default_recipient_limit"},
	{"_recipient_refill_delay", "default_recipient_refill_delay"},
	{"_recipient_refill_limit", "default_recipient_refill_limit"},
	{"_transport_rate_delay", "default_transport_rate_delay"},
	{"_time_limit", "command_time_limit"},
	{NULL, NULL},
};

enum { ROW_COUNT = sizeof(rows) / sizeof(rows[0]) };

size_t row_count(void)
{
	return ROW_COUNT;
}

const struct row *row_find(const char *name)
{
	for (size_t i = 0; i < ROW_COUNT; i++) {
		if (strcmp(row_name(&rows[i]), name) == 0)
			return &rows[i];
	}
	return NULL;
}

/* The client's greeting is LHLO in LMTP, in the names too. */
const char *row_twin_name(const struct row *row, char out[ROW_NAME_MAX])
{
	char *word;

	snprintf(out, ROW_NAME_MAX, "lmtp_%s", row->field + strlen("smtp_"));
	word = strstr(out, "_ehlo_");
	if (!word)
		word = strstr(out, "_helo_");
	if (word)
		memcpy(word, "_lhlo_", 6);
	return out;
}

const char *row_twin_default(const struct row *row, struct buf *buf)
{
	struct str rest = str_c(row->dflt);

	if (strcmp(row->twin, "=") != 0)
		return row->twin;
	buf_clear(buf);
	while (rest.n) {
		bool reference = rest.p[0] == '$' || rest.p[0] == '{';

		buf_putc(buf, rest.p[0]);
		rest = str_from(rest, 1);
		if (reference && str_starts(rest, STR("smtp_"))) {
			buf_puts(buf, "lmtp_");
			rest = str_from(rest, 5);
		}
	}
	return buf_cstr(buf);
}

static bool is_program(struct str word)
{
	static const char *const programs[] = {"smtpd", "smtp", "qmgr", "local", "virtual", "pipe", "pickup",
		"spawn", "error", "discard", "postscreen", "tlsproxy", "qmqpd", "master", "sendmail",
		"postqueue", "postsuper", "postcat", "postmap", "postalias", "postmulti", "postkick",
		"postlock", "postconf"};

	for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++) {
		if (str_is(word, programs[i]))
			return true;
	}
	return false;
}

bool row_is_foreign(const struct row *row, const char *program)
{
	struct str rest = str_c(row->programs), word;

	if (strcmp(program, "lmtp") == 0)
		program = "smtp";
	while (str_word(&rest, " ", &word)) {
		if (str_is(word, program) || !is_program(word))
			return false;
	}
	return true;
}
