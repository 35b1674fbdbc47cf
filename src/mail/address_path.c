/* Paths of MAIL FROM and RCPT TO (RFC 5321 section 4.1.2), strict or as liberal as operators are used to. */
#include "base/mem.h"
#include "base/net.h"
#include "base/utf8.h"
#include "mail/address.h"
#include "mail/address_tree.h"
#include <idn2.h>

/* The path at the start of s: it ends at a blank outside quotes and < >. false: those are not balanced. */
static bool path_take(struct str s, struct str *path)
{
	int depth = 0;
	bool quoted = false;
	size_t i = 0;

	for (; i < s.n; i++) {
		char c = s.p[i];

		if (c == '\\')
			i++;
		else if (c == '"')
			quoted = !quoted;
		else if (quoted)
			continue;
		else if (c == '<')
			depth++;
		else if (c == '>')
			depth -= depth > 0;
		else if ((c == ' ' || c == '\t') && depth == 0)
			break;
	}
	*path = str_first(s, i);
	return depth == 0 && !quoted;
}

/* Whether the byte at `at` has a backslash of its own before it. */
static bool is_escaped(struct str s, size_t at)
{
	size_t slashes = 0;

	while (slashes < at && s.p[at - 1 - slashes] == '\\')
		slashes++;
	return slashes % 2 == 1;
}

/* Takes the outer < > off; strict paths must have them. */
static bool path_unwrap(struct str *path, bool strict)
{
	if (path->n < 2 || path->p[0] != '<' || path->p[path->n - 1] != '>' || is_escaped(*path, path->n - 1))
		return !strict;
	*path = str_first(str_from(*path, 1), path->n - 2);
	return true;
}

/* "@a,@b:user@c": what follows the route. */
static struct str path_skip_route(struct str path)
{
	struct address_tokens tokens;
	const struct address_token *rest;
	size_t count;

	address_tokenize(path, SIZE_MAX, &tokens);
	rest = tokens.list;
	count = tokens.count;
	address_skip_route(&rest, &count);
	if (count < tokens.count)
		path = str_from(path, (size_t)(rest[-1].text.p + 1 - path.p));
	address_tokens_free(&tokens);
	return path;
}

/* In strict paths nothing stands around the address. */
static bool path_is_bare(const struct address_tree *tree)
{
	for (size_t i = 0; i < tree->count; i++) {
		const struct address_node *node = &tree->nodes[i];

		if (node->type != NODE_ADDRESS &&
			!(node->type == NODE_TOKEN &&
				(address_token_is(node->tokens, '<') || address_token_is(node->tokens, '>'))))
			return false;
	}
	return true;
}

/* One inside a second pair of < >. */
static bool path_has_route(const struct address_node *path)
{
	const struct address_token *tokens = path->tokens;
	size_t count = path->count;

	address_skip_route(&tokens, &count);
	return count < path->count;
}

/* The one address in the tree; without any, the path is null. */
static bool path_mailbox(const struct address_tree *tree, bool strict, struct buf *out)
{
	if (tree->addresses > 1 || tree->tokens.open_quote || (strict && !path_is_bare(tree)))
		return false;
	for (size_t i = 0; i < tree->count; i++) {
		struct address_node path = tree->nodes[i];

		if (path.type != NODE_ADDRESS)
			continue;
		if (strict && path_has_route(&path))
			return false;
		address_skip_route(&path.tokens, &path.count);
		address_tokens_text(path.tokens, path.count, out);
	}
	return !strict || out->len == 0 || out->data[0] != '@';
}

/* An internationalised domain is valid when it has an A-label form (RFC 5891). */
static bool valid_utf8_domain(struct str domain)
{
	char *name = x_strndup(domain.p, domain.n), *ascii = NULL;
	bool ok = idn2_to_ascii_8z(name, &ascii, IDN2_NONTRANSITIONAL | IDN2_NFC_INPUT) == IDN2_OK &&
		  address_valid_hostname(str_c(ascii));

	idn2_free(ascii);
	x_free(&name);
	return ok;
}

static bool path_check_domain(struct str domain, int flags, struct err *err)
{
	struct net_addr addr;

	/* The root's dot is no part of the name (RFC 1034 section 3.1). */
	if (domain.n > 1 && domain.p[domain.n - 1] == '.')
		domain.n--;
	if ((flags & PATH_NULL_DOMAIN) && domain.n == 0)
		return true;
	if ((flags & PATH_SHORT_DOMAIN) && str_find(domain, '.') < 0)
		return true;
	if ((flags & PATH_NUMERIC) && str_find(domain, ':') < 0 && net_parse_ip(domain, 0, &addr))
		return true;
	if ((flags & PATH_UTF8) && str_has_8bit(domain))
		return valid_utf8_domain(domain) || err_set(err, "invalid domain name");
	return address_valid_domain(domain) || err_set(err, "invalid domain name");
}

static bool path_check(struct str internal, int flags, struct err *err)
{
	if (internal.n == 0)
		return (flags & PATH_NULL_OK) || err_set(err, "empty address");
	if (internal.n > ADDRESS_MAX)
		return err_set(err, "address too long");
	if (str_has_nul(internal) || str_find(internal, '\r') >= 0 || str_find(internal, '\n') >= 0)
		return err_set(err, "NUL or line break in address");
	if ((flags & PATH_UTF8) && !utf8_valid(internal))
		return err_set(err, "address is not valid UTF-8");
	return address_at(internal) < 0 || path_check_domain(address_domain(internal), flags, err);
}

bool address_parse_path(struct str *rest, int flags, struct buf *internal, struct err *err)
{
	const bool strict = flags & PATH_STRICT;
	struct address_tree tree;
	struct str text = *rest, path;
	bool ok;

	while (text.n > 0 && (text.p[0] == ' ' || text.p[0] == '\t'))
		text = str_from(text, 1);
	ok = path_take(text, &path);
	*rest = str_from(text, path.n);
	if (path.n == 0)
		return err_set(err, "address expected");
	if (!ok || !path_unwrap(&path, strict))
		return err_set(err, "unbalanced quotes, unbalanced or missing < >");
	address_tree_parse(path_skip_route(path), SIZE_MAX, &tree);
	ok = path_mailbox(&tree, strict, internal);
	address_tree_free(&tree);
	if (!ok)
		return err_set(err, "malformed address");
	return path_check(buf_slice(internal), flags, err);
}
