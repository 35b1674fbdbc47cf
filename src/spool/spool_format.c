#include "base/sys.h"
#include "spool/spool_private.h"

#define VERSION 1u
#define NO_TEXT UINT32_MAX
#define RECORD_FRAME 10u /* crc, length, type */

static const unsigned char magic[8] = {0x93, 'P', 'S', 'T', 'N', 'Q', '\r', '\n'};

uint32_t spool_seed(const struct queue_id *id)
{
	return crc32c(0, id->text, strlen(id->text));
}

static void store(unsigned char *p, uint64_t v, size_t n)
{
	for (size_t i = 0; i < n; i++, v >>= 8)
		p[i] = (unsigned char)v;
}

void spool_put_u8(struct buf *b, uint8_t v)
{
	buf_integer(b, v, 1);
}

void spool_put_u16(struct buf *b, uint16_t v)
{
	buf_integer(b, v, 2);
}

void spool_put_u32(struct buf *b, uint32_t v)
{
	buf_integer(b, v, 4);
}

void spool_put_u64(struct buf *b, uint64_t v)
{
	buf_integer(b, v, 8);
}

void spool_put_text(struct buf *b, const char *text)
{
	struct str s = str_c(text);

	spool_put_u32(b, text ? (uint32_t)s.n : NO_TEXT);
	buf_str(b, s);
}

bool spool_get_text(struct cursor *c, struct pool *pool, const char **out)
{
	uint32_t n;
	struct str s;

	*out = NULL;
	if (!cursor_u32(c, &n))
		return false;
	if (n == NO_TEXT)
		return true;
	if (!cursor_bytes(c, n, &s) || str_has_nul(s))
		return false;
	*out = pool_strndup(pool, s.p, s.n);
	return true;
}

void spool_put_dsn(struct buf *b, const struct dsn *d)
{
	spool_put_u8(b, d ? (uint8_t)d->action + 1 : 0);
	if (!d)
		return;
	spool_put_text(b, d->status);
	spool_put_text(b, d->reason);
	spool_put_text(b, d->diag_type);
	spool_put_text(b, d->diag_text);
	spool_put_text(b, d->mta_type);
	spool_put_text(b, d->mta_name);
}

bool spool_get_dsn(struct cursor *c, struct pool *pool, const struct dsn **out)
{
	struct dsn *d;
	const char *status;
	uint8_t action;

	*out = NULL;
	if (!cursor_u8(c, &action) || action > DSN_EXPANDED + 1)
		return false;
	if (action == 0)
		return true;
	d = pool_alloc(pool, sizeof(*d));
	d->action = (enum dsn_action)(action - 1);
	if (!spool_get_text(c, pool, &status) || !status || strlen(status) >= sizeof(d->status))
		return false;
	memcpy(d->status, status, strlen(status) + 1);
	*out = d;
	return spool_get_text(c, pool, &d->reason) && spool_get_text(c, pool, &d->diag_type) &&
	       spool_get_text(c, pool, &d->diag_text) && spool_get_text(c, pool, &d->mta_type) &&
	       spool_get_text(c, pool, &d->mta_name);
}

void spool_header_encode(
	const struct spool_header *h, const struct queue_id *id, unsigned char out[SPOOL_HEADER_SIZE])
{
	memset(out, 0, SPOOL_HEADER_SIZE);
	memcpy(out, magic, sizeof(magic));
	store(out + 8, VERSION, 2);
	store(out + 10, SPOOL_HEADER_SIZE, 2);
	store(out + 12, h->flags, 4);
	memcpy(out + 16, id->text, strlen(id->text));
	store(out + 40, h->arrival_us, 8);
	store(out + 48, h->content_offset, 8);
	store(out + 56, h->content_size, 8);
	store(out + 64, h->envelope_offset, 8);
	store(out + 72, h->envelope_size, 8);
	store(out + 80, h->content_crc, 4);
	store(out + 84, h->envelope_crc, 4);
	store(out + SPOOL_HEADER_SIZE - 4, crc32c(spool_seed(id), out, SPOOL_HEADER_SIZE - 4), 4);
}

static bool all_zero(const unsigned char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i] != 0)
			return false;
	return true;
}

