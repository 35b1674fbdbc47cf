/* A connection to a server: making it, greeting, talking, leaving. */
#ifndef SMTP_SESSION_H
#define SMTP_SESSION_H

#include "smtp/smtp.h"

struct smtp_host;
struct smtp_tls_policy;

/* Connects. NULL: *why says it. The session is the caller's until smtp_session_end or the cache has it. */
struct smtp_session *smtp_connect_host(struct smtp_client *c, struct pool *pool, const struct smtp_host *host,
	bool detect_loop, struct dsn **why);
struct smtp_session *smtp_connect_path(
	struct smtp_client *c, struct pool *pool, const char *path, struct dsn **why);
/* What finds a connection to the host, or the socket, in the cache, in pool. */
const char *smtp_address_key(struct pool *pool, const struct smtp_host *host,
	const struct smtp_tls_policy *policy, const char *login);
const char *smtp_path_key(
	struct pool *pool, const char *path, const struct smtp_tls_policy *policy, const char *login);

/* Greeting, EHLO, HELO or LHLO, and TLS as the policy wants it. Anything but OK: *why says it. */
enum smtp_greeted {
	SMTP_GREETED,
	SMTP_NOT_GREETED,
	SMTP_NO_TLS /* the handshake failed: nothing is known of the server itself */
};
enum smtp_greeted smtp_greet(struct smtp_session *s, struct pool *pool,
	const struct delivery_request *request, const struct smtp_tls_policy *policy, struct dsn **why);

/* Buffered; the next smtp_hear sends it. */
void smtp_say(struct smtp_session *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Reads one reply, each within `seconds`; lines that are no replies are passed over. false: the session has
 * failed. */
bool smtp_hear(struct smtp_session *s, int seconds, struct smtp_reply *reply);
void smtp_set_timeout(struct smtp_session *s, int seconds);
/* Why smtp_hear or a write failed, for log and report; doing: "sending MAIL FROM". */
struct dsn *smtp_trouble(const struct smtp_session *s, struct pool *pool, const char *doing);
/* "host said: reply (in reply to command)", with action and status by the reply. */
struct dsn *smtp_refusal(
	struct smtp_session *s, struct pool *pool, const struct smtp_reply *reply, const char *command);
/* The enhanced status of a reply, or x.0.0 by its first digit; 5.5.0 for replies that make no sense. */
void smtp_reply_status(const struct smtp_reply *reply, char out[12]);

/* Says QUIT if the session still works (already_said: it was), waits for the answer as
 * smtp_skip_quit_response says, closes and frees. */
void smtp_session_end(struct smtp_session **s, bool already_said);
/* Says QUIT without waiting for anything. */
void smtp_session_leave(struct smtp_session **s);
void smtp_session_free(struct smtp_session **s);

#endif
