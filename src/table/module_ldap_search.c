/* Questions to LDAP servers: a search, and further ones for the names and URLs that its entries hold. */
#include "base/mem.h"
#include "table/module_ldap.h"
#include "table/template.h"

#define TEXT_MAX 1000000 /* bytes of a filter or base */
#define ANY_ENTRY "(objectClass=*)"

/* One search of a lookup. */
struct question {
	struct question *next;
	char *base, *filter;
	char **attributes; /* the list is the question's, the names are the table's */
	int scope;
	int depth;	    /* how many searches led here */
	bool may_be_absent; /* that there is no such base means that nothing was found */
};

/* A lookup: what entries refer to is searched for after the search that found them, so that a chain of
 * entries needs no stack. */
struct search {
	struct ldap_connection *c;
	struct database_answer *answer;
	struct err *err;
	struct question *first, **last; /* still to be asked */
	int depth;			/* of the search whose entries are looked at */
	bool enough;			/* no more values are wanted */
};

static void add_question(struct search *s, const char *base, const char *filter, int scope, char **attributes,
	bool may_be_absent)
{
	struct question *q = x_alloc(sizeof(*q));

	*q = (struct question){.base = x_strdup(base),
		.filter = x_strdup(filter),
		.attributes = attributes,
		.scope = scope,
		.depth = s->depth + 1,
		.may_be_absent = may_be_absent};
	*s->last = q;
	s->last = &q->next;
}

static struct question *take_question(struct search *s)
{
	struct question *q = s->first;

	if (!q)
		return NULL;
	s->first = q->next;
	if (!s->first)
		s->last = &s->first;
	return q;
}

static void question_free(struct question *q)
{
	x_free(&q->base);
	x_free(&q->filter);
	x_free(&q->attributes);
	x_free(&q);
}

/* ---- what keys become in filters (RFC 4515) and names (RFC 4514) */

static void put_hex(struct buf *out, char c)
{
	buf_printf(out, "\\%02x", (unsigned char)c);
}

static bool quote_filter(void *arg, struct str text, struct buf *out)
{
	for (size_t i = 0; i < text.n; i++) {
		if (strchr("*()\\", text.p[i]))
			put_hex(out, text.p[i]);
		else
			buf_putc(out, text.p[i]);
	}
	return !out->over;
}

static bool quote_name(void *arg, struct str text, struct buf *out)
{
	for (size_t i = 0; i < text.n; i++) {
		bool end = i == 0 || i + 1 == text.n;

		if (strchr("\"#+,;<=>\\", text.p[i]) || (end && text.p[i] == ' '))
			put_hex(out, text.p[i]);
		else
			buf_putc(out, text.p[i]);
	}
	return !out->over;
}

/* ---- the values of an entry */

static bool has_values(LDAP *ld, LDAPMessage *entry, const struct ldap_names *names)
{
	for (size_t i = 0; i < names->count; i++) {
		struct berval **values = ldap_get_values_len(ld, entry, names->list[i]);
		bool any = values && values[0];

		ldap_value_free_len(values);
		if (any)
			return true;
	}
	return false;
}

typedef enum database_status (*value_fn)(struct search *s, struct str value);

static bool listed(char *const *names, const char *name)
{
	for (; names && *names; names++) {
		if (ascii_casecmp(*names, name) == 0)
			return true;
	}
	return false;
}

static enum database_status each_value_of(
	struct search *s, LDAPMessage *entry, const char *attribute, value_fn take)
{
	struct berval **values = ldap_get_values_len(s->c->ld, entry, attribute);
	enum database_status status = DATABASE_DONE;

	for (size_t n = 0; values && values[n] && status == DATABASE_DONE && !s->enough; n++)
		status = take(s, (struct str){values[n]->bv_val, values[n]->bv_len});
	ldap_value_free_len(values);
	return status;
}

/* In the order in which the server has them. */
static enum database_status each_value(
	struct search *s, LDAPMessage *entry, const struct ldap_names *names, value_fn take)
{
	enum database_status status = DATABASE_DONE;
	BerElement *position = NULL;
	char *name = ldap_first_attribute(s->c->ld, entry, &position);

	while (name) {
		if (status == DATABASE_DONE && listed(names->list, name))
			status = each_value_of(s, entry, name, take);
		ldap_memfree(name);
		name = ldap_next_attribute(s->c->ld, entry, position);
	}
	ber_free(position, 0);
	return status;
}

static enum database_status give(struct search *s, struct str value)
{
	s->enough = !s->answer->value(s->answer, value);
	return DATABASE_DONE;
}

/* ---- values that are names or URLs */

