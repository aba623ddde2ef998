/* ledge.h: the C library of ledge: AI models on Linux devices.
 *
 * The shortest program:
 *
 *   ledge_error error;
 *   ledge_model *model;
 *   ledge_session *session;
 *   if (ledge_model_open("m.onnx", NULL, &model, &error)) die(error.message);
 *   if (ledge_session_create(model, NULL, &session, &error)) die(error.message);
 *   float x[3 * 224 * 224] = {...};
 *   ledge_session_set_input(session, 0, &(ledge_tensor){LEDGE_F32, 4, {1, 3, 224, 224}, x, sizeof x}, &error);
 *   if (ledge_session_run(session, &error)) die(error.message);
 *   ledge_tensor y;
 *   ledge_session_output(session, 0, &y, &error);           // y.data holds the result until the next run
 *   ledge_session_destroy(session);
 *   ledge_model_close(model);
 *
 * The header reads from simple calls to explicit and then to experimental ones. Structs with options are zeroed for the
 * defaults; NULL means all defaults. Strings are UTF-8.
 *
 * Threads: a ledge_model is read-only once open and may be used from any number of threads. A ledge_session is used by
 * one thread at a time, except ledge_session_cancel, which any thread may call. Sessions of one model share its
 * weights. Closing a model while sessions stand is allowed: the last of them frees it.
 *
 * Errors: every fallible function returns a ledge_status and fills `error` if it is not NULL; outputs are untouched
 * then.
 */
#ifndef LEDGE_H
#define LEDGE_H

#include <ledge/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* "0.1.0". Static storage. */
LEDGE_API const char *ledge_version(void);

/* ==== 1. Models ==== */

typedef struct ledge_model ledge_model;

typedef struct ledge_operator ledge_operator; /* section 5 */

typedef struct ledge_model_options {
  bool allow_links;   /* external data may lie behind symbolic links that leave the model's folder */
  const char *folder; /* for models from memory or a descriptor: where their external data lie; NULL: none */
  const ledge_operator *const
      *operators; /* the program's own operators, looked at before ledge's; must outlive the model */
  size_t n_operators;
  const char *disable_passes; /* names of graph passes, separated by commas, that are not to run; "all" for none */
  bool no_cache;              /* packed weights are neither read from the cache nor written to it: section 4 */
  bool no_autotune;           /* kernels are chosen by the model of their time alone, the same on every start; without a
                                 cache too. Else those that it cannot tell apart are timed on the first starts */
} ledge_model_options;

/* Opens a model file (ONNX or TensorFlow Lite, as its contents say). The file is mapped: it must stay unchanged while
 * the model is open. */
LEDGE_API LEDGE_MUST_USE ledge_status ledge_model_open(const char *path, const ledge_model_options *options,
                                                       ledge_model **ret_model, ledge_error *error);
/* From an open descriptor of a regular file, read from its beginning; the descriptor stays the caller's. */
LEDGE_API LEDGE_MUST_USE ledge_status ledge_model_open_fd(int fd, const ledge_model_options *options,
                                                          ledge_model **ret_model, ledge_error *error);
/* From memory that stays unchanged until the model and its sessions are gone. */
LEDGE_API LEDGE_MUST_USE ledge_status ledge_model_open_memory(const void *bytes, size_t size,
                                                              const ledge_model_options *options,
                                                              ledge_model **ret_model, ledge_error *error);
LEDGE_API void ledge_model_close(ledge_model *model); /* NULL passes */

typedef enum ledge_kind {
  LEDGE_KIND_NONE = 0, /* an empty optional */
  LEDGE_KIND_TENSOR = 1,
  LEDGE_KIND_SEQUENCE = 2,
  LEDGE_KIND_MAP = 3,
} ledge_kind;

/* An input or output as the model declares it. Strings belong to the model. */
typedef struct ledge_value_info {
  const char *name;
  ledge_kind kind;
  ledge_dtype dtype;            /* of a tensor, or of a sequence's tensors; LEDGE_DTYPE_NONE where undeclared */
  int rank;                     /* -1: undeclared */
  int64_t dims[LEDGE_MAX_RANK]; /* -1: open */
  const char *dim_names[LEDGE_MAX_RANK]; /* the name of an open dim, or NULL */
  bool optional;                         /* an input that may be left out: an optional, or one with a default */
} ledge_value_info;

