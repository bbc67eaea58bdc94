#include <stdio.h>

int main(void) {
    printf("#define LONG_SIZE %zu\n", sizeof(long));
    return 0;
}
