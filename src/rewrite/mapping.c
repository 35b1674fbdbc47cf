#include "rewrite/mapping.h"

#include "base/mem.h"
#include "mail/address.h"
#include "mail/address_list.h"
#include "rewrite/resolver.h"
#include "rewrite/rewrite_map.h"

#define CANONICAL_DEPTH_MAX 10 /* results that are looked up again */

struct mapping {
	const struct config *cfg;
	struct resolver *resolver;
	struct maps *sender_canonical, *sender_bcc, *recipient_bcc; /* the other tables are the resolver's */
	struct matchlist *masquerade_exceptions;
	int canonical_classes, sender_canonical_classes, recipient_canonical_classes, masquerade_classes;
	bool propagate;
};

static const struct {
	const char *name;
	int class;
} class_names[] = {
	{"envelope_sender", CLASS_ENVELOPE_SENDER},
	{"envelope_recipient", CLASS_ENVELOPE_RECIPIENT},
	{"header_sender", CLASS_HEADER_SENDER},
	{"header_recipient", CLASS_HEADER_RECIPIENT},
};

static int parse_classes(const char *list)
{
	int classes = 0;

	for (size_t i = 0; i < sizeof(class_names) / sizeof(*class_names); i++) {
		if (str_case_lists(list, class_names[i].name))
			classes |= class_names[i].class;
	}
	return classes;
}

int mapping_class(const char *name)
{
	for (size_t i = 0; i < sizeof(class_names) / sizeof(*class_names); i++) {
		if (strcmp(name, class_names[i].name) == 0)
			return class_names[i].class;
	}
	return 0;
}

static bool open_tables(struct mapping *m, struct err *err)
{
	const struct config *cfg = m->cfg;

	m->sender_canonical = maps_open("sender_canonical_maps", cfg->sender_canonical_maps, TABLE_FOLD, err);
	if (!m->sender_canonical)
		return false;
	m->sender_bcc = maps_open("sender_bcc_maps", cfg->sender_bcc_maps, TABLE_FOLD, err);
	if (!m->sender_bcc)
		return false;
	m->recipient_bcc = maps_open("recipient_bcc_maps", cfg->recipient_bcc_maps, TABLE_FOLD, err);
	if (!m->recipient_bcc)
		return false;
	m->masquerade_exceptions =
		matchlist_open("masquerade_exceptions", cfg->masquerade_exceptions, MATCH_EXACT, err);
	return m->masquerade_exceptions != NULL;
}

struct mapping *mapping_new(const struct config *cfg, struct resolver *resolver, struct err *err)
{
	struct mapping *m = x_alloc(sizeof(*m));

	m->cfg = cfg;
	m->resolver = resolver;
	m->propagate = str_case_lists(cfg->propagate_unmatched_extensions, "canonical");
	m->canonical_classes = parse_classes(cfg->canonical_classes);
	m->sender_canonical_classes = parse_classes(cfg->sender_canonical_classes);
	m->recipient_canonical_classes = parse_classes(cfg->recipient_canonical_classes);
	m->masquerade_classes = parse_classes(cfg->masquerade_classes);
	if (!open_tables(m, err))
		mapping_free(&m);
	return m;
}

void mapping_free(struct mapping **m)
{
	if (!*m)
		return;
	maps_close(&(*m)->sender_canonical);
	maps_close(&(*m)->sender_bcc);
	maps_close(&(*m)->recipient_bcc);
	matchlist_close(&(*m)->masquerade_exceptions);
	x_free(m);
}

void mapping_warnings(const struct mapping *m, table_warn_fn warn, void *arg)
{
	maps_warnings(m->sender_canonical, warn, arg);
	maps_warnings(m->sender_bcc, warn, arg);
	maps_warnings(m->recipient_bcc, warn, arg);
	matchlist_warnings(m->masquerade_exceptions, warn, arg);
}

void mapping_observe(struct mapping *m, maps_observer observe, void *arg)
{
	maps_observe(m->sender_canonical, observe, arg);
	maps_observe(m->sender_bcc, observe, arg);
	maps_observe(m->recipient_bcc, observe, arg);
}

/* ---- canonical tables */

struct canonical {
	const struct mapping *m;
	const struct mapping_listener *listener;
	struct maps *maps;
	const char *parameter;
	struct buf *address;
	struct err *err;
};

