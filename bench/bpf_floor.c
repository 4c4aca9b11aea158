/* bpf_floor OBJECT FILE PROGRAM [ARGUMENTS]: the least a tracer of every system call costs with BPF: raw tracepoints
 * (OBJECT, made of bpf_floor.bpf.c) put a record a call, with its time, arguments and result but no memory the
 * arguments point to, into a ring buffer; here they are counted, nothing is printed. FILE gets the number of calls, and
 * of those the ring had no room for. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bpf_floor.h"

/* How often the reader looks. The ring holds some 80,000 calls, far more than a few milliseconds'. */
static const struct timespec between_looks = { .tv_nsec = 2000000 };

static _Noreturn void die(const char *what, int error)
{
	fprintf(stderr, "bpf_floor: %s: %s\n", what, strerror(error));
	exit(125);
}

/* The program, stopped in front of its execve(), the first call to be counted: the kill() it stops in has begun before
 * that. */
static pid_t start(char **command)
{
	pid_t program = fork();
	int status;

	if (program < 0)
		die("fork", errno);
	if (program == 0) {
		kill(getpid(), SIGSTOP);
		execvp(command[0], command);
		perror(command[0]);
		_exit(127);
	}
	if (waitpid(program, &status, WUNTRACED) != program || !WIFSTOPPED(status))
		die("the program is gone", ESRCH);
	return program;
}

/* The first pid namespace has a fixed number, the kernel's PROC_PID_INIT_INO. */
static int ids_are_the_kernels(void)
{
	struct stat namespace;

	return stat("/proc/self/ns/pid", &namespace) == 0 && namespace.st_ino == 0xEFFFFFFC;
}

static struct bpf_object *load(const char *path)
{
	struct bpf_object *object = bpf_object__open_file(path, NULL);
	struct bpf_program *program;

	if (!object)
		die(path, errno);
	if (bpf_object__load(object))
		die("the kernel refuses the BPF programs", errno);
	bpf_object__for_each_program(program, object) {
		if (!bpf_program__attach(program))
			die(bpf_program__section_name(program), errno);
	}
	return object;
}

static int map_of(struct bpf_object *object, const char *name)
{
	int fd = bpf_object__find_map_fd_by_name(object, name);

	if (fd < 0)
		die(name, -fd);
	return fd;
}

static int count_call(void *calls, void *record, size_t size)
{
	(void)record;
	*(long *)calls += size == sizeof(struct call);
	return 0;
}

/* Buries who is dead. False if nobody of the tree is left. */
static int some_live(pid_t program, int *result)
{
	int status;
	pid_t dead;

	while ((dead = waitpid(-1, &status, WNOHANG | __WALL)) > 0)
		if (dead == program)
			*result = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	return dead == 0;
}

/* Lets the program run and reads the ring until all of its tree are dead; the program's status. */
static int follow(pid_t program, struct ring_buffer *ring)
{
	int result = 1, living;
	sigset_t child_signal;

	sigemptyset(&child_signal);
	sigaddset(&child_signal, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child_signal, NULL);
	/* The program's orphans are ours to wait for. */
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	/* As ptrace_floor: these are the program's, which is told by whoever sent them to us. */
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	kill(program, SIGCONT);
	do {
		sigtimedwait(&child_signal, NULL, &between_looks);
		living = some_live(program, &result);
		/* The dead put their last record into the ring before they died. */
		ring_buffer__consume(ring);
	} while (living);
	return result;
}

int main(int argc, char **argv)
{
	const struct call none = { .nr = NO_CALL };
	const __u32 first = 0;
	struct bpf_object *object;
	struct ring_buffer *ring;
	long calls = 0;
	__u64 lost = 0;
	pid_t program;
	int result;
	FILE *file;

	if (argc < 4) {
		fprintf(stderr, "usage: bpf_floor OBJECT FILE PROGRAM [ARGUMENTS]\n");
		return 2;
	}
	if (!ids_are_the_kernels()) {
		fprintf(stderr, "bpf_floor: process ids here are those of a pid namespace, BPF programs see others\n");
		return 125;
	}
	object = load(argv[1]);
	ring = ring_buffer__new(map_of(object, "ring"), count_call, &calls, NULL);
	if (!ring)
		die("ring_buffer__new", errno);
	program = start(argv + 3);
	if (bpf_map_update_elem(map_of(object, "threads"), &program, &none, BPF_ANY)) {
		kill(program, SIGKILL);
		die("bpf_map_update_elem", errno);
	}
	result = follow(program, ring);
	if (bpf_map_lookup_elem(map_of(object, "lost"), &first, &lost))
		die("bpf_map_lookup_elem", errno);
	file = fopen(argv[2], "we");
	if (!file || fprintf(file, "%ld %llu\n", calls, (unsigned long long)lost) < 0 || fclose(file))
		die(argv[2], errno);
	return result;
}
