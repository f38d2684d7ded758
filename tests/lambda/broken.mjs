// SPDX-License-Identifier: GPL-2.0
// A module whose import fails.
throw new TypeError("the import fails");
