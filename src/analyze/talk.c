/* What the server behind a port speaks: seen by sidecars, or else guessed by what its container runs. */
#include <string.h>

#include "analyze/inside.h"

/* Programs and images by which a guess is safe. `but`: a port on which it speaks HTTP all the same. */
static const struct {
	const char *word; /* the program's file name, or the last part of an image's name */
	enum speaks speaks;
	const char *what;    /* for people */
	const char *declare; /* appProtocol */
	uint16_t but;
} programs[] = {
	/* clang-format off */
	{"mysqld",         SPEAKS_SERVER_FIRST, "a MySQL server",   "mysql", 33060},
	{"mysqld_safe",    SPEAKS_SERVER_FIRST, "a MySQL server",   "mysql", 33060},
	{"mysql",          SPEAKS_SERVER_FIRST, "a MySQL server",   "mysql", 33060}, /* an image */
	{"mysql-server",   SPEAKS_SERVER_FIRST, "a MySQL server",   "mysql", 33060},
	{"mariadbd",       SPEAKS_SERVER_FIRST, "a MariaDB server", "mysql", 0},
	{"mariadbd-safe",  SPEAKS_SERVER_FIRST, "a MariaDB server", "mysql", 0},
	{"mariadb",        SPEAKS_SERVER_FIRST, "a MariaDB server", "mysql", 0},
	{"percona",        SPEAKS_SERVER_FIRST, "a MySQL server",   "mysql", 33060},
	{"percona-server", SPEAKS_SERVER_FIRST, "a MySQL server",   "mysql", 33060},
	{"tidb-server",    SPEAKS_SERVER_FIRST, "a TiDB server",    "mysql", 10080},
	{"tidb",           SPEAKS_SERVER_FIRST, "a TiDB server",    "mysql", 10080},
	{"postfix",        SPEAKS_SERVER_FIRST, "an SMTP server",   "tcp", 0},
	{"exim",           SPEAKS_SERVER_FIRST, "an SMTP server",   "tcp", 0},
	{"exim4",          SPEAKS_SERVER_FIRST, "an SMTP server",   "tcp", 0},
	{"sendmail",       SPEAKS_SERVER_FIRST, "an SMTP server",   "tcp", 0},
	{"opensmtpd",      SPEAKS_SERVER_FIRST, "an SMTP server",   "tcp", 0},
	{"vsftpd",         SPEAKS_SERVER_FIRST, "an FTP server",    "tcp", 0},
	{"proftpd",        SPEAKS_SERVER_FIRST, "an FTP server",    "tcp", 0},
	{"pure-ftpd",      SPEAKS_SERVER_FIRST, "an FTP server",    "tcp", 0},
	{"sshd",           SPEAKS_SERVER_FIRST, "an SSH server",    "tcp", 0},
	{"dropbear",       SPEAKS_SERVER_FIRST, "an SSH server",    "tcp", 0},
	{"openssh-server", SPEAKS_SERVER_FIRST, "an SSH server",    "tcp", 0},
	{"sftp",           SPEAKS_SERVER_FIRST, "an SSH server",    "tcp", 0},
	{"dovecot",        SPEAKS_SERVER_FIRST, "an IMAP and POP3 server", "tcp", 0},
	{"nats-server",    SPEAKS_SERVER_FIRST, "a NATS server",    "tcp", 8222},
	{"nats",           SPEAKS_SERVER_FIRST, "a NATS server",    "tcp", 8222},
	{"innd",           SPEAKS_SERVER_FIRST, "an NNTP server",   "tcp", 0},
	{"rsyncd",         SPEAKS_SERVER_FIRST, "an rsync server",  "tcp", 0},
	{"Xvnc",           SPEAKS_SERVER_FIRST, "a VNC server",     "tcp", 0},
	{"x11vnc",         SPEAKS_SERVER_FIRST, "a VNC server",     "tcp", 0},
	{"svnserve",       SPEAKS_SERVER_FIRST, "a Subversion server", "tcp", 0},
	{"nginx",          SPEAKS_HTTP,         "a web server",     "http", 0},
	{"httpd",          SPEAKS_HTTP,         "a web server",     "http", 0},
	{"apache2",        SPEAKS_HTTP,         "a web server",     "http", 0},
	{"lighttpd",       SPEAKS_HTTP,         "a web server",     "http", 0},
	{"caddy",          SPEAKS_HTTP,         "a web server",     "http", 0},
	{"postgres",       SPEAKS_OPAQUE,       "a PostgreSQL server", "tcp", 0},
	{"redis-server",   SPEAKS_OPAQUE,       "a Redis server",   "redis", 0},
	{"redis",          SPEAKS_OPAQUE,       "a Redis server",   "redis", 0},
	{"valkey-server",  SPEAKS_OPAQUE,       "a Valkey server",  "redis", 0},
	{"valkey",         SPEAKS_OPAQUE,       "a Valkey server",  "redis", 0},
	{"mongod",         SPEAKS_OPAQUE,       "a MongoDB server", "mongo", 0},
	{"mongo",          SPEAKS_OPAQUE,       "a MongoDB server", "mongo", 0},
	{"memcached",      SPEAKS_OPAQUE,       "a memcached server", "tcp", 0},
	{"slapd",          SPEAKS_OPAQUE,       "an LDAP server",   "tcp", 0},
	/* clang-format on */
};

/* Its row; N_ELEMS(programs): none. */
static size_t program(struct slice word)
{
	size_t i = 0;
	while (i < N_ELEMS(programs) && !slice_is(word, programs[i].word))
		i++;
	return i;
}

static struct slice last_part(struct slice path)
{
	struct slice part = path;
	while (path.len)
		part = slice_cut(&path, '/');
	return part;
}

