#include "base/mem.h"
#include "base/net.h"
#include "table/table_watch.h"

#define FILE_DEPTH_MAX 10 /* files that name files */
#define FILE_SIZE_MAX (64u << 20)

struct member {
	bool negated;
	bool has_net;
	char *text;
	struct net_cidr net;
	char *complaint;     /* about a network that is none, or NULL */
	int undecided;	     /* the family of the addresses that such a network leaves undecided; 0: none */
	struct table *table; /* type:table, or a broken one for a file that cannot be read; else NULL */
};

struct matchlist {
	char *parameter;
	int flags;
	struct member *members;
	size_t count;
	struct table_watch **files; /* that were read for it */
	size_t file_count;
};

static bool add_words(struct matchlist *m, struct str list, bool negated, int depth, struct err *err);

static void add_broken(struct matchlist *m, struct member *member, const char *spec,
	struct table_watch *watch, const char *reason)
{
	char *text = x_asprintf("%s: %s", m->parameter, member->text);

	member->table = table_broken(text, spec, TABLE_FOLD, watch, reason);
	x_free(&text);
}

static bool looks_like_net(struct str word)
{
	return word.p[0] == '[' || str_find(word, '/') >= 0;
}

/* Whose addresses a network that makes no sense may have been about; 0: nobody's, it is not made of what
 * networks are made of. */
static int family_of(struct str word)
{
	for (size_t i = 0; i < word.n; i++) {
		if (!word.p[i] || !strchr("0123456789abcdefABCDEF./:[]", word.p[i]))
			return 0;
	}
	if (str_find(word, ':') >= 0)
		return AF_INET6;
	return str_find(word, '/') >= 0 ? AF_INET : 0;
}

static struct member *new_member(struct matchlist *m, struct str word, bool negated)
{
	struct member *member;

	m->members = x_realloc(m->members, (m->count + 1) * sizeof(*m->members));
	member = &m->members[m->count++];
	*member = (struct member){.negated = negated, .text = x_strndup(word.p, word.n)};
	return member;
}

static void add_member(struct matchlist *m, struct str word, bool negated)
{
	struct member *member = new_member(m, word, negated);
	struct table_watch *watch = NULL;
	struct err err = {""};

	if (word.p[0] != '[' && str_find(word, ':') >= 0) {
		member->table = table_try(member->text, TABLE_FOLD, &watch, &err);
		if (!member->table)
			add_broken(m, member, member->text, watch, err.text);
		return;
	}
	member->has_net = net_parse_cidr(word, &member->net, &err);
	if (!member->has_net && looks_like_net(word) && !(m->flags & MATCH_EXACT)) {
		member->complaint = x_asprintf("%s: %s", m->parameter, err.text);
		member->undecided = family_of(word);
	}
}

/* A file that cannot be read is a member that cannot be asked: what stands before it in the list still
 * counts. */
static void add_unreadable(struct matchlist *m, struct str path, bool negated, const char *reason)
{
	struct member *member = new_member(m, path, negated);

	add_broken(m, member, NULL, NULL, reason);
}

static void watch_file(struct matchlist *m, const char *path)
{
	m->files = x_realloc(m->files, (m->file_count + 1) * sizeof(*m->files));
	m->files[m->file_count++] = table_watch_list(path);
}

static bool add_file(struct matchlist *m, struct str path, bool negated, int depth, struct err *err)
{
	char *name = x_strndup(path.p, path.n);
	struct source source;
	struct str line;
	bool ok = true;

	watch_file(m, name);
	if (depth >= FILE_DEPTH_MAX) {
		ok = err_set(err, "%s: files are nested too deeply at %s", m->parameter, name);
	} else if (!source_open(&source, name, err)) {
		add_unreadable(m, path, negated, err->text);
	} else {
		while (ok && source_next(&source, &line))
			ok = add_words(m, line, negated, depth + 1, err);
		source_close(&source);
	}
	x_free(&name);
	return ok;
}

static bool add_words(struct matchlist *m, struct str list, bool negated, int depth, struct err *err)
{
	struct str word;

	while (str_group(&list, ", \t\r\n", &word)) {
		bool not = negated;

		if (word.p[0] == '#')
			return true;
		while (word.n && word.p[0] == '!') {
			not = !not ;
			word = str_from(word, 1);
		}
		if (word.n == 0)
			return err_set(err, "%s: no pattern after '!'", m->parameter);
		if (word.p[0] == '/') {
			if (!add_file(m, word, not, depth, err))
				return false;
		} else {
			add_member(m, word, not );
		}
	}
	return true;
}

struct matchlist *matchlist_open(const char *parameter, const char *list, int flags, struct err *err)
{
	struct matchlist *m = x_alloc(sizeof(*m));

	m->parameter = x_strdup(parameter);
	m->flags = flags;
	if (!add_words(m, str_c(list), false, 0, err))
		matchlist_close(&m);
	return m;
}

