//! `scripts`: the built-in scripts, a line each.

use lota::scripts;

use super::output::write_out;

/// Prints the name and the summary of each built-in script.
pub(super) fn list() {
    for script in scripts::all() {
        write_out(&format!("lota:{:<16} {}\n", script.name, script.summary()));
    }
    write_out("\nlota run lota:NAME runs one, lota run lota:NAME --help lists its options.\n");
}