static void complain(const struct mapping_listener *listener, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
static void complain(const struct mapping_listener *listener, const char *fmt, ...)
{
	struct buf text = BUF(5 * ADDRESS_MAX);
	va_list ap;

	va_start(ap, fmt);
	buf_vprintf(&text, fmt, ap);
	va_end(ap);
	listener->complain(listener->arg, buf_cstr(&text));
	buf_free(&text);
}

/* One lookup. FOUND: the address was replaced by another; NOT_FOUND: it stays. */
static enum table_status canonical_step(const struct canonical *c)
{
	struct buf next = BUF(4 * ADDRESS_MAX);
	bool several;
	enum table_status status = rewrite_map(
		c->m->resolver, c->maps, buf_slice(c->address), c->m->propagate, &next, &several, c->err);

	resolve_record(
		c->listener->trace, "canonical", c->parameter, buf_slice(c->address), buf_slice(&next));
	if (status == TABLE_FOUND) {
		if (several)
			complain(c->listener, "multi-valued %s entry for %s", c->parameter,
				buf_cstr(c->address));
		if (str_case_eq(buf_slice(&next), buf_slice(c->address)))
			status = TABLE_NOT_FOUND;
		buf_clear(c->address);
		buf_str(c->address, buf_slice(&next));
	}
	buf_free(&next);
	return status;
}

/* Results are looked up again; going in circles, or growing without end, leaves the address as it was. */
static enum table_status canonical_map(const struct canonical *c)
{
	struct buf start = BUF(4 * ADDRESS_MAX);
	enum table_status status = TABLE_NOT_FOUND;
	int depth = 0;

	if (maps_empty(c->maps))
		return TABLE_NOT_FOUND;
	buf_str(&start, buf_slice(c->address));
	while (depth < CANONICAL_DEPTH_MAX && (status = canonical_step(c)) == TABLE_FOUND)
		depth++;
	if (depth == CANONICAL_DEPTH_MAX || c->address->over || c->address->len > ADDRESS_MAX) {
		complain(c->listener, "unreasonable %s map nesting for %s -- address not changed",
			c->parameter, buf_cstr(&start));
		buf_clear(c->address);
		buf_str(c->address, buf_slice(&start));
	}
	buf_free(&start);
	return status;
}

/* ---- masquerading */

/* The domain that hides this one; empty: none. "!domain" ends the search. */
static struct str masquerade_domain(const struct config *cfg, struct str domain)
{
	struct str rest = str_c(cfg->masquerade_domains), word;

	while (str_word(&rest, ", \t\r\n", &word)) {
		bool not = word.p[0] == '!';
		struct str name = str_from(word, not ), tail;

		if (domain.n < name.n)
			continue;
		tail = str_from(domain, domain.n - name.n);
		if (!str_case_eq(tail, name) || (domain.n > name.n && tail.p[-1] != '.'))
			continue;
		return not ? STR("") : name;
	}
	return STR("");
}

static enum table_status masquerade(
	const struct mapping *m, const struct resolve_trace *trace, struct buf *address, struct err *err)
{
	struct str whole = buf_slice(address), domain = address_domain(whole), parent;
	enum table_status status;
	char *before;

	parent = domain.n ? masquerade_domain(m->cfg, domain) : STR("");
	if (parent.n == 0 || parent.n == domain.n)
		return TABLE_NOT_FOUND;
	status = matchlist_name(m->masquerade_exceptions, address_local(whole), err);
	if (status == TABLE_FOUND)
		resolve_record(trace, "masquerade", "masquerade_exceptions", address_local(whole), whole);
	if (status != TABLE_NOT_FOUND)
		return status;
	before = x_strndup(whole.p, whole.n);
	buf_truncate(address, whole.n - domain.n);
	table_fold(parent, address);
	resolve_record(trace, "masquerade", "masquerade_domains", str_c(before), buf_slice(address));
	x_free(&before);
	return TABLE_FOUND;
}

static bool is_trouble(enum table_status status)
{
	return status != TABLE_FOUND && status != TABLE_NOT_FOUND;
}

enum table_status mapping_apply(const struct mapping *m, const struct mapping_listener *listener, int class,
	struct buf *address, const char **parameter, struct err *err)
{
	const struct {
		int classes;
		struct maps *maps;
		const char *parameter;
	} rows[] = {
		{m->sender_canonical_classes, m->sender_canonical, "sender_canonical_maps"},
		{m->recipient_canonical_classes, m->resolver->recipient_canonical_maps,
			"recipient_canonical_maps"},
		{m->canonical_classes, m->resolver->canonical_maps, "canonical_maps"},
	};
	enum table_status status = TABLE_NOT_FOUND;

	if (address->len == 0)
		return TABLE_NOT_FOUND;
	for (size_t i = 0; !is_trouble(status) && i < sizeof(rows) / sizeof(*rows); i++) {
		*parameter = rows[i].parameter;
		if (class & rows[i].classes)
			status = canonical_map(&(struct canonical){
				m, listener, rows[i].maps, rows[i].parameter, address, err});
	}
	if (is_trouble(status) || !(class & m->masquerade_classes))
		return status;
	*parameter = "masquerade_exceptions";
	return masquerade(m, listener->trace, address, err);
}

/* ---- automatic copies */

static enum table_status copy_for(const struct mapping *m, const struct resolve_trace *trace,
	const char *parameter, struct maps *maps, const char *address, struct buf *copy, struct err *err)
{
	struct buf value = BUF(TABLE_VALUE_MAX);
	struct address_list results = {0};
	enum table_status status =
		rewrite_lookup(m->resolver, maps, str_c(address), maps_lookup_address, &value, NULL, err);

	if (status == TABLE_FOUND && address_list_parse(buf_slice(&value), &results) && results.count > 0)
		buf_puts(copy, results.items[0]);
	else if (status == TABLE_FOUND)
		status = TABLE_NOT_FOUND;
	if (!maps_empty(maps))
		resolve_record(trace, "copy", parameter, str_c(address), buf_slice(copy));
	address_list_free(&results);
	buf_free(&value);
	return status;
}

enum table_status mapping_sender_copy(const struct mapping *m, const struct resolve_trace *trace,
	const char *sender, struct buf *copy, struct err *err)
{
	return copy_for(m, trace, "sender_bcc_maps", m->sender_bcc, sender, copy, err);
}

enum table_status mapping_recipient_copy(const struct mapping *m, const struct resolve_trace *trace,
	const char *recipient, struct buf *copy, struct err *err)
{
	return copy_for(m, trace, "recipient_bcc_maps", m->recipient_bcc, recipient, copy, err);
}
