//! Small controls that several panels use. One line per widget.
