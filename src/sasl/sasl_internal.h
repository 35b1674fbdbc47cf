/* Between sasl_server.c and the kinds of back end. */
#ifndef SASL_INTERNAL_H
#define SASL_INTERNAL_H

#include "sasl/sasl_server.h"

#define SASL_MECHANISM_MAX 20 /* bytes of a name, RFC 4422 section 3.1 */
#define SASL_MECHANISMS_MAX 32
#define SASL_USERNAME_MAX 320
#define SASL_MESSAGE_MAX 32768 /* bytes of a challenge or response in base64 */

enum { /* what a mechanism is, as security options speak of it */
	MECHANISM_ANONYMOUS = 1,
	MECHANISM_PLAINTEXT = 2,
	MECHANISM_DICTIONARY = 4,
	MECHANISM_ACTIVE = 8,
	MECHANISM_FORWARD_SECRECY = 16,
	MECHANISM_MUTUAL_AUTH = 32,
	MECHANISM_PRIVATE = 64 /* not to be offered */
};

struct sasl_mechanism {
	char name[SASL_MECHANISM_MAX + 1];
	int flags;
};

/* The link to a back end. */
struct sasl_link {
	const struct sasl_backend *backend;
	struct sasl_mechanism mechanisms[SASL_MECHANISMS_MAX];
	size_t mechanism_count;
	char username[SASL_USERNAME_MAX + 1]; /* of the exchange; "" unknown */
	bool lost;			      /* of no more use */
};

struct sasl_backend {
	const char *type;
	struct sasl_link *(*open)(const char *path, int timeout, struct err *err);
	void (*close)(struct sasl_link *link);
	/* initial.p NULL: none; both are valid base64. reply: challenge or reason. */
	enum sasl_status (*start)(struct sasl_link *link, const struct sasl_peer *peer, const char *mechanism,
		struct str initial, struct buf *reply);
	enum sasl_status (*step)(struct sasl_link *link, struct str response, struct buf *reply);
};

extern const struct sasl_backend sasl_dovecot;

#endif
