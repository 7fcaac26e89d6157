/* A C program that runs scripts: values in and out as JSON, an error, a limit, a cancellation from another thread, both
 * languages, an engine in a process of its own. */
#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lota.h"

static void *stop_soon(void *engine) {
  usleep(100000);
  lota_engine_cancel(engine);
  return NULL;
}

int main(void) {
  /* This program is started again as a guest, below; it does not come back from here then. */
  lota_guest_enter();
  assert(lota_engine_new("{\"rotos\": []}") == NULL);
  printf("not made: %s\n", lota_last_error(NULL));

  lota_engine *engine = lota_engine_new("{\"limits\": {\"instructions\": null, \"seconds\": 30}}");
  assert(engine != NULL);

  assert(lota_engine_run(engine, "function add(a, b) return {sum = a + b} end return 'ready'", "main.lua") == LOTA_OK);
  printf("run: %s\n", lota_engine_result_json(engine));
  assert(lota_engine_call(engine, "add", "[1, 2.5]") == LOTA_OK);
  printf("call: %s\n", lota_engine_result_json(engine));
  assert(strcmp(lota_engine_result_json(engine), "{\"sum\":3.5}") == 0);

  assert(lota_engine_run(engine, "local x = nil\nreturn x.field", "main.lua") == LOTA_RUNTIME);
  printf("error: %s\n", lota_last_error(engine));
  assert(lota_engine_result_json(engine) == NULL);
  assert(lota_engine_run(engine, "return ('x'):rep(1e9)", NULL) == LOTA_LIMIT);
  printf("limit: %s\n", lota_last_error(engine));

  pthread_t other;
  assert(pthread_create(&other, NULL, stop_soon, engine) == 0);
  assert(lota_engine_run(engine, "while true do pcall(error) end", NULL) == LOTA_CANCELLED);
  pthread_join(other, NULL);
  assert(lota_engine_run(engine, "return 'still here'", NULL) == LOTA_OK);
  printf("after a cancel: %s\n", lota_engine_result_json(engine));

  lota_engine_free(engine);

  assert(lota_engine_new("{\"language\": \"perl\"}") == NULL);
  printf("not made: %s\n", lota_last_error(NULL));
  engine = lota_engine_new("{\"language\": \"rhai\"}");
  assert(engine != NULL);
  assert(lota_engine_run(engine, "fn add(a, b) { #{sum: a + b} } \"ready\"", "main.rhai") == LOTA_OK);
  assert(lota_engine_call(engine, "add", "[1, 2.5]") == LOTA_OK);
  printf("in Rhai: %s\n", lota_engine_result_json(engine));
  assert(strcmp(lota_engine_result_json(engine), "{\"sum\":3.5}") == 0);
  lota_engine_free(engine);

  assert(lota_engine_new("{\"isolation\": {\"memroy\": 1}}") == NULL);
  printf("not made: %s\n", lota_last_error(NULL));
  engine = lota_engine_new("{\"isolation\": {\"memory\": 500000000}, \"limits\": {\"script_memory\": null}}");
  if (engine == NULL) printf("not made: %s\n", lota_last_error(NULL));
  assert(engine != NULL);
  assert(lota_engine_run(engine, "return 6 * 7", NULL) == LOTA_OK);
  printf("in a process of its own: %s\n", lota_engine_result_json(engine));
  assert(lota_engine_run(engine, "local t = {} while true do t[#t + 1] = ('x'):rep(1e6) .. #t end", NULL) == LOTA_LIMIT);
  printf("its limit: %s\n", lota_last_error(engine));
  lota_engine_free(engine);
  return 0;
}
