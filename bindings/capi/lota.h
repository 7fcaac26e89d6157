/* lota: a scriptable engine for sparse adaptation of language models.
 *
 * Link with liblota_c. An engine belongs to one thread at a time; lota_engine_cancel may be called from any thread
 * while the engine lives. Texts are UTF-8 and end with a zero byte. A text that is given back belongs to the engine and
 * is good until the next call with that engine other than cancel. No function throws or aborts; every int result is
 * LOTA_OK or the code of what went wrong. */
#ifndef LOTA_H
#define LOTA_H

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lota_engine lota_engine;

/* The codes are those of docs/errors.md. */
enum lota_code {
  LOTA_OK = 0,
  LOTA_SYNTAX = 1,
  LOTA_RUNTIME = 2,
  LOTA_ARGUMENT = 3,
  LOTA_USAGE = 4,
  LOTA_LIMIT = 5,
  LOTA_DENIED = 6,
  LOTA_CANCELLED = 7,
  LOTA_HOST = 8,
  LOTA_EXIT = 9,
  LOTA_CRASHED = 10
};

/* Call it first in `main`, before threads are started and arguments are read, in a program whose engines have a process of their
 * own ("isolation": "process"): such an engine starts the program again, and there this function does what the engine does and
 * does not come back. Otherwise it does nothing. */
void lota_guest_enter(void);

/* An engine with the limits for untrusted scripts. `options` is NULL or a JSON object:
 *   {"language": "lua",           or "rhai"; Lua without it
 *    "roots": ["folder", ...],    the folders that scripts may reach; none without it
 *    "limits": {"script_memory": bytes, "tensor_memory": bytes, "seconds": s, "instructions": n,
 *               "output": bytes, "call_depth": n, "open_files": n},   null lifts a limit
 *    "isolation": "thread" or "process"; or what the process may use, each with a default:
 *                 {"program": path,   a program that calls lota_guest_enter, as lota does; this one without it
 *                  "memory": bytes, "file_size": bytes, "open_files": n, "processor_time": seconds,
 *                  "message": bytes, "grace": seconds}}
 * NULL if it cannot be made; lota_last_error(NULL) then says why, on the same thread. */
lota_engine *lota_engine_new(const char *options);

/* Runs a script text. `name` is shown in messages; NULL is "script". */
int lota_engine_run(lota_engine *engine, const char *source, const char *name);

/* Calls a function of the script: a global one, or one in a global table ("task.step"). `arguments` is a JSON array, or
 * NULL for none. */
int lota_engine_call(lota_engine *engine, const char *function, const char *arguments);

/* The result of the last run or call as JSON; NULL if it failed, or has a value (a tensor, a function) that is none. */
const char *lota_engine_result_json(lota_engine *engine);

/* Asks what the engine does now to stop. The engine can be used again when its call has returned. */
void lota_engine_cancel(lota_engine *engine);

/* What went wrong in the last call with this engine; NULL if nothing did. */
const char *lota_last_error(lota_engine *engine);

/* Frees an engine; NULL is nothing to free. No call with it may be under way. */
void lota_engine_free(lota_engine *engine);

#ifdef __cplusplus
}
#endif

#endif
