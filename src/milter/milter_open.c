/* Connecting to a filter, and agreeing on what it may do and wants to see. */
#include "base/clock.h"
#include "milter/milter_private.h"

#include <arpa/inet.h>

static void put_number(struct buf *b, uint32_t n)
{
	n = htonl(n);
	buf_add(b, &n, sizeof(n));
}

static void offer(struct filter *f)
{
	struct buf payload = BUF(12);

	put_number(&payload, (uint32_t)f->spec->version);
	put_number(&payload, MAY_ALL);
	put_number(&payload, f->spec->protocol);
	wire_packet(f, CMD_OPTIONS, buf_slice(&payload));
	buf_free(&payload);
}

/* After the three numbers: for some stages, the macros that the filter wants instead of those configured. */
static bool take_macro_lists(struct filter *f, struct cursor *c, struct err *err)
{
	while (c->left > 0) {
		struct str names;
		uint32_t list;

		if (!wire_take_number(c, &list) || !wire_take_string(c, &names))
			return err_set(err, "malformed list of macros");
		if (list >= MACROS_BY_FILTER)
			return err_set(err, "macros for unknown stage %lu", (unsigned long)list);
		x_free(&f->macros[list]);
		f->macros[list] = x_strndup(names.p, names.n);
	}
	return true;
}

static bool take_options(struct filter *f, struct err *err)
{
	struct cursor c = cursor_of(f->packet.data, f->packet.len);
	uint32_t version, actions, protocol;

	if (!wire_take_number(&c, &version) || !wire_take_number(&c, &actions) ||
		!wire_take_number(&c, &protocol))
		return err_set(err, "short answer to the options");
	if (version > (uint32_t)f->spec->version)
		return err_set(err, "protocol version %lu conflict with MTA protocol version %d",
			(unsigned long)version, f->spec->version);
	if (actions & ~(uint32_t)MAY_ALL)
		return err_set(err, "request mask 0x%lx conflict with MTA request mask 0x%x",
			(unsigned long)actions, MAY_ALL);
	f->version = (int)version;
	f->actions = actions;
	f->protocol = protocol & f->spec->protocol;
	return take_macro_lists(f, &c, err);
}

bool filter_begin(struct filter *f, int fd, struct err *err)
{
	int letter;

	f->io = stream_new(fd);
	stream_set_timeout(f->io, f->spec->connect_timeout, true);
	stream_start_request(f->io);
	offer(f);
	letter = wire_read(f, err);
	if (letter == CMD_OPTIONS && take_options(f, err))
		return true;
	if (letter >= 0 && letter != CMD_OPTIONS)
		err_set(err, "unexpected answer 0x%02x to the options", (unsigned)letter);
	filter_close(f, false);
	return err_prefix(err, "milter %s", f->spec->endpoint);
}

bool filter_open(struct filter *f, struct err *err)
{
	int fd = net_connect_endpoint(f->spec->endpoint, deadline_in(f->spec->connect_timeout), err);

	if (fd < 0)
		return err_prefix(err, "connect to Milter service %s", f->spec->endpoint);
	return filter_begin(f, fd, err);
}
