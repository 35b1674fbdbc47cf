/*
 * Which of many networks that hold an address has the smallest number, in logarithmic time: the networks,
 * which nest or lie apart, are cut into ranges that each have one answer.
 */
#ifndef TABLE_CIDR_INDEX_H
#define TABLE_CIDR_INDEX_H

#include "base/net.h"

#define CIDR_INDEX_NONE SIZE_MAX

struct cidr_index;

struct cidr_index *cidr_index_new(void);
void cidr_index_free(struct cidr_index **x);
void cidr_index_add(struct cidr_index *x, const struct net_cidr *net, size_t number);
void cidr_index_finish(struct cidr_index *x); /* once, after the last add and before the first find */
/* The smallest number of the networks with the address, or CIDR_INDEX_NONE. */
size_t cidr_index_find(const struct cidr_index *x, const struct net_addr *a);

#endif