LEDGE_API size_t ledge_model_input_count(const ledge_model *model);
LEDGE_API size_t ledge_model_output_count(const ledge_model *model);
LEDGE_API LEDGE_MUST_USE ledge_status ledge_model_input(const ledge_model *model, size_t i, ledge_value_info *ret,
                                                        ledge_error *error);
LEDGE_API LEDGE_MUST_USE ledge_status ledge_model_output(const ledge_model *model, size_t i, ledge_value_info *ret,
                                                         ledge_error *error);
/* The position of a name; LEDGE_ERROR_NAME lists the names that there are. A decimal number counts as a position. */
LEDGE_API LEDGE_MUST_USE ledge_status ledge_model_find_input(const ledge_model *model, const char *name, size_t *ret,
                                                             ledge_error *error);
LEDGE_API LEDGE_MUST_USE ledge_status ledge_model_find_output(const ledge_model *model, const char *name, size_t *ret,
                                                              ledge_error *error);
/* The model's own metadata; NULL where there is no such key, or past the end. */
LEDGE_API const char *ledge_model_metadata(const ledge_model *model, const char *key);
LEDGE_API const char *ledge_model_metadata_key(const ledge_model *model, size_t i);

/* What `ledge info` prints. Strings belong to the model. */
typedef struct ledge_model_summary {
  const char *format;     /* "onnx", "tflite" */
  int64_t format_version; /* ONNX: the IR version; TensorFlow Lite: the schema's */
  int64_t opset;          /* of the main domain; 0 where none */
  const char *producer, *producer_version, *graph_name;
  int64_t nodes;       /* subgraphs included */
  int64_t parameters;  /* elements of the constants */
  size_t weight_bytes; /* of the constants as stored */
  int64_t unsupported; /* nodes without an operator */
} ledge_model_summary;
LEDGE_API void ledge_model_summarize(const ledge_model *model, ledge_model_summary *ret);

/* Nodes in the order in which they stand, subgraphs after the node that holds them. */
typedef struct ledge_node_info {
  const char *name, *domain, *op;
  int version;
  int depth; /* 0: the main graph */
  bool supported;
} ledge_node_info;
LEDGE_API LEDGE_MUST_USE ledge_status ledge_model_node(const ledge_model *model, size_t i, ledge_node_info *ret,
                                                       ledge_error *error);

/* Writes the model as ONNX, atomically (a temporary file, then rename). With `simplify` the graph is folded and fused
 * as far as the standard can still say it: constants, shape arithmetic that the declared shapes decide, branches whose
 * condition is constant, batch norms, what does nothing; and inputs that have a default become constants. */
typedef struct ledge_save_options {
  bool simplify;
  size_t external_data_bytes; /* constants of at least so many bytes go to PATH.data beside the model; 0: none */
} ledge_save_options;
LEDGE_API LEDGE_MUST_USE ledge_status ledge_model_save(const ledge_model *model, const char *path,
                                                       const ledge_save_options *options, ledge_error *error);

/* ==== 2. Sessions ==== */

typedef struct ledge_session ledge_session;

typedef struct ledge_session_options {
  int threads;               /* 0: the big cores within the affinity mask and the cgroup's quota */
  size_t memory_limit;       /* bytes that a run's values may take; 0: what the machine and the cgroup have free */
  uint64_t seed;             /* of operators that draw random numbers */
  bool profile;              /* time every operator: ledge_session_profile */
  bool reference;            /* run every operator's reference: slow, to check the fast ones against */
  ledge_precision precision; /* of products of matrices and convolutions with constant weights */
  double precision_error;    /* with AUTO: see ledge_session_precision; 0: 0.01 */
} ledge_session_options;

LEDGE_API LEDGE_MUST_USE ledge_status ledge_session_create(ledge_model *model, const ledge_session_options *options,
                                                           ledge_session **ret_session, ledge_error *error);
LEDGE_API void ledge_session_destroy(ledge_session *session); /* NULL passes */

/* What a session computes in. With LEDGE_PRECISION_AUTO it is float32 until the first plan or run, which measures both
 * on the inputs that are set then (they should be as in later runs; floats that are all the same are replaced by random
 * ones) and keeps to what it chose: bf16 where its error is at most options.precision_error and it is faster. The
 * choice is kept with the model's packed weights, in their cache too. */
