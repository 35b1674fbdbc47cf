#include "base/mem.h"
#include "cleanup/cleanup_private.h"
#include "mail/address.h"

#define ORCPT_TYPE "rfc822;"

const char *cleanup_canonical_form(struct cleanup *c, int class, const char *address)
{
	struct buf out = BUF(4 * ADDRESS_MAX);
	const char *kept;

	rewrite_address(c->env->resolver, true, str_c(address), &out);
	if (class == CLASS_ENVELOPE_SENDER && rewrite_is_null_sender(c->env->resolver, buf_slice(&out)))
		buf_clear(&out);
	cleanup_map_address(c, class, &out);
	kept = pool_strdup(c->pool, buf_cstr(&out));
	buf_free(&out);
	return kept;
}

void cleanup_sender(struct cleanup *c, const char *sender, const char *envid, enum dsn_ret ret, int flags)
{
	c->envelope.sender = cleanup_canonical_form(c, CLASS_ENVELOPE_SENDER, sender);
	c->envelope.envid = pool_strdup(c->pool, envid);
	c->envelope.ret = ret;
	c->envelope.flags |= flags;
}

/* The same recipient with the same options is delivered once; without original recipients, nobody is told of
 * the options of the others. Up to duplicate_filter_limit are remembered. */
static bool is_duplicate(struct cleanup *c, const struct spool_recipient *rcpt)
{
	const int limit = c->env->cfg->duplicate_filter_limit;
	struct buf key = BUF(8 * ADDRESS_MAX), folded = BUF(8 * ADDRESS_MAX);
	bool known;

	if (c->env->cfg->enable_original_recipient)
		buf_printf(&key, "%d\n%s\n%s", rcpt->notify, rcpt->orcpt ? rcpt->orcpt : "", rcpt->original);
	buf_printf(&key, "\n%s", rcpt->address);
	table_fold(buf_slice(&key), &folded);
	known = hash_get(c->known, buf_slice(&folded)) != NULL;
	if (!known && (limit <= 0 || hash_count(c->known) < (size_t)limit))
		hash_put(c->known, buf_slice(&folded), c);
	buf_free(&key);
	buf_free(&folded);
	return known;
}

/* ORCPT that everybody would make up from what else is kept. */
static bool says_nothing_new(const struct spool_recipient *rcpt)
{
	const char *known = rcpt->original ? rcpt->original : rcpt->address;

	return rcpt->orcpt && strncmp(rcpt->orcpt, ORCPT_TYPE, strlen(ORCPT_TYPE)) == 0 &&
	       strcmp(rcpt->orcpt + strlen(ORCPT_TYPE), known) == 0;
}

void cleanup_add_recipient(struct cleanup *c, const struct spool_recipient *rcpt)
{
	struct envelope *e = &c->envelope;

	if (is_duplicate(c, rcpt))
		return;
	if (e->recipient_count == c->recipient_cap) {
		c->recipient_cap = c->recipient_cap ? c->recipient_cap * 2 : 4;
		e->recipients = x_realloc(e->recipients, c->recipient_cap * sizeof(*e->recipients));
	}
	e->recipients[e->recipient_count] = *rcpt;
	if (strcmp(rcpt->original, rcpt->address) == 0)
		e->recipients[e->recipient_count].original = NULL;
	if (says_nothing_new(&e->recipients[e->recipient_count]))
		e->recipients[e->recipient_count].orcpt = NULL;
	e->recipient_count++;
}

void cleanup_recipient(
	struct cleanup *c, const char *address, const char *original, const char *orcpt, int notify)
{
	const char *given = address[0] ? address : c->env->cfg->empty_address_recipient;
	struct spool_recipient rcpt = {
		.address = cleanup_canonical_form(c, CLASS_ENVELOPE_RECIPIENT, given),
		.original = pool_strdup(c->pool, original && original[0] ? original : address),
		.orcpt = pool_strdup(c->pool, orcpt),
		.notify = notify,
	};

	if (!orcpt)
		rcpt.orcpt = pool_printf(c->pool, ORCPT_TYPE "%s", original ? original : rcpt.address);
	c->last_recipient = rcpt.address;
	if (cleanup_expand(c, &rcpt))
		cleanup_recipient_bcc(c, rcpt.address);
}

bool cleanup_extra_recipient(struct cleanup *c, const char *address, const char *orcpt, int notify)
{
	struct spool_recipient rcpt = {
		.address = cleanup_canonical_form(c, CLASS_ENVELOPE_RECIPIENT, address),
		.orcpt = pool_strdup(c->pool, orcpt),
		.notify = notify,
	};

	rcpt.original = rcpt.address;
	return cleanup_expand(c, &rcpt);
}

size_t cleanup_remove_recipient(struct cleanup *c, const char *address)
{
	struct envelope *e = &c->envelope;
	size_t kept = 0, all = e->recipient_count;

	for (size_t i = 0; i < all; i++) {
		const struct spool_recipient *r = &e->recipients[i];

		if (strcmp(r->original ? r->original : r->address, address) != 0)
			e->recipients[kept++] = *r;
	}
	if (kept == all)
		return 0;
	hash_free(&c->known);
	c->known = hash_new(NULL);
	e->recipient_count = 0;
	for (size_t i = 0; i < kept; i++) {
		struct spool_recipient r = e->recipients[i];

		r.original = r.original ? r.original : r.address;
		cleanup_add_recipient(c, &r);
	}
	return all - kept;
}

size_t cleanup_recipient_count(const struct cleanup *c)
{
	return c->envelope.recipient_count;
}

void cleanup_redirect(struct cleanup *c, const char *address)
{
	c->redirect = pool_strdup(c->pool, address);
}

/* address_domain, as a C string. */
static const char *domain_of(const char *address)
{
	return address_domain(str_c(address)).p;
}

static bool comes_before(const struct spool_recipient *a, const struct spool_recipient *b)
{
	int order = ascii_casecmp(domain_of(a->address), domain_of(b->address));

	return order != 0 ? order < 0 : strcmp(a->address, b->address) < 0;
}

void cleanup_settle_recipients(struct cleanup *c)
{
	struct envelope *e = &c->envelope;
	struct spool_recipient *kept;

	if (!c->redirect || e->recipient_count == 0)
		return;
	kept = &e->recipients[0];
	for (size_t i = 1; i < e->recipient_count; i++) {
		if (comes_before(&e->recipients[i], kept))
			*kept = e->recipients[i];
	}
	if (!kept->original)
		kept->original = kept->address;
	kept->address = cleanup_canonical_form(c, CLASS_ENVELOPE_RECIPIENT, c->redirect);
	e->recipient_count = 1;
}

void cleanup_hold(struct cleanup *c)
{
	struct err err;

	c->options.queue = QUEUE_HOLD;
	if (c->writer && !spool_writer_move(c->writer, QUEUE_HOLD, &err))
		cleanup_fail(c, CLEANUP_TROUBLE, NULL, pool_printf(c->pool, "Error: %s", err.text));
}
