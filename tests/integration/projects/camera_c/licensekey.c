/* Prints the state of the app's license key, and when it expires. */
#include <stdio.h>
#include <stdlib.h>

#include <licensekey.h>

int main(void)
{
    if (licensekey_verify("lamp", 1234, 1, 0) == 1)
        puts("valid");
    int state = licensekey_verify_ex("lamp", 1234, 1, 0, "lamp.key");
    char *text = licensekey_get_state_string(state), *date = licensekey_get_exp_date("lamp", NULL);
    printf("%s, until %s\n", text, date ? date : "ever");
    free(text);
    free(date);
    return state == STATE_VALID ? EXIT_SUCCESS : EXIT_FAILURE;
}
