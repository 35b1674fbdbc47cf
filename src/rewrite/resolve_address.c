#include "base/utf8.h"
#include "mail/address.h"
#include "rewrite/resolve_trace.h"
#include "rewrite/resolver.h"

#define BAD_ADDRESS "5.1.3 bad address syntax"

struct resolution {
	struct resolver *r;
	const struct resolve_trace *trace; /* or NULL */
	struct pool *pool;
	struct buf text;	    /* the address so far */
	struct address_parts parts; /* slices of text */
	bool local;		    /* the domain is ours */
	bool bad;
	struct err *err;
};

static void set_text(struct resolution *s, struct buf *next)
{
	buf_free(&s->text);
	s->text = *next;
	*next = BUF(2 * ADDRESS_MAX);
}

static bool is_ipv4(struct str domain)
{
	struct net_addr addr;

	return str_find(domain, ':') < 0 && net_parse_ip(domain, 0, &addr);
}

static void split_text(struct resolution *s)
{
	struct str text = buf_slice(&s->text);
	struct str domain = str_trim(address_domain(text));

	if (domain.n > 1 && domain.p[domain.n - 1] == '.' && domain.p[domain.n - 2] != '.')
		domain.n--;
	s->parts = (struct address_parts){address_local(text), domain};
}

/* Replaces an address at this host by the one its local part holds; false: there is none. */
static bool descend(struct resolution *s)
{
	struct buf next = BUF(2 * ADDRESS_MAX);
	bool inside = s->r->rules->resolve_dequoted_address || !rewrite_needs_quotes(s->parts.local);

	if (inside && rewrite_embedded(s->r->rules, s->parts.local, &next)) {
		rewrite_finish_domain(s->r, true, &next);
		resolve_record(s->trace, "rewrite", NULL, buf_slice(&s->text), buf_slice(&next));
		set_text(s, &next);
		return true;
	}
	buf_free(&next);
	return false;
}

static enum table_status domain_is_ours(struct resolution *s)
{
	enum table_status status;

	if (s->parts.domain.n == 0)
		return TABLE_FOUND;
	status = local_names_have(&s->r->local_class, s->parts.domain, s->err);
	resolve_record(s->trace, "class", "mydestination", s->parts.domain,
		str_c(status == TABLE_FOUND ? address_class_name(CLASS_LOCAL) : NULL));
	return status;
}

/* Puts a name where an address at this host has none; that may be an address at another host. */
static void fill_empty_local(struct resolution *s)
{
	const char *name = s->r->rules->empty_address_recipient;
	struct buf next = BUF(2 * ADDRESS_MAX);

	buf_puts(&next, name);
	if (address_at(str_c(name)) < 0) {
		buf_putc(&next, '@');
		buf_str(&next, address_domain(buf_slice(&s->text)));
	}
	resolve_record(s->trace, "rewrite", "empty_address_recipient", buf_slice(&s->text), buf_slice(&next));
	set_text(s, &next);
}

static enum table_status look_at_domain(struct resolution *s)
{
	enum table_status status;

	split_text(s);
	status = domain_is_ours(s);
	s->local = status == TABLE_FOUND;
	return status == TABLE_NOT_FOUND ? TABLE_FOUND : status;
}

/* Strips our own domains as long as the local part names another address. Each round removes one of @ ! %, so
 * it ends. */
static enum table_status strip_own_domains(struct resolution *s)
{
	bool filled = false;
	enum table_status status;

	while ((status = look_at_domain(s)) == TABLE_FOUND && s->local) {
		if (s->parts.local.n == 0 && !filled) {
			fill_empty_local(s);
			filled = true;
		} else if (!descend(s)) {
			break;
		}
	}
	return status;
}

/* The domain that stands for one that says less; false: it stays as it is. An address without domain is one
 * at myhostname; "user@" is so only where resolve_null_domain says so. */
static bool complete_domain(struct resolution *s)
{
	const struct config *rules = s->r->rules;

	if (s->parts.domain.n) {
		if (!rules->resolve_numeric_domain || !is_ipv4(s->parts.domain))
			return false;
		s->parts.domain = str_c(pool_printf(s->pool, "[" STR_FMT "]", STR_ARG(s->parts.domain)));
		return true;
	}
	s->bad = address_at(buf_slice(&s->text)) >= 0 && !rules->resolve_null_domain;
	if (!s->bad)
		s->parts.domain = str_c(rules->myhostname);
	return !s->bad;
}

static enum table_status complete(struct resolution *s)
{
	enum table_status status;

	if (!complete_domain(s))
		return TABLE_FOUND;
	status = domain_is_ours(s);
	s->local = status == TABLE_FOUND;
	return status == TABLE_NOT_FOUND ? TABLE_FOUND : status;
}

static bool valid_utf8_hostname(struct resolution *s, struct str domain)
{
	char *ascii = pool_strndup(s->pool, domain.p, domain.n);

	if (!s->r->cfg->smtputf8_enable || !utf8_valid(domain))
		return false;
	for (size_t i = 0; i < domain.n; i++) {
		if ((unsigned char)ascii[i] >= 0x80)
			ascii[i] = 'x';
	}
	return address_valid_hostname((struct str){ascii, domain.n});
}

static bool valid_domain(struct resolution *s)
{
	struct str domain = s->parts.domain;

	if (domain.n && domain.p[0] == '[')
		return address_valid_literal(domain);
	if (is_ipv4(domain))
		return false;
	return str_has_8bit(domain) ? valid_utf8_hostname(s, domain) : address_valid_hostname(domain);
}

static bool names_other_host(struct str local)
{
	return str_find(local, '@') >= 0 || str_find(local, '!') >= 0 || str_find(local, '%') >= 0;
}

