/* The folder in which an app keeps its data, in a place that the user has chosen. */
#ifndef DATA_FOLDER_H
#define DATA_FOLDER_H

/* DEPTH of it in its place: our folder, DATA_FOLDERS, and the app's own. */
enum { DATA_DEPTH = 3 };

/* Make the folder that DATA_VARIABLE names, if that is set. Ends the program where it cannot be made. */
void make_data_folder(void);

#endif
