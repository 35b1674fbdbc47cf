#include "smtpd/client.h"

#include "base/mem.h"

static void set(char **field, const char *value)
{
	char *copy = value ? x_strdup(value) : NULL;

	x_free(field);
	*field = copy;
}

void client_set_address(struct client *c, const struct net_addr *addr)
{
	c->addr = *addr;
	net_unmap(&c->addr);
	c->has_addr = true;
	net_host(&c->addr, c->address);
	c->port = net_port(&c->addr);
	c->networks = CLIENT_UNASKED;
}

void client_forget_address(struct client *c)
{
	snprintf(c->address, sizeof(c->address), "unknown");
	c->has_addr = false;
	c->networks = CLIENT_UNASKED;
}

void client_set_names(struct client *c, const char *name, const char *reverse)
{
	set(&c->name, name);
	set(&c->reverse_name, reverse);
	c->networks = CLIENT_UNASKED;
}

void client_describe(struct client *c, bool with_port)
{
	x_free(&c->text);
	if (!with_port)
		c->text = x_asprintf("%s[%s]", c->name, c->address);
	else if (c->port == 0)
		c->text = x_asprintf("%s[%s]:unknown", c->name, c->address);
	else
		c->text = x_asprintf("%s[%s]:%d", c->name, c->address, c->port);
}

void client_free(struct client *c)
{
	x_free(&c->name);
	x_free(&c->reverse_name);
	x_free(&c->text);
}

void forwarded_free(struct forwarded **f)
{
	if (!*f)
		return;
	x_free(&(*f)->name);
	x_free(&(*f)->address);
	x_free(&(*f)->port);
	x_free(&(*f)->helo);
	x_free(&(*f)->protocol);
	x_free(&(*f)->ident);
	x_free(f);
}
