/* Made by make_functions.py from incamera's tables: result, name, arguments, the AXIS OS that has it. */
#define LICENSEKEY_FUNCTIONS(FUNCTION) \
    FUNCTION(int, licensekey_dyn_verify, (const char *app_name, int app_id, int major_version, int minor_version), "9.80") \
    FUNCTION(int, licensekey_dyn_verify_ex, (const char *app_name, int app_id, int major_version, int minor_version, const char *licensekey_path), "9.80") \
    FUNCTION(char *, licensekey_dyn_get_exp_date, (const char *app_name, const char *licensekey_path), "9.80")
