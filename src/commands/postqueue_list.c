#include "commands/postqueue_list.h"

#include <inttypes.h>

#include "base/clock.h"
#include "base/utf8.h"

#define REASON_WIDTH 76 /* the reason ends there when it is short enough */

/* ---- classic */

static char status_mark(const struct queue_listed *l)
{
	if (l->expired)
		return '#';
	return l->queue == QUEUE_ACTIVE ? '*' : l->queue == QUEUE_HOLD ? '!' : ' ';
}

static const char *sender_name(const struct queue_listed *l)
{
	return *l->sender ? l->sender : "MAILER-DAEMON";
}

/* Addresses and reasons come from outside: nothing in them may move the cursor of a terminal. */
static void print_clean(FILE *out, const char *text)
{
	struct buf shown = BUF(SIZE_MAX);

	buf_puts(&shown, text);
	utf8_hide_controls(shown.data, shown.len, '?');
	fwrite(shown.data, 1, shown.len, out);
	buf_free(&shown);
}

static void print_arrival(const struct queue_list *list, int64_t arrival_us)
{
	time_t seconds = (time_t)(arrival_us / US_PER_SEC);
	char text[32];
	struct tm tm;

	localtime_r(&seconds, &tm);
	strftime(text, sizeof(text), "%a %b %e %H:%M:%S", &tm);
	fprintf(list->out, list->long_ids ? "%s " : "%s  ", text);
}

static void print_head(const struct queue_list *list)
{
	if (list->long_ids)
		fputs("----Queue ID----- --Size-- ---Arrival Time---- --Sender/Recipient------\n", list->out);
	else
		fputs("-Queue ID-  --Size-- ----Arrival Time---- -Sender/Recipient-------\n", list->out);
}

static void print_reason(FILE *out, const char *reason)
{
	int width = (int)strlen(reason);

	fprintf(out, "%*s(", width < REASON_WIDTH ? REASON_WIDTH - width : 0, "");
	print_clean(out, reason);
	fputs(")\n", out);
}

/* A reason stands once above those that share it. */
static void print_recipient(
	const struct queue_list *list, const struct queue_listed_recipient *r, const char *above)
{
	if (r->reason != NULL && *r->reason != '\0' && (above == NULL || strcmp(r->reason, above) != 0))
		print_reason(list->out, r->reason);
	fprintf(list->out, "%*s", list->long_ids ? 47 : 41, "");
	print_clean(list->out, r->address);
	putc('\n', list->out);
}

static void print_classic(const struct queue_list *list, const struct queue_listed *l)
{
	char id[QUEUE_ID_MAX + 2];

	if (list->messages == 0)
		print_head(list);
	snprintf(id, sizeof(id), "%s%c", l->id.text, status_mark(l));
	fprintf(list->out, list->long_ids ? "%-17s %8" PRIu64 " " : "%-11s %7" PRIu64 " ", id, l->size);
	print_arrival(list, l->arrival_us);
	print_clean(list->out, sender_name(l));
	putc('\n', list->out);
	for (size_t i = 0; i < l->recipient_count; i++)
		print_recipient(list, &l->recipients[i], i > 0 ? l->recipients[i - 1].reason : NULL);
	putc('\n', list->out);
}

void postqueue_list_end(const struct queue_list *list)
{
	if (list->json)
		return;
	if (list->messages == 0)
		fputs("Mail queue is empty\n", list->out);
	else
		fprintf(list->out, "-- %" PRIu64 " Kbytes in %zu Request%s.\n", list->bytes / 1024,
			list->messages, list->messages == 1 ? "" : "s");
}

/* ---- JSON (RFC 8259) */

static void json_text(FILE *out, const char *text)
{
	struct buf quoted = BUF(SIZE_MAX);

	utf8_put_json(&quoted, str_c(text));
	fwrite(quoted.data, 1, quoted.len, out);
	buf_free(&quoted);
}

static void json_recipient(FILE *out, const struct queue_listed_recipient *r)
{
	fputs("{\"address\": ", out);
	json_text(out, r->address);
	if (r->reason != NULL && *r->reason != '\0') {
		fputs(", \"delay_reason\": ", out);
		json_text(out, r->reason);
	}
	if (r->failed)
		fputs(", \"report_pending\": true", out);
	putc('}', out);
}

static void print_json(const struct queue_list *list, const struct queue_listed *l)
{
	FILE *out = list->out;

	fprintf(out,
		"{\"queue_name\": \"%s\", \"queue_id\": \"%s\", \"arrival_time\": %" PRId64
		", \"message_size\": %" PRIu64,
		spool_queue_name(l->queue), l->id.text, l->arrival_us / US_PER_SEC, l->size);
	fprintf(out, ", \"forced_expire\": %s, \"sender\": ", l->expired ? "true" : "false");
	json_text(out, sender_name(l));
	fputs(", \"recipients\": [", out);
	for (size_t i = 0; i < l->recipient_count; i++) {
		if (i > 0)
			fputs(", ", out);
		json_recipient(out, &l->recipients[i]);
	}
	fputs("]}\n", out);
}

void postqueue_list(void *arg, const struct queue_listed *l)
{
	struct queue_list *list = arg;

	if (list->json)
		print_json(list, l);
	else
		print_classic(list, l);
	list->messages++;
	list->bytes += l->size;
}
