/*
 * A client with a spool of its own, a stand-in for the agent that records outcomes, and servers that follow
 * scripts.
 */
#ifndef SMTP_FIXTURE_H
#define SMTP_FIXTURE_H

#include <pthread.h>

#include "smtp/smtp.h"

#define RECIPIENTS_MAX 80
#define LINES_MAX 200

/* What the stand-ins of the service's calls know. */
struct service {
	struct smtp_client *client;
	struct spool *spool;
	struct slots *slots;
};

struct outcome {
	bool decided;
	enum dsn_action action;
	char status[12], reason[600], relay[200];
	int conn_use;
};

/*
 * A server follows its script on one connection after the other: a line that begins with three digits, or
 * with '>', is sent; "*close" closes; "*sleep" waits two seconds; "." reads content to its end; "*next" ends
 * this connection's part; any other line reads one command.
 */
struct server {
	int fd;
	uint16_t port;
	const char *const *script;
	pthread_t thread;
	pthread_mutex_t lock;	   /* guards said */
	char said[LINES_MAX][300]; /* lines of the client; connections end with "<end>" */
	size_t count;
	char content[20000]; /* of the last message */
	size_t content_size;
};

struct fixture {
	char dir[64];
	const struct config *cfg;
	struct service service;
	struct pool *pool; /* of the delivery */
	struct delivery_request request;
	struct delivery_recipient recipients[RECIPIENTS_MAX];
	struct outcome outcomes[RECIPIENTS_MAX];
	bool trouble, corrupt;
};

/* main_cf: lines added to the test's own. */
struct fixture *fixture_new(const char *main_cf, bool lmtp);
void fixture_free(struct fixture *f);
/* A message to u1@example.com, u2@... in the spool of f. */
void fixture_message(struct fixture *f, size_t recipients, const char *content, int flags);
void fixture_deliver(struct fixture *f, const char *nexthop);

struct server *server_start(const char *const *script);
/* Waits for its end. Lines of the client joined by '|'; valid until server_free. */
const char *server_wait(struct server *s, char *out, size_t size);
size_t server_count(struct server *s); /* lines so far */
void server_free(struct server *s);

#endif
