#include "commands/map_message.h"

#include "base/mem.h"
#include "mail/header_addresses.h"
#include "mail/mime.h"

struct map_message {
	const struct map_command *command;
	void (*key)(void *arg, struct str key);
	void *arg;
	struct buf header; /* the logical header that is being read */
	struct mime *mime; /* NULL without -m */
	bool in_body;	   /* of the message itself */
};

struct map_message *map_message_new(
	const struct map_command *command, void (*key)(void *arg, struct str key), void *arg)
{
	const struct mime_options options = {.nesting_limit = command->cfg->mime_nesting_limit,
		.boundary_limit = (size_t)command->cfg->mime_boundary_length_limit};
	struct map_message *m = x_alloc(sizeof(*m));

	*m = (struct map_message){.command = command, .key = key, .arg = arg, .header = BUF(SOURCE_MAX)};
	if (command->mime)
		m->mime = mime_new(&options);
	return m;
}

static bool in_header(const struct map_message *m)
{
	return !m->in_body || (m->mime && mime_section(m->mime) != MIME_BODY);
}

static void flush_header(struct map_message *m)
{
	if (m->header.len == 0)
		return;
	if (m->command->header_keys)
		m->key(m->arg, buf_slice(&m->header));
	if (m->mime)
		mime_header(m->mime, buf_slice(&m->header));
	buf_clear(&m->header);
}

static bool is_fold(struct str line)
{
	return line.n && (line.p[0] == ' ' || line.p[0] == '\t');
}

/* false: the line is no part of a header, which is over. */
static bool header_line(struct map_message *m, struct str line)
{
	const bool room = m->header.len < (size_t)m->command->cfg->header_size_limit;
	const size_t name = header_name_length(line);

	if (m->header.len && is_fold(line)) {
		if (room) {
			buf_putc(&m->header, '\n');
			buf_str(&m->header, line);
		}
		return true;
	}
	flush_header(m);
	if (name == 0)
		return false;
	buf_str(&m->header, str_first(line, name));
	buf_str(&m->header, str_from(line, (size_t)str_find(line, ':')));
	return true;
}

void map_message_line(struct map_message *m, struct str line)
{
	enum mime_encoding declared;

	if (in_header(m)) {
		if (header_line(m, line))
			return;
		if (m->mime)
			mime_end_header(m->mime, line.n == 0, &declared);
		if (!m->in_body && line.n && m->command->body_keys)
			m->key(m->arg, STR("")); /* the empty line that is missing */
		m->in_body = true;
	}
	if (m->mime && line.n)
		mime_boundary(m->mime, line);
	if (m->command->body_keys)
		m->key(m->arg, line);
}

void map_message_end(struct map_message **mp)
{
	flush_header(*mp);
	mime_free(&(*mp)->mime);
	buf_free(&(*mp)->header);
	x_free(mp);
}