typedef struct ledge_precision_report {
  ledge_precision precision; /* F32 or BF16 */
  bool measured;             /* by AUTO: the rest tells why */
  double error; /* of bf16's outputs: the largest difference over the largest magnitude of float32's, of the
                   worst output; infinite where they cannot be compared, as integers that differ */
  double error_limit;
  double float32_ms, bf16_ms; /* best times of a run */
} ledge_precision_report;
LEDGE_API void ledge_session_precision(const ledge_session *session, ledge_precision_report *ret);

/* A tensor: contiguous row-major elements in memory that somebody else owns. `bytes` is checked against dtype and dims.
 */
typedef struct ledge_tensor {
  ledge_dtype dtype;
  int rank;
  int64_t dims[LEDGE_MAX_RANK];
  void *data;
  size_t bytes;
} ledge_tensor;

/* Input i of the next runs: the memory is read in place and must stand until the input is set anew or the session is
 * destroyed; its contents may change between runs. dtype and shape must fit what the model declares. NULL: left out. */
LEDGE_API LEDGE_MUST_USE ledge_status ledge_session_set_input(ledge_session *session, size_t i,
                                                              const ledge_tensor *tensor, ledge_error *error);
/* The next runs write output i to data[bytes]; NULL ends that. A run whose output is larger fails. */
LEDGE_API LEDGE_MUST_USE ledge_status ledge_session_bind_output(ledge_session *session, size_t i, void *data,
                                                                size_t bytes, ledge_error *error);
/* Plans for the inputs that are set (dtypes and shapes), without running. A run does it by itself where it must. */
LEDGE_API LEDGE_MUST_USE ledge_status ledge_session_plan(ledge_session *session, ledge_error *error);
/* Runs. A plan that was made for these shapes before is used again: then nothing is allocated, unless data decide
 * shapes. */
LEDGE_API LEDGE_MUST_USE ledge_status ledge_session_run(ledge_session *session, ledge_error *error);
/* Output i of the last run: memory of the session (or the bound buffer), which stands until the next run. */
LEDGE_API LEDGE_MUST_USE ledge_status ledge_session_output(const ledge_session *session, size_t i, ledge_tensor *ret,
                                                           ledge_error *error);
/* Asks the run that is under way to stop at the next operator: it returns LEDGE_ERROR_CANCELLED. Any thread. */
LEDGE_API void ledge_session_cancel(ledge_session *session);

/* Memory of the last plan. */
typedef struct ledge_memory {
  size_t planned_bytes; /* the arena: the exact peak of all planned values and scratch */
  size_t folded_bytes;  /* constants computed while planning */
  size_t packed_bytes;  /* weights packed for kernels, shared by the model's sessions */
  size_t dynamic_bytes; /* the most that values sized by data took so far */
  bool exact;           /* no value's size depends on data */
  size_t cached_bytes;  /* of packed_bytes, what is mapped from the cache and shared by all processes */
} ledge_memory;
LEDGE_API void ledge_session_memory(const ledge_session *session, ledge_memory *ret);
LEDGE_API int ledge_session_threads(const ledge_session *session);
/* Multiply-adds of one run of the last plan, as far as its kernels count them. */
LEDGE_API double ledge_session_multiply_adds(const ledge_session *session);

/* Step i of the last plan, for sessions made with `profile`; false past the end. Strings belong to the session. */
typedef struct ledge_profile {
  const char *node, *op, *kernel; /* kernel: "reference" where no fast one took it */
  uint64_t time_ns, runs;
  double multiply_adds; /* of one run */
} ledge_profile;
LEDGE_API bool ledge_session_profile(const ledge_session *session, size_t i, ledge_profile *ret);

/* ==== 3. Values that are more than a tensor: sequences, maps, optionals, strings ==== */

typedef struct ledge_value ledge_value;

/* A copy of the tensor (strings too). */
LEDGE_API LEDGE_MUST_USE ledge_status ledge_value_create(const ledge_tensor *tensor, ledge_value **ret,
                                                         ledge_error *error);
