#include <errno.h>

#include "base/clock.h"
#include "base/log.h"
#include "smtp/smtp_hosts.h"
#include "smtp/smtp_session.h"
#include "smtp/smtp_tls.h"

#define PATIENCE_MS 500 /* most servers answer within it */

static const struct net_addr *source_for(const struct smtp_client *c, const struct net_addr *to)
{
	const struct net_addr *source = to->ss.ss_family == AF_INET6 ? &c->source6 : &c->source4;

	return source->len > 0 ? source : NULL;
}

static bool is_source_problem(int error)
{
	return error == EADDRNOTAVAIL || error == EINVAL || error == EACCES;
}

static int64_t connect_deadline(const struct smtp_client *c)
{
	return deadline_in(c->cfg->smtp_connect_timeout);
}

static int connect_from(struct smtp_client *c, const struct net_addr *to)
{
	const struct net_addr *source = source_for(c, to);
	struct err err = {""};
	int window = c->cfg->tcp_windowsize;
	int fd = net_connect_window(to, source, window, connect_deadline(c), &err);

	if (fd >= 0 || !source || !is_source_problem(errno) || c->cfg->smtp_bind_address_enforce)
		return fd;
	log_warning("%s; the source address is left to the system", err.text);
	return net_connect_window(to, NULL, window, connect_deadline(c), &err);
}

static struct smtp_session *session_new(struct smtp_client *c, int fd)
{
	struct pool *pool = pool_new(1024);
	struct smtp_session *s = pool_alloc(pool, sizeof(*s));

	s->client = c;
	s->pool = pool;
	s->made = clock_mono();
	s->mechanisms = "";
	s->stream = stream_new(fd);
	stream_set_patience(s->stream, PATIENCE_MS);
	if (c->cfg->smtp_per_request_deadline)
		stream_set_min_rate(s->stream, (size_t)c->cfg->smtp_min_data_rate);
	return s;
}

void smtp_session_free(struct smtp_session **s)
{
	struct pool *pool;

	if (!*s)
		return;
	pool = (*s)->pool;
	stream_free(&(*s)->stream);
	transcript_free(&(*s)->transcript);
	pool_free(&pool);
	*s = NULL;
}

const char *smtp_address_key(struct pool *pool, const struct smtp_host *host,
	const struct smtp_tls_policy *policy, const char *login)
{
	char text[NET_TEXT_MAX];

	return pool_printf(pool, "%s %s%s%s", net_text(&host->address, text), host->name,
		smtp_tls_key(pool, policy, host->name), login);
}

const char *smtp_path_key(
	struct pool *pool, const char *path, const struct smtp_tls_policy *policy, const char *login)
{
	return pool_printf(pool, "unix:%s%s%s", path, smtp_tls_key(pool, policy, NULL), login);
}

struct smtp_session *smtp_connect_host(struct smtp_client *c, struct pool *pool, const struct smtp_host *host,
	bool detect_loop, struct dsn **why)
{
	char address[NET_HOST_MAX];
	struct smtp_session *s;
	int fd = connect_from(c, &host->address), problem = errno;

	net_host(&host->address, address);
	if (fd < 0) {
		*why = dsn_make(pool, DSN_DELAYED, "4.4.1", "connect to %s[%s]:%u: %s", host->name, address,
			net_port(&host->address), strerror(problem));
		return NULL;
	}
	s = session_new(c, fd);
	s->detect_loop = detect_loop;
	s->best = host->best;
	s->host = pool_strdup(s->pool, host->name);
	s->label = pool_printf(s->pool, "%s[%s]", host->name, address);
	s->relay = pool_printf(s->pool, "%s:%u", s->label, net_port(&host->address));
	return s;
}

struct smtp_session *smtp_connect_path(
	struct smtp_client *c, struct pool *pool, const char *path, struct dsn **why)
{
	const char *name = c->cfg->myhostname;
	struct err err = {""};
	struct smtp_session *s;
	int fd = net_connect_unix(path, deadline_in(c->cfg->smtp_connect_timeout), &err), problem = errno;

	if (fd < 0) {
		*why = dsn_make(
			pool, DSN_DELAYED, "4.4.1", "connect to %s[%s]: %s", name, path, strerror(problem));
		return NULL;
	}
	s = session_new(c, fd);
	s->host = name;
	s->label = s->relay = pool_printf(s->pool, "%s[%s]", name, path);
	return s;
}
