#include "base/sys.h"
#include "dns/dns_internal.h"

#define HOSTS_FILE_MAX (16u << 20)
#define PER_NAME_MAX 32 /* addresses kept of one name */

struct host {
	size_t count;
	struct net_addr addresses[PER_NAME_MAX];
};

struct dns_hosts {
	struct pool *pool;
	struct hash *by_name;	 /* lower case; struct host */
	struct hash *by_address; /* printed; first name */
};

static void add_name(struct dns_hosts *h, struct str name, const struct net_addr *a)
{
	char *key = pool_strndup(h->pool, name.p, name.n);
	struct host *host;

	ascii_lower(key);
	host = hash_get(h->by_name, str_c(key));
	if (!host) {
		host = pool_alloc(h->pool, sizeof(*host));
		hash_put(h->by_name, str_c(key), host);
	}
	if (host->count < PER_NAME_MAX)
		host->addresses[host->count++] = *a;
}

static void add_line(struct dns_hosts *h, struct str line)
{
	ptrdiff_t comment = str_find(line, '#');
	char text[NET_HOST_MAX];
	struct net_addr a;
	struct str word;
	bool first = true;

	if (comment >= 0)
		line = str_first(line, (size_t)comment);
	if (!str_word(&line, " \t\r", &word) || !net_parse_ip(word, 0, &a))
		return;
	net_host(&a, text);
	while (str_word(&line, " \t\r", &word)) {
		if (str_has_nul(word))
			return;
		if (first && !hash_get(h->by_address, str_c(text)))
			hash_put(h->by_address, str_c(text), pool_strndup(h->pool, word.p, word.n));
		first = false;
		add_name(h, word, &a);
	}
}

struct dns_hosts *dns_hosts_read(const char *path)
{
	struct dns_hosts *h = x_alloc(sizeof(*h));
	struct buf file = BUF(HOSTS_FILE_MAX);
	struct str rest, line;

	h->pool = pool_new(4096);
	h->by_name = hash_new(NULL);
	h->by_address = hash_new(NULL);
	if (sys_read_file(path, &file, NULL)) {
		rest = buf_slice(&file);
		while (str_word(&rest, "\n", &line))
			add_line(h, line);
	}
	buf_free(&file);
	return h;
}

void dns_hosts_free(struct dns_hosts **h)
{
	if (!*h)
		return;
	hash_free(&(*h)->by_name);
	hash_free(&(*h)->by_address);
	pool_free(&(*h)->pool);
	x_free(h);
}

const char *dns_hosts_name(const struct dns_hosts *h, const struct net_addr *a)
{
	char text[NET_HOST_MAX];

	return hash_get(h->by_address, str_c(net_host(a, text)));
}

bool dns_hosts_addresses(const struct dns_hosts *h, struct pool *pool, const char *name, bool want_v4,
	bool want_v6, struct dns_answer *out)
{
	char *key = pool_strdup(pool, name);
	const struct host *host;
	size_t before = out->count;

	ascii_lower(key);
	host = hash_get(h->by_name, str_c(key));
	for (size_t i = 0; host && i < host->count; i++) {
		const struct net_addr *a = &host->addresses[i];
		bool v4 = a->ss.ss_family == AF_INET;
		struct dns_record r = {.type = v4 ? DNS_A : DNS_AAAA, .name = key, .address = *a};

		if (v4 ? want_v4 : want_v6)
			dns_answer_append(pool, out, &r, 1);
	}
	return out->count > before;
}