/* A sequence of n values; they stay the caller's. */
LEDGE_API LEDGE_MUST_USE ledge_status ledge_value_create_sequence(const ledge_value *const *items, size_t n,
                                                                  ledge_value **ret, ledge_error *error);
LEDGE_API LEDGE_MUST_USE ledge_status ledge_value_create_none(ledge_value **ret, ledge_error *error);
LEDGE_API void ledge_value_destroy(ledge_value *value); /* NULL passes */
LEDGE_API ledge_kind ledge_value_kind(const ledge_value *value);
/* The tensor of a tensor, or the values of a map. Memory of the value. */
LEDGE_API LEDGE_MUST_USE ledge_status ledge_value_tensor(const ledge_value *value, ledge_tensor *ret,
                                                         ledge_error *error);
LEDGE_API LEDGE_MUST_USE ledge_status ledge_value_keys(const ledge_value *value, ledge_tensor *ret, ledge_error *error);
LEDGE_API size_t ledge_value_count(const ledge_value *value);                      /* of a sequence; 0 for others */
LEDGE_API const ledge_value *ledge_value_item(const ledge_value *value, size_t i); /* NULL past the end */
/* The session keeps a reference of its own to the contents. NULL: left out. */
LEDGE_API LEDGE_MUST_USE ledge_status ledge_session_set_input_value(ledge_session *session, size_t i,
                                                                    const ledge_value *value, ledge_error *error);
/* A copy of output i of the last run, of any kind. */
LEDGE_API LEDGE_MUST_USE ledge_status ledge_session_output_value(const ledge_session *session, size_t i,
                                                                 ledge_value **ret, ledge_error *error);

/* ==== 4. Files of the world ==== */

/* Reads a file into a value that fits `want`: an image (PNG, JPEG, WebP, TIFF, JPEG 2000, BMP, PNM), sound (WAV, FLAC,
 * OGG), .npy, .npz (the array named after `want`), text (UTF-8: one string, or its bytes), or raw bytes of the tensor's
 * own layout. What it is, is told by the contents; a pipe is read to its end. `recipe` says how images and sound become
 * numbers, such as "image:resize=256,crop=224,layout=nchw,mean=0.485:0.456:0.406,std=0.229:0.224:0.225,scale=1/255" or
 * "mel:preset=librosa,rate=16000,length=16000,mels=40"; NULL: what `want`'s shape suggests. docs/guide.md has the
 * grammar. Open dims of `want` take what the file gives. */
LEDGE_API LEDGE_MUST_USE ledge_status ledge_value_load(const char *path, const char *recipe,
                                                       const ledge_value_info *want, ledge_value **ret,
                                                       ledge_error *error);
/* Writes a tensor as .npy, atomically. */
LEDGE_API LEDGE_MUST_USE ledge_status ledge_tensor_save_npy(const ledge_tensor *tensor, const char *path,
                                                            ledge_error *error);

/* The cache of packed weights: what the kernels make of a model's weights is kept in $XDG_CACHE_HOME/ledge, else
 * ~/.cache/ledge, the first time that a model opened by ledge_model_open is planned, and mapped from there afterwards:
 * it starts sooner, and processes that run the same model share it. A model that changes is packed anew. The files used
 * longest ago go when all together would pass the environment's LEDGE_CACHE_LIMIT (500M, 2G; 0: no cache), 1 GiB by
 * default. There is none where that folder cannot be made, or others may write to it. */
typedef struct ledge_cache ledge_cache;
typedef struct ledge_cache_entry {
  const char *name;  /* of the file in the folder */
  const char *model; /* the model that it was made for; NULL where the file is damaged */
  uint64_t bytes;
  int64_t used_s; /* when it was last opened: seconds since 1970 */
  bool current;   /* written by this build of ledge on this processor: others are not read */
  bool choices;   /* no packed weights, but which kernels were timed as the fastest, for all models: model is NULL */
} ledge_cache_entry;
/* The files that there are now, most recently used first. */
LEDGE_API LEDGE_MUST_USE ledge_status ledge_cache_open(ledge_cache **ret, ledge_error *error);
LEDGE_API void ledge_cache_close(ledge_cache *cache);               /* NULL passes */
LEDGE_API const char *ledge_cache_folder(const ledge_cache *cache); /* "" where there is no cache */
LEDGE_API uint64_t ledge_cache_limit(const ledge_cache *cache);
LEDGE_API size_t ledge_cache_count(const ledge_cache *cache);
LEDGE_API bool ledge_cache_get(const ledge_cache *cache, size_t i, ledge_cache_entry *ret); /* false past the end */
/* Removes file i. Processes that have it mapped keep it until they end. */
LEDGE_API LEDGE_MUST_USE ledge_status ledge_cache_remove(ledge_cache *cache, size_t i, ledge_error *error);

