/* One look at the maildrop queue. */
#ifndef PICKUP_PICKUP_H
#define PICKUP_PICKUP_H

#include "bounce/bounce_services.h"
#include "service/service.h"

struct pickup_env {
	const struct config *cfg;
	struct spool *spool;
	struct cleanup_env *cleanup;
	struct bounce_services *reports; /* NULL: the settings of cfg */
	const struct service *service;	 /* retiring: what is not begun is the next process's; NULL: none */
};

/* Every message that is there now; what cannot be taken now stays for the next time. */
void pickup_all(const struct pickup_env *env);

enum pickup_result {
	PICKUP_TAKEN, /* in the queue, or reported to the sender, or of no form: gone from maildrop */
	PICKUP_LATER, /* stays */
	PICKUP_STOP   /* stays, and so will the others: no space, no memory of the queue */
};
enum pickup_result pickup_message(const struct pickup_env *env, const struct queue_id *id);

#endif
