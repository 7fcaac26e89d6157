//! `doc`: the registry as text.

use super::run::write_out;
use super::usage;
use crate::api;
use crate::error::Result;

pub(super) fn print(name: &str) -> Result<()> {
    match api::doc::lookup(&api::standard(), name) {
        Ok(text) => {
            write_out(&text);
            Ok(())
        }
        Err(Some(near)) => Err(usage(format!("nothing is called '{name}'; did you mean '{near}'?"))),
        Err(None) => Err(usage(format!("nothing is called '{name}'; `lota doc` lists everything"))),
    }
}
