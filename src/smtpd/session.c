#include "smtpd/session.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "smtpd/client_limits.h"
#include "smtpd/content.h"
#include "smtpd/dialogue.h"
#include "smtpd/filters.h"
#include "smtpd/greeting.h"
#include "smtpd/reply.h"
#include "smtpd/transaction.h"

#define PARK_AFTER_MS 100 /* how long a session keeps its slot while it waits for the next command */
/* Bytes past line_length_limit that are read of a command line before the session ends. */
#define LONG_LINE_MAX 16384

enum session_next { SESSION_END, SESSION_PARK, SESSION_SLEEP };

static void session_task(struct task *task, struct slot *slot, enum task_wake why);

struct session *session_new(
	struct server *server, int fd, const struct net_addr *peer, const struct config *cfg)
{
	struct pool *pool = pool_new(2048);
	struct session *s = pool_alloc(pool, sizeof(*s));

	s->task.run = session_task;
	s->server = server;
	s->cfg = cfg;
	s->pool = pool;
	s->peer = *peer;
	s->protocol = "SMTP";
	s->where = "CONNECT";
	notify_begin(s);
	s->bare_newline = server->bare_newline;
	s->io = stream_new(fd);
	stream_set_timeout(s->io, cfg->smtpd_timeout, cfg->smtpd_per_request_deadline);
	client_set_address(&s->client, peer);
	client_set_names(&s->client, "unknown", "unknown");
	client_describe(&s->client, cfg->smtpd_client_port_logging);
	return s;
}

static void session_free(struct session *s)
{
	struct pool *pool = s->pool;
	struct service *service = s->server->service;

	transaction_end(s);
	filters_free(s);
	client_limits_disconnect(s);
	forwarded_free(&s->forwarded);
	stream_free(&s->io);
	client_free(&s->client);
	transcript_free(&s->notify.transcript);
	session_set(&s->helo, NULL);
	session_set(&s->long_name, NULL);
	session_set(&s->sasl_method, NULL);
	session_set(&s->sasl_username, NULL);
	pool_free(&s->scratch);
	pool_free(&pool);
	if (service)
		service_session_end(service);
}

void session_accept(struct server *server, int fd, const struct net_addr *peer, bool stressed)
{
	const struct config *cfg = stressed ? service_stress_config(server->service) : server->cfg;
	struct session *s = session_new(server, fd, peer, cfg ? cfg : server->cfg);

	service_session_begin(server->service);
	slots_submit(server->slots, &s->task);
}

void session_set(char **field, const char *value)
{
	char *copy = value ? x_strdup(value) : NULL;

	x_free(field);
	*field = copy;
}

struct pool *session_scratch(struct session *s)
{
	if (!s->scratch)
		s->scratch = pool_new(1024);
	return s->scratch;
}

const char *session_sasl_sender(const struct session *s)
{
	return s->tx && s->sasl_username ? s->tx->options.sasl_sender : NULL;
}

const struct net_addr *session_local(struct session *s)
{
	if (!s->local_known)
		s->local_known = net_local(stream_fd(s->io), &s->local);
	return s->local_known ? &s->local : NULL;
}

bool session_client_in(struct session *s, const struct named_list *list)
{
	struct err err = {0};
	enum table_status status = named_list_host(list, s->client.name, s->client.address, &err);

	if (status == TABLE_RETRY || status == TABLE_MISCONFIGURED)
		log_warning("%s: %s", list->parameter, err.text);
	return status == TABLE_FOUND;
}

void session_set_local(struct session *s, const struct net_addr *addr)
{
	s->local = *addr;
	s->local_known = true;
}

void session_set_local_port(struct session *s, uint16_t port)
{
	char host[NET_HOST_MAX];

	if (session_local(s))
		net_parse_ip(str_c(net_host(&s->local, host)), port, &s->local);
}

const char *session_queue_id(const struct session *s)
{
	return s->tx && s->tx->message ? message_id(s->tx->message)->text : "NOQUEUE";
}