/* Those attributes of the table that the URL names, too; they belong to the table. Caller frees the list. */
static char **common_attributes(const struct ldap_table *t, char **wanted)
{
	char **common = x_alloc((t->all.count + 1) * sizeof(*common));
	size_t n = 0;

	for (size_t i = 0; i < t->all.count; i++) {
		if (!wanted || !wanted[0] || listed(wanted, t->all.list[i]))
			common[n++] = t->all.list[i];
	}
	return common;
}

static enum database_status follow_url(struct search *s, const char *text)
{
	LDAPURLDesc *url = NULL;
	char **attributes;

	if (ldap_url_parse(text, &url) != LDAP_URL_SUCCESS) {
		err_set(s->err, "bad LDAP URL in an entry: %.200s", text);
		return DATABASE_FAILED;
	}
	attributes = common_attributes(s->c->table, url->lud_attrs);
	if (attributes[0])
		add_question(s, url->lud_dn ? url->lud_dn : "", url->lud_filter ? url->lud_filter : ANY_ENTRY,
			url->lud_scope < 0 ? LDAP_SCOPE_BASE : url->lud_scope, attributes, true);
	else
		x_free(&attributes);
	ldap_free_urldesc(url);
	return DATABASE_DONE;
}

static enum database_status follow(struct search *s, struct str value)
{
	char *text = x_strndup(value.p, value.n);
	enum database_status status = DATABASE_DONE;

	if (ldap_is_ldap_url(text))
		status = follow_url(s, text);
	else
		add_question(s, text, ANY_ENTRY, LDAP_SCOPE_BASE, common_attributes(s->c->table, NULL), true);
	x_free(&text);
	return status;
}

/* ---- searches */

static enum database_status take_entry(struct search *s, LDAPMessage *entry)
{
	const struct ldap_table *t = s->c->table;
	enum database_status status;

	if (has_values(s->c->ld, entry, &t->terminal))
		return each_value(s, entry, &t->terminal, give);
	if (!has_values(s->c->ld, entry, &t->special))
		return each_value(s, entry, &t->all, give);
	status = each_value(s, entry, &t->result, give);
	return status == DATABASE_DONE ? each_value(s, entry, &t->special, follow) : status;
}

static enum database_status take_entries(struct search *s, LDAPMessage *found)
{
	enum database_status status = DATABASE_DONE;
	LDAPMessage *entry = ldap_first_entry(s->c->ld, found);

	for (; entry && status == DATABASE_DONE && !s->enough; entry = ldap_next_entry(s->c->ld, entry))
		status = take_entry(s, entry);
	return status;
}

static enum database_status search(struct search *s, const struct question *q)
{
	struct timeval limit = {.tv_sec = s->c->table->timeout};
	enum database_status status = DATABASE_DONE;
	LDAPMessage *found = NULL;
	int code = ldap_search_ext_s(s->c->ld, q->base, q->scope, q->filter, q->attributes, 0, NULL, NULL,
		&limit, s->c->table->size_limit, &found);

	s->depth = q->depth;
	if (code == LDAP_SUCCESS)
		status = take_entries(s, found);
	else if (code != LDAP_NO_SUCH_OBJECT || !q->may_be_absent)
		status = module_ldap_failed(s->c->ld, code, "search", s->err);
	ldap_msgfree(found);
	return status;
}

static enum database_status search_all(struct search *s)
{
	const int limit = s->c->table->recursion_limit;
	enum database_status status = DATABASE_DONE;
	struct question *q;

	while ((q = take_question(s))) {
		if (status == DATABASE_DONE && !s->enough && q->depth > limit) {
			err_set(s->err, "more than recursion_limit = %d searches in searches", limit);
			status = DATABASE_FAILED;
		}
		if (status == DATABASE_DONE && !s->enough)
			status = search(s, q);
		question_free(q);
	}
	return status;
}

enum database_status module_ask(
	void *connection, struct str key, struct database_answer *answer, struct err *err)
{
	struct ldap_connection *c = connection;
	const struct ldap_table *t = c->table;
	struct search s = {.c = c, .answer = answer, .err = err, .last = &s.first};
	struct buf base = BUF(TEXT_MAX), filter = BUF(TEXT_MAX);
	enum database_status status = DATABASE_FAILED;

	if (template_expand(t->search_base, key, key, quote_name, NULL, &base) &&
		template_expand(t->query_filter, key, key, quote_filter, NULL, &filter)) {
		add_question(&s, buf_cstr(&base), buf_cstr(&filter), t->scope, common_attributes(t, NULL),
			strchr(t->search_base, '%') != NULL);
		status = search_all(&s);
	} else
		err_set(err, "the search is too long");
	buf_free(&base);
	buf_free(&filter);
	return status;
}
