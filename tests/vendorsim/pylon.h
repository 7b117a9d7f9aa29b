/* pylon - the help desk Pylon, as a vendor. */
#ifndef VENDORSIM_PYLON_H
#define VENDORSIM_PYLON_H

#include "vendor.h"

extern const struct vendor vendor_pylon;

#endif
