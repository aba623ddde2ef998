/* tests/runtime/steady: a thousand runs of a steady session make no allocation, no page fault and no system call but
 * the pool's sleeps. Counted in a child process: the kernel traps each system call that its filter (seccomp(2)) does
 * not let pass, and the handler counts it. */

#include "runtime/api_text.h"

#include "base/compiler.h"
#include "test.h"

#include <dirent.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { RUNS = 1000, WARM = 50, ROUNDS = 3, ROWS = 12 };

typedef struct counts {
  long long runs, allocations, faults; /* of the best of ROUNDS rounds: the system may reclaim a page now and then */
  atomic_llong calls;
  atomic_int call; /* the last one's number */
  int unfiltered;  /* errno where the system does not take the filter, as emulators do not */
} counts;
static counts *shared; /* with the child */

static void trapped(int signal, siginfo_t *info, void *context) {
  atomic_fetch_add(&shared->calls, 1);
  atomic_store(&shared->call, info->si_syscall);
}

/* What may be called: sleeping and waking; where the pool's threads are placed, which they look at before they sleep;
 * the clock, for systems whose clock the process cannot read itself; and what this test calls. */
static const int allowed[] = {
    SYS_futex,        SYS_sched_getaffinity, SYS_sched_setaffinity, SYS_clock_gettime, SYS_getrusage, SYS_exit_group,
    SYS_exit,         SYS_rt_sigreturn,
#ifdef SYS_futex_time64
    SYS_futex_time64, SYS_clock_gettime64,
#endif
};
enum { ALLOWED = sizeof allowed / sizeof *allowed };

static int filter(void) {
#if defined(__x86_64__) || defined(__aarch64__) || defined(__arm__)
#if defined(__x86_64__)
  const uint32_t arch = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
  const uint32_t arch = AUDIT_ARCH_AARCH64;
#else
  const uint32_t arch = AUDIT_ARCH_ARM;
#endif
  struct sock_filter code[ALLOWED + 5];
  unsigned n = 0;
  code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
  code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, arch, 0, ALLOWED + 2);
  code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
  for (unsigned i = 0; i < ALLOWED; i++)
    code[n++] =
        (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)allowed[i], (uint8_t)(ALLOWED - i), 0);
  code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP);
  code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  struct sock_fprog program = {.len = (unsigned short)n, .filter = code};
  struct sigaction action = {.sa_sigaction = trapped, .sa_flags = SA_SIGINFO};
  if (sigaction(SIGSYS, &action, NULL) || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) return errno;
  return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) ? errno : 0;
#else
  return ENOSYS;
#endif
}

static long long faults(void) {
  struct rusage r;
  getrusage(RUSAGE_SELF, &r);
  return r.ru_minflt + r.ru_majflt;
}

/* Whether all threads but this one sleep. */
static bool all_asleep(void) {
  DIR *tasks = opendir("/proc/self/task");
  bool asleep = tasks;
  for (struct dirent *e; tasks && (e = readdir(tasks));) {
    char path[64 + sizeof e->d_name], stat[256] = "";
    if (e->d_name[0] == '.' || atoi(e->d_name) == getpid()) continue;
    snprintf(path, sizeof path, "/proc/self/task/%s/stat", e->d_name);
    FILE *file = fopen(path, "r");
    size_t n = file ? fread(stat, 1, sizeof stat - 1, file) : 0;
    if (file) fclose(file);
    const char *after = n ? strrchr(stat, ')') : NULL;
    asleep &= after && after[1] == ' ' && after[2] == 'S';
  }
  if (tasks) closedir(tasks);
  return asleep;
}

/* Runs until what is done once has been done, the start of the pool's threads included. */
static void warm_up(fixture *f) {
  for (int i = 0; i < WARM; i++) run_once(f);
  for (int i = 0; i < 1000 && !all_asleep(); i++) usleep(10 * 1000);
  for (int i = 0; i < WARM; i++) run_once(f);
}

static void count_runs(fixture *f, counts *c) {
  warm_up(f);
  c->unfiltered = filter();
  for (int round = 0; round < ROUNDS && (!round || c->faults); round++) {
    long long before = atomic_load(&mem_stats_global.allocations), before_faults = faults();
    for (c->runs = 0; c->runs < RUNS; c->runs++)
      if (ledge_session_run(f->session, &f->error)) break;
    c->faults = faults() - before_faults;
    c->allocations += atomic_load(&mem_stats_global.allocations) - before;
  }
}

/* Fills `shared` in a child that opens a session with `open`, which also sets its inputs; returns the child's status.
 */
static int in_child(int threads, void (*open)(fixture *, int)) {
  memset(shared, 0, sizeof *shared);
  pid_t child = fork();
  if (!child) {
    fixture f;
    open(&f, threads);
    if (!SANITIZED) count_runs(&f, shared);
    _exit(0);
  }
  int status = -1;
  waitpid(child, &status, 0);
  return status;
}

static void check_steady(const char *name, int threads, void (*open)(fixture *, int)) {
  int status = in_child(threads, open);
  if (status) TEST_FAIL("%s, %d threads: status %d", name, threads, status);
  if (!SANITIZED) {
    if (shared->runs != RUNS) TEST_FAIL("%s, %d threads: run %lld failed", name, threads, shared->runs);
    if (shared->allocations) TEST_FAIL("%s, %d threads: %lld allocations", name, threads, shared->allocations);
    if (shared->faults) TEST_FAIL("%s, %d threads: %lld page faults", name, threads, shared->faults);
    long long calls = atomic_load(&shared->calls);
    if (calls) TEST_FAIL("%s, %d threads: %lld system calls, the last %d", name, threads, calls, shared->call);
    if (shared->unfiltered) printf("%s: system calls not counted: %s\n", name, strerror(shared->unfiltered));
  }
}

static const char *text;
static float data[98 * 40];

static void open_text(fixture *f, int threads) {
  if (fixture_open(f, text, &(ledge_session_options){.threads = threads})) _exit(1);
  set_input(f, 0, floats_of(data, ROWS, 4, 0, 0));
}

static void open_keyword(fixture *f, int threads) {
  *f = (fixture){.error = {.message = ""}};
  if (ledge_model_open("models/keyword/keyword.onnx", NULL, &f->model, &f->error) ||
      ledge_session_create(f->model, &(ledge_session_options){.threads = threads}, &f->session, &f->error))
    _exit(1);
  set_input(f, 0, floats_of(data, 1, 1, 98, 40));
}

static void test_text_models(void) {
  fill(data, ROWS * 4, 0);
  for (int m = 0; m < TEXT_MODELS; m++) {
    text = text_models[m].text;
    for (int threads = 1; threads <= 2 && text_models[m].fixed; threads++)
      check_steady(text_models[m].name, threads, open_text);
  }
}

static void test_keyword(void) {
  fill(data, 98 * 40, 0);
  for (int threads = 1; threads <= 3; threads++) check_steady("keyword", threads, open_keyword);
}

/* The filter counts: a call that is not allowed is seen. */
static void call_once(fixture *f, int threads) {
  shared->unfiltered = filter();
  getppid();
  _exit(shared->unfiltered || atomic_load(&shared->calls) == 1 ? 0 : 2);
}

static void test_counts(void) {
  if (!SANITIZED)
    CHECK_INT(in_child(1, call_once), 0); /* a sanitizer's own calls would be trapped, and it waits for them */
}

__attribute__((constructor)) static void share(void) {
  shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) abort();
}

TEST_MAIN({"the filter counts", test_counts}, {"models of many kinds", test_text_models}, {"keyword", test_keyword})
