#include <stdio.h>

int main(int count, char **words) {
    FILE *file = fopen(words[1], "w");
    fprintf(file, "#define LONG_SIZE %zu\n", sizeof(long));
    return fclose(file);
}
