/* Sources of tables: the first byte is the type, the first line the key, the rest the source. */
#define _GNU_SOURCE
#include "base/mem.h"
#include "base/sys.h"
#include "table/table.h"
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_warning(void *arg, const char *text)
{
	*(size_t *)arg += strlen(text);
}

static bool read_entry(void *arg, struct str key, struct str value)
{
	*(size_t *)arg += key.n + value.n;
	return true;
}

static void ask(const char *spec, int flags, struct str key)
{
	struct buf value = BUF(TABLE_VALUE_MAX);
	struct err err;
	struct table *t = table_open(spec, flags, &err);
	size_t seen = 0;

	if (t) {
		table_lookup(t, key, &value, &err);
		table_each(t, read_entry, &seen, &err);
		table_warnings(t, read_warning, &seen);
	}
	table_close(&t);
	buf_free(&value);
}

static void ask_inline(const char *type, struct str text, int flags, struct str key)
{
	char *spec = x_asprintf("%s:{" STR_FMT "}", type, STR_ARG(text));

	ask(spec, flags, key);
	x_free(&spec);
}

static void ask_file(const char *type, struct str text, int flags, struct str key)
{
	int fd = memfd_create("source", MFD_CLOEXEC);
	char *spec = x_asprintf("%s:/proc/self/fd/%d", type, fd);

	if (fd >= 0 && sys_write_all(fd, text.p, text.n))
		ask(spec, flags, key);
	x_free(&spec);
	sys_close(&fd);
}

static bool is_repetition(char c)
{
	return c == '+' || c == '*' || c == '?';
}

/* regcomp(3) unrolls repetitions, those of repetitions many times over, and matching with back references
 * takes exponential time: what the operator writes is trusted to be sane. */
static bool regexp_is_cheap(struct str text)
{
	for (size_t i = 0; i + 1 < text.n; i++) {
		bool digit = text.p[i + 1] >= '0' && text.p[i + 1] <= '9';

		if (digit && (text.p[i] == '\\' || (text.p[i] == '{' && (i == 0 || text.p[i - 1] != '$'))))
			return false;
		if (is_repetition(text.p[i]) && is_repetition(text.p[i + 1]))
			return false;
	}
	return text.n < 300;
}

static void ask_list(struct str text, struct str key)
{
	char *list = x_strndup(text.p, text.n);
	struct err err;
	struct matchlist *m;

	/* Files and tables that are named in the input are not what is tested. */
	for (char *p = list; *p; p++) {
		if (*p == '/' && (p == list || !strchr("0123456789]", p[-1])))
			*p = '.';
	}
	m = matchlist_open("fuzz", list, (int)key.n & (MATCH_PARENT | MATCH_EXACT), &err);
	if (m) {
		matchlist_name(m, key, &err);
		matchlist_host(m, STR("unknown"), key, &err);
	}
	matchlist_close(&m);
	x_free(&list);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const types[] = {"texthash", "cidr", "regexp", "pcre"};
	struct str input = {(const char *)data, size}, key;
	unsigned choice;
	ptrdiff_t end;

	if (size < 2 || memmem(data, size, "(*", 2) || size > 4096)
		return 0;
	choice = data[0];
	input = str_from(input, 1);
	end = str_find(input, '\n');
	key = str_first(input, end < 0 ? 0 : (size_t)end);
	input = str_from(input, key.n + (end >= 0));
	if (choice % 8 == 2 && !regexp_is_cheap(input))
		return 0;
	if (choice % 8 < 4)
		ask_file(types[choice % 4], input, TABLE_FOLD, key);
	else if (choice % 8 == 4)
		ask_inline("inline", input, TABLE_FOLD, key);
	else if (choice % 8 == 5)
		ask_inline("cidr", input, TABLE_NO_SUBST, key);
	else if (choice % 8 == 6)
		ask_inline("randmap", input, 0, key);
	else
		ask_list(input, key);
	return 0;
}
