#include "local/local.h"
#include "mail/address_list.h"

#define INCLUDE ":include:"

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void add(struct pool *pool, struct local_targets *out, enum local_target_kind kind, const char *text)
{
	if (!text[0])
		return;
	if (out->count == out->cap) {
		struct local_target *more = pool_alloc(pool, (2 * out->cap + 8) * sizeof(*more));

		if (out->count > 0)
			memcpy(more, out->list, out->count * sizeof(*more));
		out->list = more;
		out->cap = 2 * out->cap + 8;
	}
	out->list[out->count++] = (struct local_target){kind, text};
}

/* Whether text, quotes taken off, is a command, file or :include:. */
static bool is_special(struct str text)
{
	return text.n > 0 && (text.p[0] == '|' || text.p[0] == '/' || str_starts(text, STR("~/")) ||
				     str_case_starts(text, STR(INCLUDE)));
}

static void add_special(struct pool *pool, struct local_targets *out, struct str text)
{
	const char *copy = pool_strndup(pool, text.p, text.n);

	if (strlen(copy) < text.n)
		return; /* a NUL */
	if (copy[0] == '|') {
		text = str_trim(str_c(copy + 1));
		add(pool, out, TARGET_COMMAND, pool_strndup(pool, text.p, text.n));
	} else if (copy[0] == ':') {
		add(pool, out, TARGET_INCLUDE, copy + strlen(INCLUDE));
	} else {
		add(pool, out, TARGET_FILE, copy);
	}
}

/* Ordinary addresses, as header fields have them; a '\' before a name is not theirs. */
static void add_addresses(struct pool *pool, struct local_targets *out, struct str text)
{
	struct address_list list = {0};

	text = str_trim(text);
	if (text.n == 0)
		return;
	address_list_parse(text, &list);
	for (size_t i = 0; i < list.count; i++)
		add(pool, out, TARGET_ADDRESS, pool_strdup(pool, list.items[i]));
	address_list_free(&list);
}

/* "\name": the name's own mailbox, whatever aliases say. */
static void add_bare(struct pool *pool, struct local_targets *out, struct str word)
{
	size_t before = out->count;

	add_addresses(pool, out, str_from(word, 1));
	for (size_t i = before; i < out->count; i++)
		out->list[i].text = pool_printf(pool, "\\%s", out->list[i].text);
}

/* The length of a quoted string at the start of text, its quotes counted; 0: it does not end. The inside goes
 * to `inside`, backslashes taken off. */
static size_t take_quoted(struct str text, struct buf *inside)
{
	buf_clear(inside);
	for (size_t i = 1; i < text.n; i++) {
		if (text.p[i] == '"')
			return i + 1;
		if (text.p[i] == '\\' && i + 1 < text.n)
			i++;
		buf_putc(inside, text.p[i]);
	}
	return 0;
}

static bool ends_word(struct str text, size_t at)
{
	return at >= text.n || text.p[at] == ',' || is_blank(text.p[at]);
}

static size_t word_length(struct str text)
{
	size_t n = 0;

	while (!ends_word(text, n))
		n++;
	return n;
}

/* What begins here and is no ordinary address; 0: nothing of the kind. */
static size_t take_special(struct pool *pool, struct str text, struct buf *inside, struct local_targets *out)
{
	size_t n;

	if (text.p[0] == '"') {
		n = take_quoted(text, inside);
		if (n == 0 || !ends_word(text, n) || !is_special(buf_slice(inside)))
			return 0;
		add_special(pool, out, buf_slice(inside));
		return n;
	}
	n = word_length(text);
	if (is_special(text))
		add_special(pool, out, str_first(text, n));
	else if (text.p[0] == '\\')
		add_bare(pool, out, str_first(text, n));
	else
		return 0;
	return n;
}

/* One word of an ordinary address: quotes, comments and <> hold blanks and commas. */
static size_t skip_ordinary(struct str text, struct buf *inside)
{
	int depth = 0;
	size_t i = 0;

	while (i < text.n && (depth > 0 || !ends_word(text, i))) {
		size_t quoted = text.p[i] == '"' ? take_quoted(str_from(text, i), inside) : 0;

		if (text.p[i] == '(' || text.p[i] == '<')
			depth++;
		else if ((text.p[i] == ')' || text.p[i] == '>') && depth > 0)
			depth--;
		else if (text.p[i] == '\\')
			i++;
		i += quoted ? quoted : 1;
	}
	return i < text.n ? i : text.n;
}

void local_value_parse(struct pool *pool, struct str text, struct local_targets *out)
{
	struct buf inside = BUF(text.n + 1);
	size_t plain = 0; /* where addresses began that are not added yet */
	size_t i = 0;

	while (i < text.n) {
		struct local_targets found = {0};
		size_t n = 0;

		if (is_blank(text.p[i]) || text.p[i] == ',') {
			i++;
			continue;
		}
		n = take_special(pool, str_from(text, i), &inside, &found);
		if (n == 0) {
			i += skip_ordinary(str_from(text, i), &inside);
			continue;
		}
		add_addresses(pool, out, str_first(str_from(text, plain), i - plain));
		for (size_t k = 0; k < found.count; k++)
			add(pool, out, found.list[k].kind, found.list[k].text);
		i += n;
		plain = i;
	}
	add_addresses(pool, out, str_from(text, plain));
	buf_free(&inside);
}