void matchlist_close(struct matchlist **mp)
{
	struct matchlist *m = *mp;

	if (!m)
		return;
	for (size_t i = 0; i < m->count; i++) {
		table_close(&m->members[i].table);
		x_free(&m->members[i].complaint);
		x_free(&m->members[i].text);
	}
	for (size_t i = 0; i < m->file_count; i++)
		table_watch_free(&m->files[i]);
	x_free(&m->files);
	x_free(&m->members);
	x_free(&m->parameter);
	x_free(mp);
}

void matchlist_warnings(const struct matchlist *m, table_warn_fn warn, void *arg)
{
	for (size_t i = 0; i < m->count; i++) {
		if (m->members[i].table)
			table_warnings(m->members[i].table, warn, arg);
		if (m->members[i].complaint)
			warn(arg, m->members[i].complaint);
	}
}

/* The parent of a domain: without its first label; dotted: with the dot in front. Empty: none left. */
static struct str parent_of(struct str name, bool dotted)
{
	ptrdiff_t dot = str_find(str_from(name, 1), '.');

	if (dot < 0)
		return STR("");
	return str_from(name, (size_t)dot + 1 + !dotted);
}

static enum table_status table_has(struct table *t, struct str key, struct err *err)
{
	struct buf value = BUF(TABLE_VALUE_MAX);
	enum table_status status = table_lookup(t, key, &value, err);

	if (status == TABLE_RETRY || status == TABLE_MISCONFIGURED)
		err_prefix(err, "%s: table lookup problem", table_spec(t));
	buf_free(&value);
	return status;
}

static enum table_status table_has_name(struct table *t, struct str name, int flags, struct err *err)
{
	enum table_status status = table_has(t, name, err);

	if ((flags & MATCH_EXACT) || table_is_pattern(t))
		return status;
	while (status == TABLE_NOT_FOUND) {
		name = parent_of(name, !(flags & MATCH_PARENT));
		if (name.n == 0)
			break;
		status = table_has(t, name, err);
	}
	return status;
}

static bool name_matches(const struct member *member, struct str name, int flags)
{
	struct str text = str_c(member->text);
	struct str tail;

	if (str_case_eq(name, text))
		return true;
	if ((flags & MATCH_EXACT) || name.n <= text.n)
		return false;
	tail = str_from(name, name.n - text.n);
	if (!str_case_eq(tail, text))
		return false;
	return (flags & MATCH_PARENT) ? tail.p[-1] == '.' : text.p[0] == '.';
}

static enum table_status member_name(
	const struct matchlist *m, const struct member *member, struct str name, struct err *err)
{
	if (name.n == 0)
		return TABLE_NOT_FOUND;
	if (member->table)
		return table_has_name(member->table, name, m->flags, err);
	return name_matches(member, name, m->flags) ? TABLE_FOUND : TABLE_NOT_FOUND;
}

static enum table_status member_address(
	const struct member *member, struct str address, const struct net_addr *parsed, struct err *err)
{
	if (member->table)
		return table_has(member->table, address, err);
	if (parsed && member->undecided == parsed->ss.ss_family) {
		err_set(err, "%s", member->complaint);
		return TABLE_MISCONFIGURED;
	}
	if (parsed && member->has_net)
		return net_cidr_match(&member->net, parsed) ? TABLE_FOUND : TABLE_NOT_FOUND;
	return str_case_is(address, member->text) ? TABLE_FOUND : TABLE_NOT_FOUND;
}

enum table_status matchlist_name(struct matchlist *m, struct str name, struct err *err)
{
	for (size_t i = 0; i < m->count; i++) {
		enum table_status status = member_name(m, &m->members[i], name, err);

		if (status == TABLE_FOUND)
			return m->members[i].negated ? TABLE_NOT_FOUND : TABLE_FOUND;
		if (status != TABLE_NOT_FOUND)
			return status;
	}
	return TABLE_NOT_FOUND;
}

enum table_status matchlist_host(struct matchlist *m, struct str name, struct str address, struct err *err)
{
	struct net_addr addr;
	const struct net_addr *parsed = net_parse_ip(address, 0, &addr) ? &addr : NULL;

	for (size_t i = 0; i < m->count; i++) {
		enum table_status status = member_name(m, &m->members[i], name, err);

		if (status == TABLE_NOT_FOUND)
			status = member_address(&m->members[i], address, parsed, err);
		if (status == TABLE_FOUND)
			return m->members[i].negated ? TABLE_NOT_FOUND : TABLE_FOUND;
		if (status != TABLE_NOT_FOUND)
			return status;
	}
	return TABLE_NOT_FOUND;
}

int matchlist_parent_flag(const char *parent_domain_matches_subdomains, const char *parameter)
{
	struct str rest = str_c(parent_domain_matches_subdomains), word;

	while (str_word(&rest, ", \t\r\n", &word)) {
		if (str_is(word, parameter))
			return MATCH_PARENT;
	}
	return 0;
}
