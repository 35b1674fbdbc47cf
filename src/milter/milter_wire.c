/* Packets: a length in network order, then that many bytes, the first of which is a letter. */
#include "milter/milter_private.h"

#include <arpa/inet.h>

void wire_begin(struct filter *f, int letter, size_t payload)
{
	uint32_t length = htonl((uint32_t)payload + 1);
	char byte = (char)letter;

	stream_write(f->io, &length, sizeof(length));
	stream_write(f->io, &byte, 1);
}

void wire_put(struct filter *f, const void *data, size_t n)
{
	stream_write(f->io, data, n);
}

void wire_packet(struct filter *f, int letter, struct str payload)
{
	wire_begin(f, letter, payload.n);
	wire_put(f, payload.p, payload.n);
}

static int stream_problem(const struct stream *io, struct err *err)
{
	switch (stream_status(io)) {
	case STREAM_TIMEOUT:
		err_set(err, "timeout");
		break;
	case STREAM_EOF:
		err_set(err, "lost connection");
		break;
	default:
		err_set(err, "%s", strerror(stream_errno(io)));
	}
	return -1;
}

int wire_read(struct filter *f, struct err *err)
{
	uint32_t length;
	char letter, *room;

	if (stream_read_exact(f->io, &length, sizeof(length)) != STREAM_OK)
		return stream_problem(f->io, err);
	length = ntohl(length);
	if (length < 1 || length > WIRE_PACKET_MAX) {
		err_set(err, "packet of %lu bytes", (unsigned long)length);
		return -1;
	}
	if (stream_read_exact(f->io, &letter, 1) != STREAM_OK)
		return stream_problem(f->io, err);
	buf_clear(&f->packet);
	if (--length == 0)
		return (unsigned char)letter;
	room = buf_reserve(&f->packet, length);
	if (stream_read_exact(f->io, room, length) != STREAM_OK)
		return stream_problem(f->io, err);
	buf_added(&f->packet, length);
	return (unsigned char)letter;
}

void wire_string(struct buf *payload, struct str text)
{
	ptrdiff_t nul = str_find(text, '\0');

	buf_str(payload, nul >= 0 ? str_first(text, (size_t)nul) : text);
	buf_putc(payload, '\0');
}

bool wire_take_string(struct cursor *c, struct str *text)
{
	ptrdiff_t nul = str_find(cursor_rest(c), '\0');

	return nul >= 0 && cursor_bytes(c, (size_t)nul, text) && cursor_skip(c, 1);
}

bool wire_take_number(struct cursor *c, uint32_t *out)
{
	struct str bytes;

	if (!cursor_bytes(c, sizeof(*out), &bytes))
		return false;
	memcpy(out, bytes.p, sizeof(*out));
	*out = ntohl(*out);
	return true;
}
