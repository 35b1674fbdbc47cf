#include "dns/dns_internal.h"

#define NAME_OCTETS_MAX 253
#define LABEL_OCTETS_MAX 63

static const char *reason_of(enum dns_status status)
{
	switch (status) {
	case DNS_OK:
		return "";
	case DNS_NOT_FOUND:
		return "Host not found";
	case DNS_NO_DATA:
		return "Host found but no data record of requested type";
	case DNS_RETRY:
		return "Host not found, try again";
	case DNS_INVALID:
		return "Malformed or unexpected name server reply";
	}
	return "";
}

void dns_answer_init(struct dns_answer *out, enum dns_status status, const char *name)
{
	*out = (struct dns_answer){.status = status, .canonical = name, .reason = reason_of(status)};
}

void dns_answer_append(struct pool *pool, struct dns_answer *to, const struct dns_record *from, size_t count)
{
	size_t room = DNS_RECORDS_MAX - to->count;
	struct dns_record *all;

	if (count > room)
		count = room;
	if (count == 0)
		return;
	all = pool_alloc(pool, (to->count + count) * sizeof(*all));
	if (to->count > 0)
		memcpy(all, to->records, to->count * sizeof(*all));
	memcpy(all + to->count, from, count * sizeof(*all));
	to->records = all;
	to->count += count;
}

static bool label_askable(struct str label)
{
	if (label.n == 0 || label.n > LABEL_OCTETS_MAX)
		return false;
	for (size_t i = 0; i < label.n; i++)
		if (label.p[i] <= ' ' || label.p[i] > '~' || label.p[i] == '\\')
			return false;
	return true;
}

bool dns_name_askable(struct str name)
{
	if (name.n > 0 && name.p[name.n - 1] == '.')
		name.n--;
	if (name.n == 0 || name.n > NAME_OCTETS_MAX)
		return false;
	for (;;) {
		ptrdiff_t dot = str_find(name, '.');

		if (!label_askable(dot < 0 ? name : str_first(name, (size_t)dot)))
			return false;
		if (dot < 0)
			return true;
		name = str_from(name, (size_t)dot + 1);
	}
}
