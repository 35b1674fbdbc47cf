/*
 * How much each client does, counted across all processes of the instance: connections at a time, and events
 * per time unit. A client is a network prefix at one service.
 *
 * The counts live in memory that all processes share (service_shared_clients), as a table of fixed size
 * without locks: entries that are in nobody's use give way to newer ones, and whatever a process leaves
 * behind that died in between is taken back (holds.h), or ages out. Counts are as exact as limits need.
 */
#ifndef SMTPD_LIMITS_H
#define SMTPD_LIMITS_H

#include "base/net.h"

enum limit_event {
	LIMIT_CONNECTIONS,
	LIMIT_MESSAGES,
	LIMIT_RECIPIENTS,
	LIMIT_TLS_SESSIONS,
	LIMIT_AUTHENTICATIONS,
	LIMIT_EVENTS
};

struct limits {
	struct limits_table *table;
	size_t sets;
	int64_t unit_us;
};

/* memory: zero when nobody used it yet; stays the caller's. */
void limits_init(struct limits *l, void *memory, size_t size, int unit_seconds);
/* Never 0. */
uint64_t limits_key(
	const struct limits *l, const char *service, const struct net_addr *client, int v4_bits, int v6_bits);
/* One more of an event: how many there were in this time unit. */
unsigned limits_count(const struct limits *l, uint64_t key, enum limit_event event);
/* How many there were in this time unit, without one more. */
unsigned limits_seen(const struct limits *l, uint64_t key, enum limit_event event);
/* A connection begins: how many there are now. Each is ended by limits_disconnect. */
unsigned limits_connect(const struct limits *l, uint64_t key);
void limits_disconnect(const struct limits *l, uint64_t key);
/* How many there are. */
unsigned limits_open(const struct limits *l, uint64_t key);

#endif
