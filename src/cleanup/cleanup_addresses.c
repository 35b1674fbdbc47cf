/* Addresses in header fields: standard form, canonical tables, masquerading. */
#include "cleanup/cleanup_private.h"
#include "mail/header_addresses.h"

#define STRIPPED_SHOWN 100 /* bytes in the log */

struct mapping {
	struct cleanup *c;
	int class;
};

static bool map_address(void *arg, struct str written, struct buf *to)
{
	const struct mapping *m = arg;

	rewrite_written(m->c->env->resolver, m->c->options.local_rewrite, written, to);
	return cleanup_map_address(m->c, m->class, to);
}

static void note_stripped(void *arg, struct str piece)
{
	const struct mapping *m = arg;

	cleanup_complain(m->c, "stripping too many comments from address: " STR_FMT "...",
		STR_ARG(str_first(piece, STRIPPED_SHOWN)));
}

bool cleanup_rewrite_header(struct cleanup *c, int class)
{
	const struct config *cfg = c->env->cfg;
	struct mapping mapping = {c, class};
	struct header_map map = {map_address, note_stripped, &mapping};
	struct buf out = BUF(c->header.max);
	enum header_change change;

	if (!c->options.local_rewrite && !cfg->remote_header_rewrite_domain[0])
		return true;
	change = header_addresses_map(
		buf_slice(&c->header), (size_t)cfg->header_address_token_limit, &map, &out);
	if (change == HEADER_CHANGED && !out.over) {
		buf_clear(&c->header);
		buf_str(&c->header, buf_slice(&out));
	}
	buf_free(&out);
	return change != HEADER_GIVEN_UP;
}
