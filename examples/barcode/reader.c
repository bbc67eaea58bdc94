/* Reads EAN-13. A row of pixels becomes the widths of its dark and bright runs. A barcode has 59 of them: 3 at its start,
   4 for each of six digits, 5 in its middle, 4 for each of six digits, and 3 at its end. */
#include "reader.h"

enum { MOST_RUNS = 2048, RUNS = 59, MODULES = 95, ROW_STEP = 8, LEAST_CONTRAST = 40 };

struct runs {
    int widths[MOST_RUNS]; /* the first is bright, and may be 0 */
    int count;
};

/* How wide the four runs of each digit are, when the number of its dark modules is odd. For an even one, the order is
   reversed. */
static const char widths_of_digits[10][4] = {
    {3, 2, 1, 1}, {2, 2, 2, 1}, {2, 1, 2, 2}, {1, 4, 1, 1}, {1, 1, 3, 2},
    {1, 2, 3, 1}, {1, 1, 1, 4}, {1, 3, 1, 2}, {1, 2, 1, 3}, {3, 1, 1, 2},
};
/* Which of the first six digits are even, the leftmost in the highest bit: that tells the digit before them. */
static const int even_digits[10] = {0, 11, 13, 14, 19, 25, 28, 21, 22, 26};

static void find_runs(const uint8_t *row, ptrdiff_t width, struct runs *runs)
{
    int least = 255, most = 0;
    for (ptrdiff_t x = 0; x < width; x++) {
        least = row[x] < least ? row[x] : least;
        most = row[x] > most ? row[x] : most;
    }
    runs->count = 0;
    if (most - least < LEAST_CONTRAST)
        return;
    int middle = (least + most) / 2;
    bool dark = false;
    runs->widths[runs->count++] = 0;
    for (ptrdiff_t x = 0; x < width; x++) {
        if ((row[x] < middle) != dark) {
            if (runs->count == MOST_RUNS)
                return;
            dark = !dark;
            runs->widths[runs->count++] = 0;
        }
        runs->widths[runs->count - 1]++;
    }
}

/* Return the digit whose four runs, 7 modules together, have these widths; -1 for none. */
static int digit_of(const int *widths, bool *even)
{
    int sum = widths[0] + widths[1] + widths[2] + widths[3], modules[4];
    for (int n = 0; n < 4; n++)
        modules[n] = (14 * widths[n] + sum) / (2 * sum);
    for (int digit = 0; digit < 10; digit++) {
        const char *wanted = widths_of_digits[digit];
        int forward = 0, backward = 0;
        for (int n = 0; n < 4; n++) {
            forward += modules[n] == wanted[n];
            backward += modules[n] == wanted[3 - n];
        }
        if (forward == 4 || backward == 4) {
            *even = backward == 4;
            return digit;
        }
    }
    return -1;
}

/* Whether COUNT runs are one module wide each, given the width of the whole barcode. */
static bool are_single(const int *widths, int count, int whole)
{
    for (int n = 0; n < count; n++)
        if (widths[n] * MODULES * 2 < whole || widths[n] * MODULES > whole * 2)
            return false;
    return true;
}

static bool has_checksum(const char *digits)
{
    int sum = 0;
    for (int n = 0; n < DIGITS; n++)
        sum += (digits[n] - '0') * (n % 2 ? 3 : 1);
    return sum % 10 == 0;
}

/* Read a barcode of RUNS widths, the first of which is dark. */
static bool read_runs(const int *widths, char *digits)
{
    int whole = 0, evens = 0;
    for (int n = 0; n < RUNS; n++)
        whole += widths[n];
    if (!are_single(widths, 3, whole) || !are_single(widths + 27, 5, whole) || !are_single(widths + 56, 3, whole))
        return false;
    for (int n = 0; n < 12; n++) {
        bool even;
        int digit = digit_of(widths + 3 + 4 * n + (n < 6 ? 0 : 5), &even);
        if (digit < 0 || (n >= 6 && even))
            return false;
        digits[n + 1] = (char)('0' + digit);
        evens = n < 6 ? evens << 1 | even : evens;
    }
    for (int first = 0; first < 10; first++)
        if (even_digits[first] == evens) {
            digits[0] = (char)('0' + first);
            return has_checksum(digits);
        }
    return false;
}

bool read_barcode(const struct picture *picture, char digits[DIGITS + 1])
{
    struct runs runs;
    digits[DIGITS] = '\0';
    for (ptrdiff_t y = 0; y < picture->height; y += ROW_STEP) {
        find_runs(picture->pixels + y * picture->pitch, picture->width, &runs);
        for (int first = 1; first + RUNS <= runs.count; first += 2) {
            int reversed[RUNS];
            for (int n = 0; n < RUNS; n++)
                reversed[n] = runs.widths[first + RUNS - 1 - n];
            if (read_runs(runs.widths + first, digits) || read_runs(reversed, digits))
                return true;
        }
    }
    return false;
}
