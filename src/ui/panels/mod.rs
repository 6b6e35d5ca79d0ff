//! The panels of the window, one file each; the shell mounts them. One line per panel.
