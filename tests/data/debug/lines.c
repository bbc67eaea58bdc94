/* Compiled with debug information: see make.sh. */
static const char words[] = "camera";

int word(int number);
int crash(volatile int *place);

int word(int number) { return words[number]; }

int crash(volatile int *place) {
    int before = word(1);
    return before + *place;
}