/* What this machine is, for `ledge cpu` and reports. Strings are static. */
typedef struct ledge_machine {
  const char *model;        /* of the processor */
  const char *architecture; /* "x86_64", "aarch64", ... */
  char features[256];       /* instruction sets that kernels use, separated by spaces */
  int processors, allowed, big, default_threads;
  double quota; /* CPUs that the cgroup grants; 0: unlimited */
  size_t l1d_bytes, l2_bytes, l3_bytes, memory_available_bytes;
} ledge_machine;
LEDGE_API void ledge_machine_get(ledge_machine *ret);
/* The float32 multiply-adds a second that one core reaches with its widest instructions, measured in some milliseconds.
 */
LEDGE_API double ledge_machine_peak_multiply_adds(void);
/* The same of products of bfloat16 that are summed in float32; 0 where the processor has no instructions for them, and
 * ledge computes them as float32. */
LEDGE_API double ledge_machine_peak_bf16_multiply_adds(void);

/* A choice among kernels whose times the model of them cannot tell apart: timed once, and kept in the cache. */
typedef struct ledge_choice {
  char shape[112]; /* "conv_f32 1x56x56x64 to 56x56x64, 3x3 pad 1:1" */
  int count, chosen;
  struct {
    char kernel[12];
    double ms;     /* the best of up to three runs on one thread */
  } candidates[4]; /* the first: the one that is taken with no_autotune */
} ledge_choice;
/* How many choices this process knows; copies choice i into *ret if there is one (ret may be NULL). */
LEDGE_API size_t ledge_machine_choice(size_t i, ledge_choice *ret);

/* ==== 5. Experimental: operators of the program's own. These calls may change. ==== */

typedef struct ledge_op_context ledge_op_context;

/* An operator. `infer` sets each output's dtype and shape from the inputs' (ledge_op_set_output); an input's data may
 * be NULL then. `run` computes. Both return LEDGE_OK or what ledge_op_fail returned; they may be called from several
 * threads at once, for different sessions. */
struct ledge_operator {
  const char *domain, *name;
  int since_version, until_version; /* opset versions that it covers, inclusive; until 0: all later ones */
  int min_inputs, max_inputs, min_outputs, max_outputs; /* max -1: any number */
  ledge_status (*infer)(ledge_op_context *context, void *user);
  ledge_status (*run)(ledge_op_context *context, void *user);
  void *user;
};

LEDGE_API size_t ledge_op_input_count(const ledge_op_context *context);
LEDGE_API size_t ledge_op_output_count(const ledge_op_context *context);
/* False where the optional input is left out, or the output is not wanted. */
LEDGE_API bool ledge_op_input(const ledge_op_context *context, size_t i, ledge_tensor *ret);
LEDGE_API bool ledge_op_output(ledge_op_context *context, size_t i, ledge_tensor *ret); /* in run: its memory */
LEDGE_API ledge_status ledge_op_set_output(ledge_op_context *context, size_t i, ledge_dtype dtype, int rank,
                                           const int64_t *dims);
LEDGE_API int64_t ledge_op_attribute_int(const ledge_op_context *context, const char *name, int64_t otherwise);
LEDGE_API float ledge_op_attribute_float(const ledge_op_context *context, const char *name, float otherwise);
LEDGE_API const char *ledge_op_attribute_string(const ledge_op_context *context, const char *name, size_t *ret_size);
LEDGE_API const int64_t *ledge_op_attribute_ints(const ledge_op_context *context, const char *name, size_t *ret_count);
LEDGE_API const float *ledge_op_attribute_floats(const ledge_op_context *context, const char *name, size_t *ret_count);
LEDGE_API ledge_status ledge_op_fail(ledge_op_context *context, ledge_status status, const char *message);

#ifdef __cplusplus
}
#endif
#endif
