/* python.exe: hands its command line to python311.dll, which lies beside it. */
#include <windows.h>
#include <shellapi.h>
#include <stdio.h>

typedef int (*py_main)(int, wchar_t **);

int main(void)
{
    int count = 0;
    wchar_t **words = CommandLineToArgvW(GetCommandLineW(), &count);
    HMODULE library = LoadLibraryW(L"python311.dll");
    py_main run = library ? (py_main)(void *)GetProcAddress(library, "Py_Main") : NULL;
    if (!run || !words) {
        fprintf(stderr, "python.exe: python311.dll does not load: error %lu\n", GetLastError());
        return 100;
    }
    return run(count, words);
}
