/* Dovecot's authentication protocol, version 1 (Dovecot's documentation: "Dovecot Authentication Protocol").
 */
#include "base/clock.h"
#include "base/mem.h"
#include "base/net.h"
#include "base/stream.h"
#include "base/sys.h"
#include "sasl/sasl_internal.h"

#define PROTOCOL_MAJOR 1
#define PROTOCOL_MINOR 2
#define LINE_MAX_BYTES (SASL_MESSAGE_MAX + 4096)
#define HANDSHAKE_LINES_MAX 500
#define STRAY_LINES_MAX 100 /* answers to older requests that are passed over */
#define REASON_MAX 200

struct dovecot {
	struct sasl_link link;
	struct stream *stream;
	uint32_t request; /* id of the exchange */
};

static const struct {
	const char *word;
	int flag;
} properties[] = {
	{"anonymous", MECHANISM_ANONYMOUS},
	{"plaintext", MECHANISM_PLAINTEXT},
	{"dictionary", MECHANISM_DICTIONARY},
	{"active", MECHANISM_ACTIVE},
	{"forward-secrecy", MECHANISM_FORWARD_SECRECY},
	{"mutual-auth", MECHANISM_MUTUAL_AUTH},
	{"private", MECHANISM_PRIVATE},
};

static struct dovecot *of(struct sasl_link *link)
{
	return (struct dovecot *)(void *)link;
}

/* The next field of a line; unlike str_word, fields may be empty. */
static bool field(struct str *rest, struct str *out)
{
	ptrdiff_t tab;

	if (!rest->p)
		return false;
	tab = str_find(*rest, '\t');
	*out = tab < 0 ? *rest : str_first(*rest, (size_t)tab);
	*rest = tab < 0 ? (struct str){NULL, 0} : str_from(*rest, (size_t)tab + 1);
	return true;
}

static bool read_line(struct dovecot *d, struct str *line)
{
	enum line_end end;

	return stream_line(d->stream, LINE_MAX_BYTES, line, &end) == STREAM_OK && end != LINE_PARTIAL &&
	       !str_has_nul(*line);
}

static void take_mechanism(struct dovecot *d, struct str fields)
{
	struct sasl_mechanism *m = &d->link.mechanisms[d->link.mechanism_count];
	struct str name, word;

	if (d->link.mechanism_count == SASL_MECHANISMS_MAX || !field(&fields, &name) || name.n == 0 ||
		name.n > SASL_MECHANISM_MAX)
		return;
	for (size_t i = 0; i < name.n; i++)
		if (!(name.p[i] >= 'A' && name.p[i] <= 'Z') && !(name.p[i] >= '0' && name.p[i] <= '9') &&
			name.p[i] != '-' && name.p[i] != '_')
			return;
	memcpy(m->name, name.p, name.n);
	m->flags = str_is(name, "ANONYMOUS") ? MECHANISM_ANONYMOUS : 0;
	while (field(&fields, &word))
		for (size_t i = 0; i < sizeof(properties) / sizeof(properties[0]); i++)
			if (str_is(word, properties[i].word))
				m->flags |= properties[i].flag;
	d->link.mechanism_count++;
}

static bool right_version(struct str fields)
{
	struct str major;
	uint64_t n;

	return field(&fields, &major) && str_to_u64(major, 1000, &n) && n == PROTOCOL_MAJOR;
}

/* The server's part of the greeting, up to DONE. */
static bool read_greeting(struct dovecot *d, struct err *err)
{
	bool version = false;
	struct str line, word;

	for (int lines = 0; lines < HANDSHAKE_LINES_MAX; lines++) {
		if (!read_line(d, &line))
			return err_set(err, "lost connection, time out or malformed line in the greeting");
		if (!field(&line, &word))
			continue;
		if (str_is(word, "VERSION")) {
			if (!right_version(line))
				return err_set(err, "protocol version mismatch");
			version = true;
		} else if (str_is(word, "MECH")) {
			take_mechanism(d, line);
		} else if (str_is(word, "DONE")) {
			if (!version)
				return err_set(err, "no protocol version in the greeting");
			return d->link.mechanism_count > 0 || err_set(err, "no mechanisms in the greeting");
		}
	}
	return err_set(err, "greeting without end");
}

static void dovecot_close(struct sasl_link *link)
{
	struct dovecot *d = of(link);

	stream_free(&d->stream);
	x_free(&d);
}

static struct sasl_link *dovecot_open(const char *path, int timeout, struct err *err)
{
	struct dovecot *d;
	uint32_t client;
	int fd = net_connect_endpoint(path, deadline_in(timeout), err);

	if (fd < 0) {
		err_prefix(err, "SASL server");
		return NULL;
	}
	d = x_alloc(sizeof(*d));
	d->link.backend = &sasl_dovecot;
	d->stream = stream_new(fd);
	stream_set_timeout(d->stream, timeout, true);
	stream_start_request(d->stream);
	sys_random(&client, sizeof(client));
	stream_printf(d->stream, "VERSION\t%d\t%d\nCPID\t%u\n", PROTOCOL_MAJOR, PROTOCOL_MINOR, client >> 1);
	if (stream_flush(d->stream) ? read_greeting(d, err) : err_set(err, "lost connection"))
		return &d->link;
	err_prefix(err, "SASL server %s", path);
	dovecot_close(&d->link);
	return NULL;
}

