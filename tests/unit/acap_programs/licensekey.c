/* Asks for a license as the documentation of licensekey describes it: FOLDER, where the key of the app `counter` is. */
#include <assert.h>
#include <licensekey.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    char path[512];
    assert(argc == 2);
    snprintf(path, sizeof path, "%s/counter.key", argv[1]);
    assert(licensekey_verify("counter", 12345, 1, 2) == 1);
    assert(licensekey_verify("counter", 12345, 3, 0) == 0);
    assert(licensekey_verify("other", 12345, 1, 2) == 0);
    int state = licensekey_verify_ex("counter", 777, 1, 2, path);
    char *text = licensekey_get_state_string(state);
    assert(state == STATE_ILLEGAL_APPLICATION_ID_MISMATCH && strstr(text, "APPLICATION_ID_MISMATCH"));
    free(text);
    char *day = licensekey_get_exp_date("counter", path);
    assert(day && strcmp(day, "2999-12-31") == 0);
    free(day);
    assert(!licensekey_get_exp_date("counter", "/nowhere"));
    puts("done");
    return 0;
}