/* Offsets and sizes are added by users: sums must not wrap. */
static bool sane(const struct spool_header *h)
{
	const uint64_t limit = UINT64_C(1) << 60;

	return h->content_offset >= SPOOL_HEADER_SIZE && h->content_offset < limit &&
	       h->content_size < limit && h->envelope_offset >= SPOOL_HEADER_SIZE &&
	       h->envelope_offset < limit && h->envelope_size <= SPOOL_ENVELOPE_MAX;
}

static bool fields(const unsigned char *in, struct spool_header *h)
{
	struct cursor c = cursor_of(in + 12, 4);

	cursor_u32(&c, &h->flags);
	c = cursor_of(in + 40, 48);
	return cursor_u64(&c, &h->arrival_us) && cursor_u64(&c, &h->content_offset) &&
	       cursor_u64(&c, &h->content_size) && cursor_u64(&c, &h->envelope_offset) &&
	       cursor_u64(&c, &h->envelope_size) && cursor_u32(&c, &h->content_crc) &&
	       cursor_u32(&c, &h->envelope_crc) && sane(h);
}

enum spool_status spool_header_decode(const unsigned char in[SPOOL_HEADER_SIZE], const struct queue_id *id,
	struct spool_header *h, struct err *err)
{
	struct cursor c = cursor_of(in + 8, 4);
	struct cursor tail = cursor_of(in + SPOOL_HEADER_SIZE - 4, 4);
	uint16_t version, size;
	uint32_t crc;

	if (all_zero(in, SPOOL_HEADER_SIZE)) {
		err_set(err, "unfinished");
		return SPOOL_UNFINISHED;
	}
	cursor_u16(&c, &version);
	cursor_u16(&c, &size);
	cursor_u32(&tail, &crc);
	if (memcmp(in, magic, sizeof(magic)) != 0)
		err_set(err, "not a queue file");
	else if (version != VERSION || size != SPOOL_HEADER_SIZE)
		err_set(err, "queue file version %u is not known", version);
	else if (strnlen((const char *)in + 16, 24) != strlen(id->text) ||
		 memcmp(in + 16, id->text, strlen(id->text)) != 0)
		err_set(err, "the file is named %s and belongs to %.23s", id->text, (const char *)in + 16);
	else if (crc != crc32c(spool_seed(id), in, SPOOL_HEADER_SIZE - 4) || !fields(in, h))
		err_set(err, "header damaged");
	else
		return SPOOL_OK;
	return SPOOL_CORRUPT;
}

bool spool_header_id(const unsigned char in[SPOOL_HEADER_SIZE], struct queue_id *id)
{
	struct str text = {(const char *)in + 16, strnlen((const char *)in + 16, sizeof(id->text))};

	*id = (struct queue_id){""};
	if (!queue_id_valid(text))
		return false;
	memcpy(id->text, text.p, text.n);
	return true;
}

void spool_records_end(struct buf *b)
{
	static const char end[RECORD_FRAME];

	buf_add(b, end, sizeof(end));
}

bool spool_records_ended(const struct cursor *c)
{
	return c->left >= RECORD_FRAME && all_zero(c->p, RECORD_FRAME);
}

size_t spool_record_begin(struct buf *b, enum spool_record_type type)
{
	size_t mark = b->len;

	spool_put_u32(b, 0);
	spool_put_u32(b, 0);
	spool_put_u16(b, (uint16_t)type);
	return mark;
}

void spool_record_end(struct buf *b, const struct queue_id *id, size_t mark)
{
	unsigned char *p;

	if (b->over)
		return;
	p = (unsigned char *)b->data + mark;
	store(p + 4, b->len - mark - RECORD_FRAME, 4);
	store(p, crc32c(spool_seed(id), p + 4, b->len - mark - 4), 4);
}

bool spool_record_next(struct cursor *c, const struct queue_id *id, uint16_t *type, struct cursor *payload)
{
	struct cursor try = *c;
	uint32_t crc, length;
	struct str body;

	if (!cursor_u32(&try, &crc) || !cursor_u32(&try, &length) || length > SPOOL_RECORD_MAX ||
		!cursor_u16(&try, type) || !cursor_bytes(&try, length, &body) || *type == 0)
		return false;
	if (crc != crc32c(spool_seed(id), c->p + 4, RECORD_FRAME - 4 + length))
		return false;
	*payload = cursor_of(body.p, body.n);
	*c = try;
	return true;
}