void session_forget_helo(struct session *s)
{
	transaction_end(s);
	session_set(&s->helo, NULL);
	session_set(&s->sasl_method, NULL);
	session_set(&s->sasl_username, NULL);
}

void session_forget_client(struct session *s)
{
	session_forget_helo(s);
	s->protocol = "SMTP";
	filters_free(s);
	s->denied = (struct refusal){0};
	s->if_permit = (struct deferral){0};
	s->effects = (struct effects){0};
	s->ehlo_hidden_known = false;
}

/* ---- reading commands */

static const char *end_reason(enum stream_status status)
{
	return status == STREAM_TIMEOUT ? "timeout" : "lost connection";
}

static void end_by_timeout(struct session *s)
{
	s->protocol_end = "timeout";
	reply(s, "421 4.4.2 %s Error: timeout exceeded", s->cfg->myhostname);
}

/* The stream failed: the peer is told when it was too slow, and the log says after what. A client that goes
 * once its message is done has lost nothing. */
static void end_by_stream(struct session *s)
{
	enum stream_status status = stream_status(s->io);

	if (status == STREAM_TIMEOUT)
		end_by_timeout(s);
	else if (strcmp(s->where, AFTER_MESSAGE) != 0)
		s->protocol_end = end_reason(status);
}

static void end_by_errors(struct session *s)
{
	s->protocol_end = "too many errors";
	reply(s, "421 4.7.0 %s Error: too many errors", s->cfg->myhostname);
}

/* Whether the buffer holds a command line, or as much as may be in one. */
static bool line_buffered(const struct session *s)
{
	struct str buffered = stream_peek(s->io);

	return str_find(buffered, '\n') >= 0 || buffered.n >= (size_t)s->cfg->line_length_limit;
}

/* The rest of a line over the limit is read and forgotten, within bounds. */
static void long_line(struct session *s, struct str piece)
{
	struct str head = str_first(piece, 30);

	if (s->long_line == 0) {
		log_warning("%s: request longer than %d: " STR_FMT "...", s->client.text,
			s->cfg->line_length_limit, STR_ARG(head));
		if (str_case_starts(head, STR("EHLO ")) || str_case_starts(head, STR("HELO ")))
			session_set(&s->long_name, pool_strndup(session_scratch(s), piece.p, piece.n));
	}
	s->long_line += piece.n;
	if (s->long_line > (size_t)s->cfg->line_length_limit + LONG_LINE_MAX)
		reply(s, "521 5.5.2 Error: command line too long");
}

/* The end of such a line. A name is taken as far as the limit; any other command of that length is refused.
 */
static void long_line_end(struct session *s)
{
	s->long_line = 0;
	if (s->long_name) {
		command_run(s, str_c(s->long_name));
		session_set(&s->long_name, NULL);
	} else {
		s->errors++;
		notify_note(s, NOTICE_PROTOCOL);
		reply(s, "500 5.5.2 Error: command line too long");
	}
}

static void run_line(struct session *s)
{
	enum line_end end;
	struct str line;

	if (stream_line(s->io, (size_t)s->cfg->line_length_limit, &line, &end) != STREAM_OK) {
		end_by_stream(s);
		s->hangup = true;
	} else if (end == LINE_PARTIAL) {
		long_line(s, line);
	} else if (s->long_line > 0) {
		long_line_end(s);
	} else if (end == LINE_LF && s->bare_newline == BARE_REJECTED) {
		notify_note(s, NOTICE_PROTOCOL);
		content_refuse_bare(s, s->where);
		s->hangup = true;
	} else {
		s->line_ended_bare = end == LINE_LF;
		s->in_content = false;
		dialogue_heard(s, line);
		command_run(s, line);
	}
	pool_free(&s->scratch);
}

static void wait_begins(struct session *s)
{
	s->command_deadline = deadline_in(s->cfg->smtpd_timeout);
	stream_start_request(s->io);
}

