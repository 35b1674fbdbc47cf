/* The settings of a database table: the first line is a key, the second a result, the rest the file. What a
 * template makes of them must be what quoting allows. */
#define _GNU_SOURCE
#include <sys/mman.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/sys.h"
#include "table/sql_query.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct str take_line(struct str *rest)
{
	ptrdiff_t end = str_find(*rest, '\n');
	struct str line = str_first(*rest, end < 0 ? rest->n : (size_t)end);

	*rest = str_from(*rest, line.n + 1);
	return line;
}

/* A text in which nothing of the key is left as it is. */
static bool hide(void *arg, struct str text, struct buf *out)
{
	for (size_t i = 0; i < text.n; i++)
		buf_printf(out, "%02x", (unsigned char)text.p[i]);
	return !out->over;
}

static void expand(const char *text, struct str key, struct str value)
{
	struct buf out = BUF(100000);
	struct err err;

	if (!template_check("x", text, &err))
		return;
	template_applies(text, key, true);
	template_applies(text, key, false);
	template_expand(text, value, key, NULL, NULL, &out);
	buf_clear(&out);
	if (template_expand(text, key, key, hide, NULL, &out) && !strchr(text, '\'') &&
		str_find(buf_slice(&out), '\'') >= 0)
		abort();
	buf_free(&out);
}

static void read_settings(struct settings *s, struct str key, struct str value)
{
	static const char *const templates[] = {"result_format", "search_base", "query_filter", "key_format"};
	struct err err = {""};
	char *query;
	int number;
	bool flag;

	for (size_t i = 0; i < 4; i++)
		expand(settings_text(s, templates[i], "%s"), key, value);
	if (settings_number(s, "expansion_limit", 0, 0, 1000, &number, &err) && (number < 0 || number > 1000))
		abort();
	settings_bool(s, "start_tls", true, &flag, &err);
	query = sql_query(s, true, &err);
	if (query)
		expand(query, key, value);
	x_free(&query);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str rest = {(const char *)data, size};
	const struct str key = take_line(&rest), value = take_line(&rest);
	int fd = memfd_create("settings", MFD_CLOEXEC);
	char *path = x_asprintf("/proc/self/fd/%d", fd);
	struct err err = {""};
	struct settings *s;

	if (fd >= 0 && sys_write_all(fd, rest.p, rest.n)) {
		s = settings_open(path, NULL, &err);
		if (s)
			read_settings(s, key, value);
		settings_close(&s);
	}
	x_free(&path);
	sys_close(&fd);
	return 0;
}