/* "docker.io/library/mariadb:11" is "mariadb". */
static size_t program_of_image(const char *image)
{
	struct slice name = last_part(slice_of(image));
	name = slice_cut(&name, '@');
	return program(slice_cut(&name, ':'));
}

static bool is_assignment(struct slice word)
{
	return slice_find(word, '=') < slice_find(word, '/') && slice_find(word, '=') < word.len;
}

/* The program that one command of a shell's text starts. */
static size_t program_of_statement(struct slice statement)
{
	static const char *const before[] = {"exec", "nohup", "env", "command", "{", "then", "do"};
	while ((statement = slice_trim(statement)).len) {
		struct slice word = slice_cut(&statement, ' ');
		bool prefix = is_assignment(word);
		for (size_t i = 0; i < N_ELEMS(before); i++)
			prefix = prefix || slice_is(word, before[i]);
		if (!prefix)
			return program(last_part(word));
	}
	return N_ELEMS(programs);
}

/* Of a shell's text, the last one that is known: what comes before it prepares. */
static size_t program_of_script(struct slice text)
{
	size_t found = N_ELEMS(programs);
	for (size_t from = 0, i = 0; i <= text.len; i++) {
		if (i < text.len && !strchr("\n;&|()", text.at[i]))
			continue;
		size_t p = program_of_statement(slice_sub(text, from, i - from));
		found = p < N_ELEMS(programs) ? p : found;
		from = i + 1;
	}
	return found;
}

static bool is_shell(struct slice name)
{
	static const char *const shells[] = {"sh", "bash", "dash", "ash"};
	for (size_t i = 0; i < N_ELEMS(shells); i++)
		if (slice_is(name, shells[i]))
			return true;
	return false;
}

/* Word I of command and args together; NULL: there are fewer. */
static const char *word_of(const struct container *c, size_t i)
{
	size_t n = 0;
	while (c->command[n])
		n++;
	if (i < n)
		return c->command[i];
	for (size_t k = 0; c->args[k]; k++)
		if (k == i - n)
			return c->args[k];
	return NULL;
}

/* What the container runs, as far as its command says; without one, as its image is called. */
static size_t program_of(const struct container *c)
{
	size_t at = 0;
	const char *word = word_of(c, at);
	if (!word || (!c->command[0] && word[0] == '-'))
		return program_of_image(c->image);
	if (slice_ends(slice_of(word), SLICE("entrypoint.sh")))
		word = word_of(c, ++at);
	if (!word)
		return program_of_image(c->image);
	struct slice name = last_part(slice_of(word));
	if (!is_shell(name))
		return program(name);
	size_t found = N_ELEMS(programs);
	while ((word = word_of(c, ++at)))
		if (word[0] != '-') {
			found = program_of_script(slice_of(word));
			break;
		}
	return found;
}

/* The container that listens on PORT: the one that declares it, or the only one. */
static const struct container *container_of(const struct pod_spec *spec, uint16_t port)
{
	for (size_t i = 0; i < spec->n_containers; i++)
		for (size_t j = 0; j < spec->containers[i].n_ports; j++)
			if (spec->containers[i].ports[j].port == port)
				return &spec->containers[i];
	return spec->n_containers == 1 ? &spec->containers[0] : NULL;
}

static bool guess(const struct analysis *a, const struct target *t, struct talk *out)
{
	const struct container *c = container_of(t->group->spec, t->number);
	size_t p = c && t->number ? program_of(c) : N_ELEMS(programs);
	if (p == N_ELEMS(programs) || (programs[p].but && programs[p].but == t->number))
		return false;
	*out = (struct talk){
		.speaks = programs[p].speaks,
		.declare = programs[p].declare,
		.why = say(a, "container %s of %s runs %s", c->name, group_name(a, t->group),
			   programs[p].what),
	};
	return true;
}

static const char *times(const struct analysis *a, unsigned n)
{
	return say(a, "%u connection%s", n, n == 1 ? "" : "s");
}

/* False: nothing was. */
static bool learned(const struct analysis *a, const struct live_port *live, struct talk *out)
{
	struct learned l;
	learn_read(live, &l);
	unsigned client = l.client_http + l.client_tls + l.client_opaque;
	if (!l.server_first && !client)
		return false;
	out->seen = true;
	out->declare = learn_suggest(live);
	if (l.server_first && client) {
		out->speaks = SPEAKS_BOTH;
		out->why = say(a, "the server spoke first on %s, the client on %s",
			       times(a, l.server_first), times(a, client));
	} else if (l.server_first) {
		bool known = l.greeting != GREET_IS_UNKNOWN;
		out->speaks = SPEAKS_SERVER_FIRST;
		out->why = say(a, "the server spoke first on %s%s%s%s", times(a, l.server_first),
			       known ? " (" : "", known ? greet_name(l.greeting) : "",
			       known ? ")" : "");
	} else {
		bool http = !l.client_tls && !l.client_opaque,
		     tls = !l.client_http && !l.client_opaque;
		out->speaks = http ? SPEAKS_HTTP : tls ? SPEAKS_TLS : SPEAKS_OPAQUE;
		out->why = say(a, "the client spoke first on %s (HTTP %u, TLS %u, other %u)",
			       times(a, client), l.client_http, l.client_tls, l.client_opaque);
	}
	return true;
}

struct talk talk_of(const struct analysis *a, const struct view_port *p)
{
	struct talk talk = {.why = ""};
	if (learned(a, p->live, &talk))
		return talk;
	for (size_t i = 0; i < a->n_targets; i++)
		if (a->targets[i].port == p && guess(a, &a->targets[i], &talk))
			return talk;
	return talk;
}
