/* image_exec: why the kernel does not execute a program of an image. It says "No such file or directory" of a program
 * that is there, where the image lacks what the program itself needs: its loader, or its interpreter. */
#ifndef SENNIT_PLATFORM_IMAGE_EXEC_H
#define SENNIT_PLATFORM_IMAGE_EXEC_H

#include "base/err.h"

/* For a program that was not executed, below the image's files. Puts the reason and the cure in the place of the text
 * of `err`, if they are found. Returns false. */
bool image_exec_explain(const char *root, const char *path, struct err *err);

#endif
