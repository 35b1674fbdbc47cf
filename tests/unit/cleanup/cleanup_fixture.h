/* A cleanup environment over a queue in a directory of its own. */
#ifndef TESTS_CLEANUP_FIXTURE_H
#define TESTS_CLEANUP_FIXTURE_H

#include "../support/test_config.h"
#include "cleanup/cleanup.h"

struct fixture {
	char directory[64];
	struct config cfg;
	struct spool *spool;
	struct resolver *resolver;
	struct cleanup_env *env;
	struct pool *pool;
	struct cleanup_result result;
	char text[300];
	struct queue_id id;
	struct envelope *envelope; /* of the last message that was accepted */
	struct buf content;
};

int fixture_setup(void **state);
int fixture_teardown(void **state);
void open_env(struct fixture *f);
void reopen_env(struct fixture *f); /* after a change of f->cfg */

struct cleanup *begin(struct fixture *f, bool local);
void add_text(struct cleanup *c, const char *text); /* each line ends in LF here */
void end(struct fixture *f, struct cleanup *c);	    /* an accepted message is read back */
/* From sender@example.org to user@example.com. */
void send_text(struct fixture *f, bool local, const char *text);
void expect_content(struct fixture *f, const char *wanted);
bool has(const struct fixture *f, const char *text); /* in the content */

#endif
