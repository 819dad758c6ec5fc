/* Linked into the static servers that the harness compiles: the place where a server looks for its
   CUDA backend, and where the spoofed card's library can answer.

   A server whose ggml-backend-reg.cpp is compiled with GGML_USE_CUDA asks this function for its
   CUDA backend, once, when it first looks at its devices. Without the variable the answer is that
   there is none, which the registry passes over: the server is then as one compiled without.

   GGML_BACKEND_PATH would do for servers of shared libraries; static ones read it, since about
   b9000, for a few options only. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#ifdef _WIN32
#define WIN32_LEAN_AND_MEAN
#include <windows.h>
#else
#include <dlfcn.h>
#endif

#ifndef CARD_HEADERS
#error "CARD_HEADERS is the digest of the headers that the server is compiled with"
#endif

#define VARIABLE "LLAMA_HARNESS_CARD"

enum { LOG_ERROR = 4 }; /* GGML_LOG_LEVEL_ERROR, of every ggml with a registry */

/* Of ggml; weak, since cmake links its own trial programs with this object as well. */
__attribute__((weak)) void ggml_log_internal(int level, const char *format, ...);
__attribute__((weak)) void *ggml_backend_cpu_reg(void);
__attribute__((weak)) int ggml_graph_n_nodes(void *graph);
__attribute__((weak)) void *ggml_graph_node(void *graph, int number);

/* What the library is told of the program; it has the same declaration. */
struct program {
    const char *headers;
    void (*log)(int level, const char *format, ...);
    void *(*cpu)(void);
    int (*nodes)(void *graph);
    void *(*node)(void *graph, int number);
};

void *ggml_backend_cuda_reg(void);

void *ggml_backend_cuda_reg(void) {
    const char *path = getenv(VARIABLE);
    if (!path || !*path || !ggml_backend_cpu_reg || !ggml_log_internal) return NULL;
#ifdef _WIN32
    wchar_t wide[1100];
    int length = MultiByteToWideChar(CP_UTF8, 0, path, -1, wide, 1100);
    HMODULE library = length ? LoadLibraryW(wide) : NULL;
    void *found = library ? (void *)GetProcAddress(library, "llama_harness_card") : NULL;
    const char *why = "LoadLibrary cannot";
#else
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    void *found = library ? dlsym(library, "llama_harness_card") : NULL;
    const char *why = found ? "" : dlerror();
#endif
    if (!found) {
        ggml_log_internal(LOG_ERROR, VARIABLE ": cannot load %s: %s\n", path, why);
        return NULL;
    }
    struct program program = {CARD_HEADERS, ggml_log_internal, ggml_backend_cpu_reg,
                              ggml_graph_n_nodes, ggml_graph_node};
    void *(*start)(const struct program *);
    memcpy(&start, &found, sizeof start);
    return start(&program);
}
