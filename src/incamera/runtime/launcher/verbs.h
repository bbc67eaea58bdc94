/* What the program is started for. Each function gets the words behind the verb and returns the exit code. */
#ifndef VERBS_H
#define VERBS_H

/* launcher.c */
int launch(int argc, char **argv);

/* The verbs of the guard, each described where it is defined. */
int guard_run(int argc, char **argv);        /* run.c */
int guard_supervise(int argc, char **argv);  /* run.c */
int guard_receive(int argc, char **argv);    /* receive.c */
int guard_tidy(int argc, char **argv);       /* tidy.c */
int guard_adopt(int argc, char **argv);      /* adopt.c */
int guard_verify(int argc, char **argv);     /* listing.c */
int guard_activate(int argc, char **argv);   /* activate.c */
int guard_deactivate(int argc, char **argv); /* activate.c */
int guard_list(int argc, char **argv);       /* activate.c */
int guard_try_images(int argc, char **argv); /* mounted.c */
int guard_measure(int argc, char **argv);    /* measure.c */
int guard_connect(int argc, char **argv);    /* connect.c */
int guard_mount(int argc, char **argv);      /* mount.c */
int guard_unmount(int argc, char **argv);    /* mount.c */
int guard_allow_exec(int argc, char **argv);    /* mount.c */
int guard_processes(int argc, char **argv);     /* list_processes.c */
int guard_end(int argc, char **argv);           /* end.c */
int guard_sockets(int argc, char **argv);       /* sockets.c */
int guard_make_folder(int argc, char **argv);   /* folders.c */
int guard_copy_folder(int argc, char **argv);   /* folders.c */
int guard_remove_folder(int argc, char **argv); /* folders.c */
int guard_look(int argc, char **argv);          /* transfer.c */
int guard_read(int argc, char **argv);          /* transfer.c */
int guard_write(int argc, char **argv);         /* transfer.c */
int guard_show(int argc, char **argv);          /* work_folder.c */
int guard_erase(int argc, char **argv);         /* transfer.c */

#endif
