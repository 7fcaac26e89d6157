//! What `:set` changes.

use std::time::Duration;

use lota::{Error, Result};

/// The names of the settings, in alphabetical order.
pub const NAMES: [&str; 4] = ["items", "results", "time", "width"];

/// What a person may choose.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Columns that shown values may take.
    pub width: usize,
    /// Items shown of a long list, map or dimension.
    pub items: usize,
    /// From which duration on the time of an input is told; never, if there is none.
    pub time: Option<Duration>,
    /// How many of the last values are kept under their numbers.
    pub results: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { width: 100, items: 40, time: Some(Duration::from_secs(1)), results: 20 }
    }
}

impl Settings {
    /// All settings, a line each.
    pub fn show(&self) -> String {
        let time = self.time.map_or("off".into(), |t| t.as_secs_f64().to_string());
        format!(
            "items {:<6} items shown of a long list or map\n\
             results {:<4} values kept under their numbers\n\
             time {time:<7} seconds from which the time of an input is told, or off\n\
             width {:<6} columns that values may take\n",
            self.items, self.results, self.width
        )
    }

    /// Changes one.
    pub fn set(&mut self, name: &str, value: &str) -> Result<()> {
        let whole = |least: usize| match value.parse::<usize>() {
            Ok(n) if n >= least => Ok(n),
            _ => Err(Error::argument(format!(
                "{name} must be a whole number of at least {least}, not '{value}'"
            ))),
        };
        match name {
            "items" => self.items = whole(1)?,
            "results" => self.results = whole(0)?,
            "width" => self.width = whole(20)?,
            "time" if value == "off" => self.time = None,
            "time" => {
                let seconds = value.parse().ok().and_then(|s| Duration::try_from_secs_f64(s).ok());
                self.time = Some(seconds.ok_or_else(|| {
                    Error::argument(format!("time must be a number of seconds or off, not '{value}'"))
                })?);
            }
            other => {
                let hint = lota::api::did_you_mean(other, NAMES)
                    .unwrap_or_else(|| format!("; known are {}", NAMES.join(", ")));
                return Err(Error::argument(format!("there is no setting '{other}'{hint}")));
            }
        }
        Ok(())
    }
}
