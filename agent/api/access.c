// SPDX-License-Identifier: GPL-2.0
/* See access.h. */
#include "api/access.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

static bool is_port(const char *text)
{
	size_t digits = strspn(text, "0123456789");

	return digits >= 1 && digits <= 5 && text[digits] == '\0';
}

bool access_host_is_loopback(const char *host)
{
	char name[64];
	const char *end = host[0] == '[' ? strchr(host, ']') : NULL;
	struct in_addr address;
	size_t n;

	n = end ? (size_t)(end - host) + 1 : strcspn(host, ":");
	if (n >= sizeof(name) || (host[n] && (host[n] != ':' || !is_port(host + n + 1))))
		return false;
	memcpy(name, host, n);
	name[n] = '\0';
	if (strcasecmp(name, "localhost") == 0 || strcmp(name, "[::1]") == 0)
		return true;
	return inet_pton(AF_INET, name, &address) == 1 && ntohl(address.s_addr) >> 24 == 127;
}

bool access_token_fits(const char *token, const char *authorization)
{
	size_t wanted = strlen(token), given;
	unsigned char differs = 0;

	if (!authorization || strncasecmp(authorization, "Bearer ", 7) != 0)
		return false;
	authorization += 7;
	given = strlen(authorization);
	if (wanted == 0 || given == 0 || given >= ACCESS_TOKEN_LEN)
		return false;
	/* as many steps as were given, whatever the token is */
	for (size_t i = 0; i < given; i++)
		differs |= (unsigned char)(authorization[i] ^ token[i % wanted]);
	return differs == 0 && given == wanted;
}

/* One line: printable ASCII without blanks. */
static int check_token(const char *path, const char *token, size_t n, char error[ACCESS_ERROR_LEN])
{
	for (size_t i = 0; i < n; i++) {
		if (token[i] > ' ' && token[i] < 0x7f)
			continue;
		snprintf(error, ACCESS_ERROR_LEN,
			 "the token in %s has other than printable ASCII (try: openssl rand -hex "
			 "32)",
			 path);
		return -EINVAL;
	}
	if (n >= ACCESS_TOKEN_LEAST && n < ACCESS_TOKEN_LEN)
		return 0;
	snprintf(error, ACCESS_ERROR_LEN,
		 "the token in %s has not %d to %d bytes (try: openssl rand -hex 32)", path,
		 ACCESS_TOKEN_LEAST, ACCESS_TOKEN_LEN - 1);
	return -EINVAL;
}

int access_token_read(const char *path, char ret_token[ACCESS_TOKEN_LEN],
		      char error[ACCESS_ERROR_LEN])
{
	_cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	char text[ACCESS_TOKEN_LEN + 2];
	struct stat status;
	ssize_t n;
	int err;

	if (fd < 0 || fstat(fd, &status)) {
		err = -errno;
		snprintf(error, ACCESS_ERROR_LEN, "the token file %s cannot be read: %s", path,
			 strerror(-err));
		return err;
	}
	if (!S_ISREG(status.st_mode) || status.st_mode & S_IRWXO) {
		snprintf(error, ACCESS_ERROR_LEN,
			 "the token file %s is no plain file, or open to everybody (chmod 600 it)",
			 path);
		return -EPERM;
	}
	n = read(fd, text, sizeof(text) - 1);
	if (n < 0) {
		err = -errno;
		snprintf(error, ACCESS_ERROR_LEN, "the token file %s cannot be read: %s", path,
			 strerror(-err));
		return err;
	}
	text[n] = '\0';
	n = (ssize_t)strcspn(text, "\r\n");
	err = check_token(path, text, (size_t)n, error);
	if (err)
		return err;
	memcpy(ret_token, text, (size_t)n);
	ret_token[n] = '\0';
	return 0;
}

/* What tells of functions, as against the page's own files, which are the same everywhere. */
static bool is_guarded(const char *path)
{
	return strncmp(path, "/v1/", 4) == 0 || strcmp(path, "/metrics") == 0;
}

int access_admit(void *user, struct http_request *request, const char *path)
{
	const struct access_door *door = user;
	const char *host = http_header(request, "Host");

	if (!door->tcp)
		return 0;
	if (door->loopback && (!host || !access_host_is_loopback(host)))
		return http_reply_problem(request, 403,
					  "ask for localhost or 127.0.0.1 here, not for %.128s",
					  host ? host : "nobody");
	if (!door->token[0] || !is_guarded(path) ||
	    access_token_fits(door->token, http_header(request, "Authorization")))
		return 0;
	http_add_header(request, "WWW-Authenticate", "Bearer");
	return http_reply_problem(request, 401,
				  "show the agent's token: Authorization: Bearer TOKEN");
}

bool access_may_report(const struct access_door *door, struct http_request *request)
{
	struct http_peer peer;

	if (door->tcp) /* who got here has shown it */
		return door->token[0] != '\0';
	if (http_peer(request, &peer))
		return false;
	return peer.uid == 0 ||
	       (door->group != (gid_t)-1 && http_peer_in_group(request, door->group));
}