/* A parameter's value with the protocol's escapes undone; false: malformed or too long. */
static bool unescape(struct str in, char *out, size_t size)
{
	static const char codes[] = "01trn", bytes[] = "\0\1\t\r\n";
	size_t n = 0;

	for (size_t i = 0; i < in.n; i++) {
		char c = in.p[i];

		if (c == '\1') {
			const char *code = ++i < in.n && in.p[i] ? strchr(codes, in.p[i]) : NULL;

			if (!code)
				return false;
			c = bytes[code - codes];
		}
		if (n + 1 >= size)
			return false;
		out[n++] = c;
	}
	out[n] = '\0';
	return true;
}

/* A user name goes to logs, headers and access checks: one with control bytes is none. */
static bool take_username(struct dovecot *d, struct str value)
{
	char *name = d->link.username;

	if (!unescape(value, name, sizeof(d->link.username))) {
		name[0] = '\0';
		return false;
	}
	if (str_has_control(str_c(name)))
		name[0] = '\0';
	return name[0] != '\0';
}

static void take_reason(struct str value, struct buf *reply)
{
	char text[REASON_MAX];

	buf_clear(reply);
	if (!unescape(str_first(value, REASON_MAX - 1), text, sizeof(text)))
		return;
	ascii_hide_controls(text, '?');
	buf_puts(reply, text);
}

static enum sasl_status take_ok(struct dovecot *d, struct str fields, struct buf *reply)
{
	bool named = false;
	struct str word;

	while (field(&fields, &word))
		if (str_starts(word, STR("user=")))
			named = take_username(d, str_from(word, 5));
	if (named)
		return SASL_OK;
	buf_puts(reply, "Authentication server gave no usable user name");
	return SASL_TEMPFAIL;
}

static enum sasl_status take_failure(struct dovecot *d, struct str fields, struct buf *reply)
{
	enum sasl_status status = SASL_FAIL;
	struct str word;

	while (field(&fields, &word)) {
		if (str_is(word, "temp") || str_is(word, "code=temp_fail"))
			status = SASL_TEMPFAIL;
		else if (str_starts(word, STR("user=")))
			take_username(d, str_from(word, 5));
		else if (str_starts(word, STR("reason=")))
			take_reason(str_from(word, 7), reply);
	}
	return status;
}

static enum sasl_status take_challenge(struct dovecot *d, struct str fields, struct buf *reply)
{
	struct str challenge = {NULL, 0};

	field(&fields, &challenge);
	for (size_t i = 0; i < challenge.n; i++)
		if (challenge.p[i] <= ' ' || challenge.p[i] > '~')
			d->link.lost = true;
	if (challenge.n > SASL_MESSAGE_MAX || (challenge.n > 0 && !buf_str(reply, challenge)))
		d->link.lost = true;
	return SASL_CONTINUE;
}

/* Reads the answer to the current request. */
static enum sasl_status read_answer(struct dovecot *d, struct buf *reply)
{
	struct str line, word, id;
	uint64_t n;

	for (int lines = 0; lines < STRAY_LINES_MAX; lines++) {
		if (!read_line(d, &line))
			break;
		if (!field(&line, &word) || !field(&line, &id) || !str_to_u64(id, UINT32_MAX, &n) ||
			n != d->request)
			continue;
		if (str_is(word, "OK"))
			return take_ok(d, line, reply);
		if (str_is(word, "FAIL"))
			return take_failure(d, line, reply);
		if (str_is(word, "CONT"))
			return take_challenge(d, line, reply);
	}
	d->link.lost = true;
	return SASL_TEMPFAIL;
}

static void put_text(struct stream *s, const char *name, const char *value)
{
	if (value && !strpbrk(value, "\t\r\n\1"))
		stream_printf(s, "\t%s=%s", name, value);
}

static void put_port(struct stream *s, const char *name, int port)
{
	if (port > 0)
		stream_printf(s, "\t%s=%d", name, port);
}

static enum sasl_status dovecot_start(struct sasl_link *link, const struct sasl_peer *peer,
	const char *mechanism, struct str initial, struct buf *reply)
{
	struct dovecot *d = of(link);
	struct stream *s = d->stream;

	d->request++;
	stream_start_request(s);
	stream_printf(s, "AUTH\t%u\t%s", d->request, mechanism);
	put_text(s, "service", peer->service);
	stream_puts(s, "\tnologin");
	put_text(s, "lip", peer->server_address);
	put_text(s, "rip", peer->client_address);
	put_port(s, "lport", peer->server_port);
	put_port(s, "rport", peer->client_port);
	if (peer->tls)
		stream_puts(s, "\tsecured");
	if (initial.p)
		stream_printf(s, "\tresp=" STR_FMT, STR_ARG(initial));
	stream_puts(s, "\n");
	link->lost = !stream_flush(s);
	return link->lost ? SASL_TEMPFAIL : read_answer(d, reply);
}

static enum sasl_status dovecot_step(struct sasl_link *link, struct str response, struct buf *reply)
{
	struct dovecot *d = of(link);

	stream_start_request(d->stream);
	stream_printf(d->stream, "CONT\t%u\t" STR_FMT "\n", d->request, STR_ARG(response));
	link->lost = !stream_flush(d->stream);
	return link->lost ? SASL_TEMPFAIL : read_answer(d, reply);
}

const struct sasl_backend sasl_dovecot = {
	"dovecot", dovecot_open, dovecot_close, dovecot_start, dovecot_step};
