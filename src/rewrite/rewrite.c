#include "mail/address.h"
#include "mail/address_token.h"
#include "rewrite/resolver.h"

bool rewrite_needs_quotes(struct str local)
{
	struct buf plain = BUF(4 * ADDRESS_MAX), quoted = BUF(8 * ADDRESS_MAX);
	bool differs;

	buf_str(&plain, local);
	buf_puts(&plain, "@x");
	address_quote(buf_slice(&plain), &quoted);
	differs = !str_eq(buf_slice(&plain), buf_slice(&quoted));
	buf_free(&plain);
	buf_free(&quoted);
	return differs;
}

/* "@a,@b:user@site" is a source route; its last stop is what counts. */
static struct str without_route(struct str address)
{
	ptrdiff_t colon;

	if (address.n == 0 || address.p[0] != '@')
		return address;
	colon = str_find(address, ':');
	return colon < 0 ? address : str_from(address, (size_t)colon + 1);
}

static void swap_parts(struct buf *out, struct str user, struct str site)
{
	buf_str(out, user);
	buf_putc(out, '@');
	buf_str(out, site);
}

static bool rewrite_bang_or_percent(const struct config *cfg, struct str local, struct buf *out)
{
	ptrdiff_t bang = cfg->swap_bangpath ? str_find(local, '!') : -1;
	ptrdiff_t percent = cfg->allow_percent_hack ? str_rfind(local, '%') : -1;

	if (bang >= 0)
		swap_parts(out, str_from(local, (size_t)bang + 1), str_first(local, (size_t)bang));
	else if (percent >= 0)
		swap_parts(out, str_first(local, (size_t)percent), str_from(local, (size_t)percent + 1));
	return bang >= 0 || percent >= 0;
}

bool rewrite_embedded(const struct config *cfg, struct str local, struct buf *out)
{
	struct str last = without_route(local);

	if (last.n != local.n || address_at(local) >= 0) {
		buf_str(out, last);
		return true;
	}
	return rewrite_bang_or_percent(cfg, local, out);
}

static void append_origin(const struct resolver *r, bool local, struct buf *out)
{
	const char *domain = local ? r->rules->myorigin : r->rules->remote_header_rewrite_domain;

	if (r->rules->append_at_myorigin && domain[0])
		buf_printf(out, "@%s", domain);
}

void rewrite_finish_domain(const struct resolver *r, bool local, struct buf *out)
{
	struct str domain = address_domain(buf_slice(out));
	const char *parent = local ? r->rules->mydomain : r->rules->remote_header_rewrite_domain;

	if (domain.n > 1 && domain.p[domain.n - 1] == '.' && domain.p[domain.n - 2] != '.')
		buf_truncate(out, out->len - 1);
	else if (r->rules->append_dot_mydomain && parent[0] && domain.n && str_find(domain, '[') < 0 &&
		 str_find(domain, '.') < 0)
		buf_printf(out, ".%s", parent);
}

void rewrite_address(struct resolver *r, bool local, struct str address, struct buf *out)
{
	size_t before = out->len;

	address = without_route(address);
	if (address.n == 0)
		return;
	if (address_at(address) >= 0) {
		buf_str(out, address);
	} else if (rewrite_needs_quotes(address) || !rewrite_bang_or_percent(r->rules, address, out)) {
		buf_truncate(out, before);
		buf_str(out, address);
		append_origin(r, local, out);
	}
	rewrite_finish_domain(r, local, out);
}

bool rewrite_is_null_sender(const struct resolver *r, struct str sender)
{
	return str_case_is(address_local(sender), "mailer-daemon") &&
	       str_case_is(address_domain(sender), r->cfg->myorigin);
}

/* The first '!' leads to the site that is next, of the other marks the last one. */
static bool find_special(const struct address_token *tokens, size_t count, char special, size_t *at)
{
	bool found = false;

	*at = 0;
	for (size_t i = 0; i < count && !(found && special == '!'); i++) {
		if (address_token_is(&tokens[i], special)) {
			found = true;
			*at = i;
		}
	}
	return found;
}

/* site!user, user%site: the mark is tokens[at]. */
static void swap_tokens(
	const struct address_token *tokens, size_t count, size_t at, bool site_first, struct buf *out)
{
	const struct address_token *behind = tokens + at + 1;
	size_t rest = count - at - 1;

	address_tokens_text(site_first ? behind : tokens, site_first ? rest : at, out);
	buf_putc(out, '@');
	address_tokens_text(site_first ? tokens : behind, site_first ? at : rest, out);
}

/* "name." without a domain could be a domain; what it ends with is nobody's name then. */
static bool ends_with_root(const struct address_token *tokens, size_t count)
{
	return count > 1 && address_token_is(&tokens[count - 1], '.') &&
	       !address_token_is(&tokens[count - 2], '.');
}

static void rewrite_tokens(
	struct resolver *r, bool local, const struct address_token *tokens, size_t count, struct buf *out)
{
	size_t at;

	address_skip_route(&tokens, &count);
	if (find_special(tokens, count, '@', &at)) {
		address_tokens_text(tokens, count, out);
	} else if (r->rules->swap_bangpath && find_special(tokens, count, '!', &at)) {
		swap_tokens(tokens, count, at, true, out);
	} else if (r->rules->allow_percent_hack && find_special(tokens, count, '%', &at)) {
		swap_tokens(tokens, count, at, false, out);
	} else {
		if (!r->rules->append_at_myorigin && ends_with_root(tokens, count))
			count--;
		address_tokens_text(tokens, count, out);
		if (out->len == 0)
			return;
		append_origin(r, local, out);
	}
	rewrite_finish_domain(r, local, out);
}

void rewrite_written(struct resolver *r, bool local, struct str written, struct buf *out)
{
	struct address_tokens tokens;

	address_tokenize(written, SIZE_MAX, &tokens);
	rewrite_tokens(r, local, tokens.list, tokens.count, out);
	address_tokens_free(&tokens);
}