struct class_list {
	const char *parameter;
	struct matchlist *list;
	enum address_class class;
};
#define CLASS_LISTS 4

/* In the order in which they are asked. */
static void list_classes(const struct resolver *r, struct class_list lists[CLASS_LISTS])
{
	lists[0] = (struct class_list){"mydestination", r->local_class.domains, CLASS_LOCAL};
	lists[1] = (struct class_list){"virtual_alias_domains", r->alias_domains, CLASS_VIRTUAL_ALIAS};
	lists[2] = (struct class_list){"virtual_mailbox_domains", r->mailbox_domains, CLASS_VIRTUAL_MAILBOX};
	lists[3] = (struct class_list){"relay_domains", r->relay_domains, CLASS_RELAY};
}

/* A domain of a list that is in a later one too: only the first counts. relay_domains is $mydestination by
 * default. A list that cannot be asked contradicts nobody. */
static void warn_of_other_classes(
	const struct resolution *s, const struct class_list lists[CLASS_LISTS], size_t chosen)
{
	size_t end = lists[chosen].class == CLASS_LOCAL ? CLASS_LISTS - 1 : CLASS_LISTS;
	struct err ignored = {""};

	for (size_t i = chosen + 1; i < end; i++) {
		if (matchlist_name(lists[i].list, s->parts.domain, &ignored) != TABLE_FOUND)
			continue;
		table_report(LOGL_WARNING, "do not list domain " STR_FMT " in BOTH %s and %s",
			STR_ARG(s->parts.domain), lists[chosen].parameter, lists[i].parameter);
		resolve_record(s->trace, "class", lists[i].parameter, s->parts.domain,
			STR("passed over: a domain has one class"));
	}
}

static enum table_status classify(struct resolution *s, struct resolved *out)
{
	struct class_list lists[CLASS_LISTS];
	size_t i = 0;

	list_classes(s->r, lists);
	while (!s->local && ++i < CLASS_LISTS) {
		enum table_status status = matchlist_name(lists[i].list, s->parts.domain, s->err);

		resolve_record(s->trace, "class", lists[i].parameter, s->parts.domain,
			str_c(status == TABLE_FOUND ? address_class_name(lists[i].class) : NULL));
		if (status == TABLE_FOUND)
			break;
		if (status != TABLE_NOT_FOUND)
			return status;
	}
	out->class = i < CLASS_LISTS ? lists[i].class : CLASS_DEFAULT;
	if (i < CLASS_LISTS)
		warn_of_other_classes(s, lists, i);
	return TABLE_FOUND;
}

/* The recipient in full; false: nothing can be delivered to it. */
static bool settle(struct resolution *s, struct resolved *out)
{
	out->class = s->local ? CLASS_LOCAL : CLASS_DEFAULT;
	out->recipient =
		pool_printf(s->pool, STR_FMT "@" STR_FMT, STR_ARG(s->parts.local), STR_ARG(s->parts.domain));
	out->routed = names_other_host(s->parts.local);
	if (out->recipient[0] == '-' && !s->r->rules->allow_min_user)
		return false;
	if (strlen(out->recipient) > ADDRESS_MAX || s->text.over)
		return false;
	return !s->bad && valid_domain(s);
}

static enum table_status finish(struct resolution *s, const char *sender, struct resolved *out)
{
	enum table_status status;

	if (!settle(s, out)) {
		out->error = true;
		out->transport = s->r->rules->error_service_name;
		out->nexthop = BAD_ADDRESS;
		resolve_record(s->trace, "transport", NULL, str_c(out->recipient), STR("error:" BAD_ADDRESS));
		return TABLE_FOUND;
	}
	status = classify(s, out);
	if (status != TABLE_FOUND)
		return status;
	return route_choose(s->r, s->trace, sender, s->parts.domain, s->pool, out, s->err);
}

static enum table_status begin(struct resolution *s, const char *address)
{
	enum table_status status;

	s->text = BUF(2 * ADDRESS_MAX);
	buf_puts(&s->text, address[0] ? address : s->r->rules->empty_address_recipient);
	status = strip_own_domains(s);
	return status == TABLE_FOUND ? complete(s) : status;
}

enum table_status resolve_address_traced(struct resolver *r, const struct resolve_trace *trace,
	const char *sender, const char *address, struct pool *pool, struct resolved *out, struct err *err)
{
	struct resolution s = {.r = r, .trace = trace, .pool = pool, .err = err};
	enum table_status status = begin(&s, address);

	*out = (struct resolved){.class = CLASS_DEFAULT};
	if (status == TABLE_FOUND)
		status = finish(&s, sender, out);
	buf_free(&s.text);
	return status;
}

enum table_status resolve_address(struct resolver *r, const char *sender, const char *address,
	struct pool *pool, struct resolved *out, struct err *err)
{
	return resolve_address_traced(r, NULL, sender, address, pool, out, err);
}

int resolve_path_flags(const struct resolver *r)
{
	return PATH_NULL_DOMAIN | (r->rules->resolve_numeric_domain ? PATH_NUMERIC : 0) |
	       (r->rules->append_dot_mydomain ? PATH_SHORT_DOMAIN : 0);
}

bool resolve_is_deliverable(struct resolver *r, const char *address)
{
	struct resolution s = {.r = r, .pool = pool_new(512)};
	struct buf rewritten = BUF(2 * ADDRESS_MAX);
	struct resolved out = {0};
	bool deliverable;

	rewrite_address(r, true, str_c(address), &rewritten);
	deliverable = begin(&s, buf_cstr(&rewritten)) != TABLE_FOUND || settle(&s, &out);
	buf_free(&rewritten);
	buf_free(&s.text);
	pool_free(&s.pool);
	return deliverable;
}
