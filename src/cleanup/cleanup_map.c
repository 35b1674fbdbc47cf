/* Addresses on their way to standard form, through canonical(5) tables and masquerading (ADDRESS_REWRITING).
 */
#include "base/log.h"
#include "base/mem.h"
#include "cleanup/cleanup_private.h"
#include "mail/address.h"
#include "mail/event.h"

void cleanup_complain(struct cleanup *c, const char *fmt, ...)
{
	struct buf text = BUF(1000);
	va_list ap;

	va_start(ap, fmt);
	buf_vprintf(&text, fmt, ap);
	va_end(ap);
	EVENT_LOG(CLEANUP_TROUBLE, ev_text("qid", c->id.text), ev_text("text", buf_cstr(&text)));
	buf_free(&text);
}

bool cleanup_map_trouble(struct cleanup *c, const char *maps, const char *address, const struct err *err)
{
	cleanup_complain(c, "%s map lookup problem for %s (%s) -- message not accepted, try again later",
		maps, address, err->text);
	return cleanup_fail(c, CLEANUP_TROUBLE, NULL, "Error: queue file write error");
}

static void complain(void *arg, const char *text)
{
	cleanup_complain(arg, "%s", text);
}

bool cleanup_map_address(struct cleanup *c, int class, struct buf *address)
{
	const struct mapping_listener listener = {.complain = complain, .arg = c};
	const char *parameter = NULL;
	struct err err = {""};
	enum table_status status;

	if (!c->env->map_addresses)
		return true;
	status = mapping_apply(c->env->mapping, &listener, class, address, &parameter, &err);
	if (status == TABLE_FOUND || status == TABLE_NOT_FOUND)
		return true;
	return cleanup_map_trouble(c, parameter, buf_cstr(address), &err);
}
