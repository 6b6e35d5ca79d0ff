//! The program: parses the command line and dispatches; nothing else.

use std::process::ExitCode;

fn main() -> ExitCode {
    modescope::cli::main()
}
