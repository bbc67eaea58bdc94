/* The folder in which an app works: its path stays the same, whichever bundle or edited copy of the app it shows. */
#ifndef WORK_FOLDER_H
#define WORK_FOLDER_H

/* If WORK_VARIABLE names an app's folder, have it show the files of the working directory, and work there from now on. Where
   that cannot be done, the working directory stays, and standard error says why. The variable is removed. */
void enter_work_folder(void);

#endif
