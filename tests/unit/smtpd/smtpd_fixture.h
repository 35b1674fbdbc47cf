/* A server on a private spool, and whole dialogues with it in one call; used by the unit tests and by the
 * fuzz harness. */
#ifndef TESTS_SMTPD_FIXTURE_H
#define TESTS_SMTPD_FIXTURE_H

#include "smtpd/server.h"
#include "smtpd/session.h"

struct smtpd_fixture {
	char directory[64];
	const struct config *cfg;
	struct spool *spool;
	struct server *server;
	struct smtpd_slot slot;
};

/* overrides: name, value, ..., NULL, on top of a small configuration. The process ends when the fixture
 * cannot be made. */
struct smtpd_fixture *smtpd_fixture_new(const char *const *overrides);
void smtpd_fixture_free(struct smtpd_fixture **f);
/* The client at the printed address sends input and closes its side; out gets all replies. */
void smtpd_dialogue(struct smtpd_fixture *f, const char *address, struct str input, struct buf *out);
/* The content of the newest message, and its envelope in the pool; the queue is empty afterwards. false:
 * there is none. */
bool smtpd_take_message(
	struct smtpd_fixture *f, struct pool *pool, struct envelope **envelope, struct buf *content);
/* Removes all messages and returns how many there were. */
size_t smtpd_clear_queue(struct smtpd_fixture *f);

#endif