/* The last free slot is not for waiting in: new connections, or sessions that were spoken to, may need it. */
static int patience_ms(const struct session *s)
{
	struct slots_load load;

	if (!s->server->slots)
		return PARK_AFTER_MS;
	load = slots_load(s->server->slots);
	return load.queued > 0 || load.running >= load.max ? 0 : PARK_AFTER_MS;
}

/* Waits a moment for a whole line. true: go on; false: park. */
static bool wait_for_line(struct session *s)
{
	while (!line_buffered(s) && stream_status(s->io) == STREAM_OK) {
		if (stream_fill(s->io, patience_ms(s)) == 0)
			return false;
		if (!s->cfg->smtpd_per_request_deadline)
			s->command_deadline = deadline_in(s->cfg->smtpd_timeout);
	}
	return true;
}

static enum session_next session_commands(struct session *s)
{
	for (;;) {
		if (s->penalty_until > 0 && stream_status(s->io) == STREAM_OK)
			return SESSION_SLEEP;
		if (s->hangup)
			return SESSION_END;
		if (stream_status(s->io) != STREAM_OK && !line_buffered(s)) {
			end_by_stream(s);
			return SESSION_END;
		}
		if (s->errors >= s->cfg->smtpd_hard_error_limit) {
			end_by_errors(s);
			return SESSION_END;
		}
		if (!wait_for_line(s))
			return SESSION_PARK;
		if (line_buffered(s)) {
			run_line(s);
			wait_begins(s);
		}
	}
}

/* ---- running and parking */

static void session_resume(struct session *s, enum task_wake why)
{
	bool slept = s->penalty_until > 0;

	s->penalty_until = 0;
	if (why == TASK_START) {
		greeting_open(s);
		pool_free(&s->scratch);
		wait_begins(s);
	} else if (why == TASK_SHUTDOWN) {
		reply(s, "421 4.3.2 %s Service shutting down", s->cfg->myhostname);
	} else if (why == TASK_TIMEOUT && !slept) {
		end_by_timeout(s);
	}
	/* What was said while ending is not held back. */
	if (s->hangup && why != TASK_START)
		s->penalty_until = 0;
}

static void session_finish(struct session *s)
{
	stream_flush(s->io);
	notify_end(s);
	session_log_end(s);
	session_free(s);
}

static void session_task(struct task *task, struct slot *slot, enum task_wake why)
{
	struct session *s = container_of(task, struct session, task);
	struct service *service = s->server->service;
	struct slots *slots = s->server->slots;

	s->slot = slot_cache(slot);
	session_resume(s, why);
	switch (session_commands(s)) {
	case SESSION_END:
		session_finish(s);
		break;
	case SESSION_SLEEP:
		s->slot = NULL;
		slots_park(slots, &s->task, -1, s->penalty_until);
		break;
	case SESSION_PARK:
		s->slot = NULL;
		pool_free(&s->scratch);
		stream_relax(s->io);
		slots_park(slots, &s->task, stream_fd(s->io), s->command_deadline);
		break;
	}
	if (service)
		service_slot_free(service);
}

/* Without a waiter the same waits are slept through here. */
static enum task_wake wait_here(struct session *s, enum session_next next)
{
	int64_t deadline = next == SESSION_SLEEP ? s->penalty_until : s->command_deadline;
	int left;

	if (next == SESSION_PARK) {
		left = clock_left_ms(deadline);
		return stream_fill(s->io, left) ? TASK_READY : TASK_TIMEOUT;
	}
	while ((left = clock_left_ms(deadline)) > 0)
		net_wait(-1, 0, deadline);
	return TASK_TIMEOUT;
}

void session_run_here(struct session *s, struct smtpd_slot *slot)
{
	enum task_wake why = TASK_START;
	enum session_next next;

	s->slot = slot;
	for (;;) {
		session_resume(s, why);
		next = session_commands(s);
		if (next == SESSION_END)
			break;
		why = wait_here(s, next);
	}
	session_finish(s);
}
