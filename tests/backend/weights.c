/* backend/weights: packings are refused that the machine has no memory for. */
#include "backend/backend.h"

#include "base/compiler.h"
#include "base/cpu.h"
#include "test.h"

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PACKED = 4 << 20, CONSTANTS = 256 };

static void pack(const void *arg, void *dst) { *(char *)dst = 1; }

/* Packs small constants, as those of a file that lie over each other, until that is refused. */
static int pack_until_refused(void) {
  static char constants[CONSTANTS * 64];
  weight_store *s = weight_store_create();
  size_t room = cpu_memory_available();
  if (!s) return 1;
  struct rlimit limit = {.rlim_cur = (size_t)256 << 20, .rlim_max = RLIM_INFINITY};
  if (room < limit.rlim_cur || setrlimit(RLIMIT_AS, &limit)) return 0; /* no such limit can be set here */
  const weight_packing packing = {.kind = "test", .bytes = PACKED, .pack = pack};
  for (int i = 0; i < CONSTANTS; i++) {
    const void *packed;
    ledge_error error = {.message = ""};
    ledge_status status = weight_store_get(s, constants + i * 64, 64, &packing, &packed, &error);
    if (status == LEDGE_ERROR_LIMIT) return strstr(error.message, "packed weights take 4194304 bytes more") ? 0 : 2;
    if (status) return 3;
  }
  return 4;
}

static void test_no_room(void) {
  if (SANITIZED) return; /* they take more addresses than any limit */
  int status = -1;
  pid_t child = fork();
  if (!child) _exit(pack_until_refused());
  waitpid(child, &status, 0);
  CHECK_INT(status, 0);
}

TEST_MAIN({"no room", test_no_room})
