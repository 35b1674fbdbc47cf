/* A queue in a directory of its own, for the tests of the spool. */
#ifndef TESTS_SPOOL_FIXTURE_H
#define TESTS_SPOOL_FIXTURE_H

#include "spool/spool.h"

struct fixture {
	char directory[64];
	struct spool_options options;
	struct spool *spool;
	struct pool *pool;
};

int fixture_setup(void **state);
int fixture_teardown(void **state);
void fixture_reopen(struct fixture *f); /* after a change of f->options */
/* A message with three recipients and the content. */
struct queue_id fixture_write(struct fixture *f, enum spool_queue q, struct str content);
int fixture_open(struct fixture *f, enum spool_queue q,
	const struct queue_id *id); /* the file itself, read and write */
off_t fixture_size(struct fixture *f, enum spool_queue q, const struct queue_id *id);

#endif
